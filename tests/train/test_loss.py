"""Batches and the loss against its definition, whatever the layout."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, MambaConfig, PhiConfig

from pargo.data.template import IGNORE_INDEX, IMAGE, Encoded
from pargo.errors import PargoError
from pargo.train.batch import Batch, Sample, collate, length, num_supervised, truncate
from pargo.train.cross_entropy import check_packing, summed_cross_entropy
from pargo.train.loss import Objective
from tests.models.test_vlm import model

SAMPLES = [
    Sample("a", torch.zeros(2, 3), Encoded((IMAGE, 1, 2), (IGNORE_INDEX, IGNORE_INDEX, 2))),
    Sample("b", torch.ones(2, 3), Encoded((IMAGE, 100, 4, 5, 100), (IGNORE_INDEX, IGNORE_INDEX, 4, 5, IGNORE_INDEX))),
]


def batch(packing: bool) -> Batch:
    return collate(SAMPLES, num_image_tokens=2, image_token_id=99, packing=packing)


def test_packed_samples_follow_each_other():
    packed = batch(True)
    # the last token of a sample predicts nothing; an image has its tokens in place of its placeholder
    assert packed.input_ids.tolist() == [[99, 99, 1, 99, 99, 100, 4, 5]]
    assert packed.labels.tolist() == [[-100, -100, 2, -100, -100, 4, 5, -100]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 0, 1, 2, 3, 4]]
    assert packed.segments.bounds == ((0, 3), (3, 8))
    assert packed.images.shape == (2, 2, 3)


def test_padding_comes_last():
    padded = batch(False)
    assert padded.input_ids.tolist() == [[99, 99, 1, 0, 0], [99, 99, 100, 4, 5]]
    assert padded.labels.tolist() == [[-100, -100, 2, -100, -100], [-100, -100, 4, 5, -100]]
    assert padded.position_ids.tolist() == [[0, 1, 2, 3, 4]] * 2
    assert padded.segments.bounds == ((0, 5), (5, 10))


def test_only_supervised_tokens_count():
    assert [num_supervised(sample.text) for sample in SAMPLES] == [1, 2]
    assert [length(sample.text, 2) for sample in SAMPLES] == [4, 6]


@given(st.integers(0, 9))
def test_a_cut_text_fits_and_is_a_beginning(longest):
    text = SAMPLES[1].text
    cut = truncate(text, longest, 2)
    assert length(cut, 2) <= longest
    assert text.input_ids[: len(cut.input_ids)] == cut.input_ids
    assert text.labels[: len(cut.labels)] == cut.labels
    assert (cut == text) == (longest >= 6)
    if longest < 6:
        assert length(truncate(text, length(cut, 2) + 2, 2), 2) > length(cut, 2)  # no more was cut than needed


def test_the_loss_is_the_sum_of_cross_entropies():
    torch.manual_seed(0)
    hidden, weight, labels = torch.randn(4, 6), torch.randn(9, 6), torch.tensor([2, 4, 5, 0])
    logits = (hidden @ weight.T).double()
    expected = -sum(logits[row].log_softmax(-1)[label] for row, label in enumerate(labels))
    torch.testing.assert_close(summed_cross_entropy(hidden, weight, labels).double(), expected, atol=1e-5, rtol=0)


def test_a_bf16_sum_keeps_its_digits():
    torch.manual_seed(0)
    hidden, weight = torch.randn(400, 16), torch.randn(50, 16)
    labels = torch.randint(0, 50, (400,))
    full = summed_cross_entropy(hidden, weight, labels)
    low = summed_cross_entropy(hidden.bfloat16(), weight.bfloat16(), labels)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, full, rtol=2e-3, atol=0)


SMALL = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "intermediate_size": 48}


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (PhiConfig(**SMALL, **HEADS), "a bias of the output layer"),
        (LlamaConfig(**SMALL, **HEADS, final_logit_softcapping=30.0), r"final_logit_softcapping 30\.0"),
    ],
)
def test_a_language_model_whose_logits_are_more_than_products_is_refused(config, found):
    with pytest.raises(PargoError, match=f"changes its logits by {found}"):
        Objective(model(config), fused=False)


def test_packing_is_refused_where_a_sample_sees_the_one_before():
    check_packing(model(LlamaConfig(**SMALL, **HEADS)))
    with pytest.raises(PargoError, match="MambaForCausalLM lets a sample see the one packed before it"):
        check_packing(model(MambaConfig(**SMALL, state_size=4)))
