"""The loss against its definition, in batches of any split."""

import torch

from pargo.data.template import IGNORE_INDEX, IMAGE, Encoded
from pargo.train.batch import Sample, collate, num_supervised
from pargo.train.loss import summed_cross_entropy

SAMPLES = [
    Sample(torch.zeros(2, 3), Encoded((1, IMAGE, 2), (1, IGNORE_INDEX, 2))),
    Sample(torch.ones(2, 3), Encoded((IMAGE, 100, 4, 5, 100), (IGNORE_INDEX, IGNORE_INDEX, 4, 5, IGNORE_INDEX))),
]
IMAGE_TOKENS = {"num_image_tokens": 2, "image_token_id": 99}


def test_collate_pads_on_the_right_and_gives_an_image_its_tokens():
    batch = collate(SAMPLES, **IMAGE_TOKENS)
    assert batch.input_ids.tolist() == [[1, 99, 99, 2, 0, 0], [99, 99, 100, 4, 5, 100]]
    assert batch.labels.tolist() == [[1, -100, -100, 2, -100, -100], [-100, -100, -100, 4, 5, -100]]
    assert batch.features.shape == (2, 2, 3)
    assert num_supervised(SAMPLES) == 4


def test_only_supervised_positions_count():
    torch.manual_seed(0)
    hidden, weight = torch.randn(2, 6, 6), torch.randn(9, 6)
    labels = collate(SAMPLES, **IMAGE_TOKENS).labels
    logits = (hidden @ weight.T).double()
    expected = -sum(
        logits[row, place].log_softmax(-1)[labels[row, place]] for row, place in [(0, 0), (0, 3), (1, 3), (1, 4)]
    )
    torch.testing.assert_close(summed_cross_entropy(hidden, weight, labels).double(), expected, atol=1e-5, rtol=0)
    hidden[0, 4:] = hidden[1, :3] = torch.nan  # never looked at
    assert summed_cross_entropy(hidden, weight, labels).isfinite()


def test_a_bf16_sum_keeps_its_digits():
    torch.manual_seed(0)
    hidden, weight = torch.randn(1, 400, 16), torch.randn(50, 16)
    labels = torch.randint(0, 50, (1, 400))
    full = summed_cross_entropy(hidden, weight, labels)
    low = summed_cross_entropy(hidden.bfloat16(), weight.bfloat16(), labels)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, full, rtol=2e-3, atol=0)
