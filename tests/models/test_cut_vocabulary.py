"""A vocabulary cut to the tokens of some texts: they are written as before, and the model says the same of them."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors
from transformers import LlamaConfig, LlamaForCausalLM

from pargo.data.pieces import text_tokenizer
from pargo.errors import InputError
from pargo.models.cut_vocabulary import check_same, cut_matrices, cut_tokenizer, kept_tokens
from pargo.models.language import load_tokenizer
from tests.helpers.tiny_tokenizers import FAMILIES

TEXTS = (" return the count", "def count(items):", "\n", " 12 items", "été")


def of_bytes(name: str):
    tokenizer = FAMILIES[name]()
    return tokenizer if _is_bytes(tokenizer) else None


def _is_bytes(tokenizer) -> bool:
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    return data["model"]["type"] == "BPE" and (data.get("decoder") or {}).get("type") == "ByteLevel"


BYTES = [name for name in FAMILIES if of_bytes(name) is not None]
OTHERS = [name for name in FAMILIES if name not in BYTES]


def ids(tokenizer, texts) -> set[int]:
    return {number for text in texts for number in text_tokenizer(tokenizer).plain(text)}


def cut(tokenizer, texts, folder):
    """The cut tokenizer, as it is loaded again, and what is kept."""
    kept = kept_tokens(tokenizer, ids(tokenizer, texts))
    cut_tokenizer(tokenizer, kept, folder)
    LlamaConfig(vocab_size=len(kept), bos_token_id=None, eos_token_id=None).save_pretrained(folder)
    return load_tokenizer(folder), kept


@pytest.mark.parametrize("name", BYTES)
def test_texts_have_the_same_tokens_and_others_can_still_be_written(name, tmp_path):
    tokenizer = FAMILIES[name]()
    after, kept = cut(tokenizer, TEXTS, tmp_path)
    assert len(kept) < len(tokenizer)
    check_same(tokenizer, after, kept, TEXTS)
    for text in TEXTS:
        old, new = (text_tokenizer(one).plain(text) for one in (tokenizer, after))
        assert [kept[number] for number in new] == old
    assert {token: kept[number] for token, number in after.get_added_vocab().items()} == tokenizer.get_added_vocab()
    other = "zebra ünder 99"
    assert after.decode(after(other, add_special_tokens=False)["input_ids"]).removeprefix(" ") == other
    for which in ("bos_token", "eos_token", "pad_token"):
        token, number = getattr(tokenizer, which), getattr(after, f"{which}_id")
        assert getattr(after, which) == token
        assert number is None or kept[number] == getattr(tokenizer, f"{which}_id")


@settings(max_examples=30)
@given(texts=st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_any_text_that_was_among_them_is_written_as_before(texts, tmp_path_factory):
    tokenizer = FAMILIES["smollm2"]()
    texts = [text for text in texts if not any(token in text for token in tokenizer.get_added_vocab())]
    after, kept = cut(tokenizer, texts, tmp_path_factory.mktemp("cut"))
    check_same(tokenizer, after, kept, texts)


@pytest.mark.parametrize("tied", [True, False])
def test_the_model_says_the_same_of_the_tokens_that_stay(tied, tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": 1, "eos_token_id": [2, 60], "pad_token_id": None}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=64, tie_word_embeddings=tied, **sizes, **ends)).eval()
    kept = [1, 2, 5, 9, 33, 60]
    asked = torch.tensor([[1, 9, 33, 5]])
    with torch.inference_mode():
        before = model(asked).logits[..., kept]
    cut_matrices(model, kept)
    with torch.inference_mode():
        after = model(torch.tensor([[kept.index(number) for number in asked[0].tolist()]])).logits
    torch.testing.assert_close(after, before)
    assert (model.config.vocab_size, model.config.bos_token_id, model.config.eos_token_id) == (6, 0, [1, 5])
    same = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert same is tied
    model.save_pretrained(tmp_path)
    again = LlamaForCausalLM.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        assert torch.equal(again(asked % 6).logits, model(asked % 6).logits)


def test_a_token_that_the_model_needs_has_to_stay():
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    )
    model.config.eos_token_id = 7
    with pytest.raises(InputError, match="no token 7, which is the language model's eos_token_id"):
        cut_matrices(model, [0, 1, 2])


@pytest.mark.parametrize("name", OTHERS)
def test_other_tokenizers_are_refused(name):
    with pytest.raises(InputError, match=r"vocabulary: texts: \w+ is no BPE over bytes"):
        kept_tokens(FAMILIES[name](), [5])


def test_a_text_that_would_be_written_otherwise_is_told(tmp_path):
    tokenizer = FAMILIES["smollm2"]()
    after, kept = cut(tokenizer, ["a"], tmp_path)
    with pytest.raises(InputError, match="the cut vocabulary writes ' return the count' in other tokens"):
        check_same(tokenizer, after, kept, [" return the count"])


def test_tokens_around_a_text_get_new_ids_too(tmp_path):
    """As Llama 3 puts them there: a template within a sequence."""
    tokenizer = FAMILIES["llama3"]()
    bos = tokenizer.bos_token
    template = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.bos_token_id)])
    tokenizer.backend_tokenizer.post_processor = processors.Sequence([processors.ByteLevel(), template])
    after, kept = cut(tokenizer, TEXTS, tmp_path)
    assert tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
    check_same(tokenizer, after, kept, TEXTS)
    assert after("a")["input_ids"][0] == after.bos_token_id < len(kept) < tokenizer.bos_token_id


def test_an_unknown_way_to_put_tokens_around_a_text_is_refused(tmp_path):
    tokenizer = FAMILIES["gpt2"]()
    tokenizer.backend_tokenizer.post_processor = processors.RobertaProcessing(("a", 5), ("b", 6))
    with pytest.raises(InputError, match="the tokenizer's RobertaProcessing is not known here"):
        cut(tokenizer, TEXTS, tmp_path)
