"""The loss against its definition, in batches of any split."""

import torch

from pargo.data.template import IGNORE_INDEX, Encoded
from pargo.train.batch import Sample, collate, num_supervised
from pargo.train.loss import summed_cross_entropy


def text(*labels: int) -> Encoded:
    return Encoded(tuple(abs(label) for label in labels), labels)


SAMPLES = [
    Sample(torch.zeros(2, 3), text(1, 2)),
    Sample(torch.ones(2, 3), text(IGNORE_INDEX, 4, 5, IGNORE_INDEX)),
]


def test_collate_pads_on_the_right():
    batch = collate(SAMPLES)
    assert batch.input_ids.tolist() == [[1, 2, 0, 0], [100, 4, 5, 100]]
    assert batch.labels.tolist() == [[1, 2, -100, -100], [-100, 4, 5, -100]]
    assert batch.attention_mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert batch.features.shape == (2, 2, 3)
    assert num_supervised(SAMPLES) == 4


def test_only_supervised_positions_count():
    torch.manual_seed(0)
    hidden, weight = torch.randn(2, 4, 6), torch.randn(9, 6)
    labels = collate(SAMPLES).labels
    logits = (hidden @ weight.T).double()
    expected = -sum(
        logits[row, place].log_softmax(-1)[labels[row, place]] for row, place in [(0, 0), (0, 1), (1, 1), (1, 2)]
    )
    torch.testing.assert_close(summed_cross_entropy(hidden, weight, labels).double(), expected, atol=1e-5, rtol=0)
    hidden[0, 2:] = hidden[1, 0] = torch.nan  # never looked at
    assert summed_cross_entropy(hidden, weight, labels).isfinite()


def test_a_bf16_sum_keeps_its_digits():
    torch.manual_seed(0)
    hidden, weight = torch.randn(1, 400, 16), torch.randn(50, 16)
    labels = torch.randint(0, 50, (1, 400))
    full = summed_cross_entropy(hidden, weight, labels)
    low = summed_cross_entropy(hidden.bfloat16(), weight.bfloat16(), labels)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, full, rtol=2e-3, atol=0)
