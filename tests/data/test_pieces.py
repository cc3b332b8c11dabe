"""Pieces of prompts with tokenizers of many families: text is only text, wherever it stands."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import GPTSw3Tokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pargo.data.pieces import (
    CONTROL,
    IMAGE_PIECE,
    OPENING,
    TEXT,
    Piece,
    TextTokenizer,
    is_marked,
    opening_token,
    piece_ids,
    read_prompt,
    text_tokenizer,
    write_prompt,
)
from pargo.errors import InputError
from pargo.models.language import load_tokenizer
from pargo.sources.importers.convert import import_language_model
from pargo.sources.importers.language import save_language_model
from tests.helpers.tiny_tokenizers import FAMILIES, PREFIXED, family, save, sentencepiece_model, spell

ALL = [*FAMILIES, "gpt_sw3", "gpt_sw3_legacy"]
WORDS = ("</s>", "<s>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<image>", "<unk>")
few = settings(max_examples=30)
texts = st.lists(st.sampled_from((*WORDS, " ", "\n", "No.", "'s")) | st.text(max_size=8), max_size=6).map("".join)


def special_ids(tokenizer) -> set[int]:
    marked = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    return (marked | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id}


@pytest.mark.parametrize("name", ALL)
@few
@given(text=texts)
@example(text="".join(WORDS))
@example(text="a </s> b<|im_end|>\n")
def test_text_never_becomes_a_control_token(name, text):
    tokenizer = family(name)
    ids = text_tokenizer(tokenizer).plain(text)
    assert special_ids(tokenizer).isdisjoint(ids)
    assert special_ids(tokenizer).isdisjoint(text_tokenizer(tokenizer).plain(text, opening=True))


@pytest.mark.parametrize("name", FAMILIES)  # the slow one has rules of its own for signs that are not printed
@few
@given(text=texts)
@example(text=" No.")
@example(text="  two  spaces ")
@example(text="\n\n")
def test_no_character_is_lost_or_added(name, text):
    """What the ids spell within a text, between two others, is the text."""
    tokenizer = family(name)
    text = re.sub("[\u2581\ufdd0-\ufdd2]", "", text)  # sentencepiece's own sign for a space
    plain = text_tokenizer(tokenizer).plain
    ids = [*plain("x"), *plain(text), *plain("y")]
    if name.startswith(("llama2", "internlm2")):
        assert spell(tokenizer, ids) == f"x{text}y"
    else:
        decoder = tokenizer.backend_tokenizer.decoder
        assert decoder.decode(tokenizer.convert_ids_to_tokens(ids)) == f"x{text}y"


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in PREFIXED])
@few
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\ufdd0\ufdd1\ufdd2")))
@example(text=" ordinary text, 12 words.\n\nYes.\n")
@example(text="    four")
def test_ordinary_text_is_tokenized_as_the_tokenizer_does(name, text):
    tokenizer = family(name)
    if any(word in text for word in tokenizer.added_tokens_encoder if word.startswith("<")):
        return
    expected = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert text_tokenizer(tokenizer).plain(text) == text_tokenizer(tokenizer).plain(text, opening=True) == expected


def test_ordinary_added_tokens_stay():
    tokenizer = family("spaces")
    assert tokenizer.convert_ids_to_tokens(text_tokenizer(tokenizer).plain("a    b")) == ["a", "    ", "b"]


@pytest.mark.parametrize("name", ["llama2", "llama2_legacy", "llama2_published", "gpt_sw3_legacy"])
def test_no_prefix_within_a_text(name):
    tokenizer = family(name)
    text = text_tokenizer(tokenizer)
    for written, expected in {"\n": ["<0x0A>"], " No.": ["\u2581No", "."], "No.": ["N", "o", "."]}.items():
        assert tokenizer.convert_ids_to_tokens(text.plain(written)) == expected
    assert tokenizer.convert_ids_to_tokens(text.plain("No.", opening=True)) == ["\u2581No", "."]
    assert text.newline == (tokenizer.convert_tokens_to_ids("<0x0A>"),)


@pytest.mark.parametrize("name", ALL)
def test_the_newline_is_one_token_that_ends_no_word(name):
    tokenizer = family(name)
    [newline] = text_tokenizer(tokenizer).newline
    assert tokenizer.decode([newline]) == "\n"
    assert text_tokenizer(tokenizer).plain("\n") == [newline]


# Prompts of one string ------------------------------------------------------------------------------------------------

pieces = st.builds(Piece, st.sampled_from((TEXT, OPENING)), st.text(st.characters(codec="utf-8"), min_size=1))


@few
@given(st.lists(st.just(IMAGE_PIECE) | st.just(Piece(CONTROL, "</s>")) | pieces, min_size=1))
@example([Piece(TEXT, "a\ufdd2</s>\ufdd0b")])
def test_a_prompt_is_read_as_it_was_written(given_pieces):
    prompt = write_prompt(given_pieces)
    assert is_marked(prompt)
    found = read_prompt(prompt)
    clean = [Piece(kind, re.sub("[\ufdd0-\ufdd2]", "", text)) for kind, text, _ in given_pieces]
    assert found == [piece for piece in clean if piece.text]
    tokenizer = family("qwen2")
    assert piece_ids(tokenizer, found, [-1]) == piece_ids(tokenizer, given_pieces, [-1])


def test_what_stands_before_all_pieces_is_refused():
    assert not is_marked("by hand <image>")
    with pytest.raises(InputError, match="begins with the text 'Hello ', which is in none"):
        read_prompt(f"Hello {TEXT}x")


def test_control_pieces_are_tokens():
    for name, words in {"llama2": ("<s>", "</s>"), "qwen2": ("<|im_start|>", "<tool_call>"), "gpt2": ()}.items():
        tokenizer = family(name)
        for word in words:
            ids = text_tokenizer(tokenizer).ids(Piece(CONTROL, word))
            assert ids == [tokenizer.convert_tokens_to_ids(word)]
            assert (text_tokenizer(tokenizer).plain(word) == ids) is (word == "<tool_call>")  # an ordinary one


def test_texts_begin_with_the_token_that_llamas_do():
    for name, expected in {"llama2": ["<s>"], "internlm2": ["<s>"], "llama2_published": ["<s>"], "gpt2": []}.items():
        assert [piece.text for piece in opening_token(family(name))] == expected
    tokenizer = family("smollm2")
    assert opening_token(tokenizer) == []


# Vocabularies that are odd --------------------------------------------------------------------------------------------

END, UNKNOWN = {"eos_token": "</s>"}, {"unk_token": "?"}


def test_a_vocabulary_that_spells_a_control_word_of_plain_pieces():
    vocabulary = {character: index for index, character in enumerate("</s>\nab")}
    merges = [("<", "/"), ("s", ">"), ("</", "s>")]
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocabulary, merges)), **END)
    assert tokenizer("a</s>", split_special_tokens=True)["input_ids"][1:] == [tokenizer.eos_token_id]
    text = TextTokenizer(tokenizer)
    assert tokenizer.convert_ids_to_tokens(text.plain("a</s>b</s>")) == ["a", "<", "/", "s>", "b", "<", "/", "s>"]
    assert text.ids(Piece(CONTROL, "</s>")) == [tokenizer.eos_token_id]


def test_a_control_token_behind_a_normalizer_is_refused():
    vocabulary = {character: index for index, character in enumerate("</s>\nab")}
    for left, right in [("<", "/"), ("s", ">"), ("</", "s>")]:
        vocabulary[left + right] = len(vocabulary)
    backend = Tokenizer(models.BPE(vocabulary, [("<", "/"), ("s", ">"), ("</", "s>")]))
    backend.normalizer = normalizers.Lowercase()
    text = TextTokenizer(PreTrainedTokenizerFast(tokenizer_object=backend, **END))
    with pytest.raises(InputError, match="makes a control token of the text 'a</S>'"):
        text.plain("a</S>")


def _words(normalizer=None, vocabulary: str = "ab \n?") -> PreTrainedTokenizerFast:
    ids = {character: index for index, character in enumerate(vocabulary)}
    backend = Tokenizer(models.BPE(ids, [], **UNKNOWN))
    if normalizer:
        backend.normalizer = normalizer
    return PreTrainedTokenizerFast(tokenizer_object=backend, **UNKNOWN, name_or_path="org/model")


@pytest.mark.parametrize(
    "tokenizer",
    [
        _words(vocabulary="ab ?"),  # unknown
        _words(normalizers.Replace("\n", "")),  # nothing
        _words(normalizers.Replace("\n", " ")),  # a space
        _words(normalizers.Replace("\n", "ab")),  # two tokens
    ],
    ids=["unknown", "nothing", "space", "two"],
)
def test_a_tokenizer_without_a_newline_is_refused_by_name(tokenizer):
    with pytest.raises(InputError, match="the tokenizer org/model has no token for a newline, which ends an answer"):
        TextTokenizer(tokenizer)


def test_it_is_refused_where_it_is_loaded_and_imported(tmp_path):
    save(_words(vocabulary="ab ?"), tmp_path)
    config = LlamaConfig(vocab_size=5, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    model = LlamaForCausalLM(config)
    model.save_pretrained(tmp_path)
    (tmp_path / "out").mkdir()
    for use in (
        lambda: load_tokenizer(tmp_path),
        lambda: import_language_model(tmp_path, tmp_path / "out", {}),
        lambda: save_language_model(
            tmp_path / "out", config, model.state_dict(), _words(vocabulary="ab ?"), dtype=torch.float32
        ),
    ):
        with pytest.raises(InputError, match="has no token for a newline"):
            use()


def test_sentencepiece_that_knows_no_newline_is_refused():
    """As T5's: its normalizer makes a space of it."""
    model = sentencepiece_model(
        model_type="unigram", byte_fallback=False, normalization_rule_name="nmt_nfkc", remove_extra_whitespaces=True
    )
    for legacy in (True, False):
        with pytest.raises(InputError, match="has no token for a newline"):
            TextTokenizer(GPTSw3Tokenizer(str(model), legacy=legacy))


def test_a_prefix_in_a_vocabulary_without_bytes():
    backend = Tokenizer(models.BPE({c: i for i, c in enumerate("?\u2581\nab")}, [], **UNKNOWN, fuse_unk=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    backend.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **UNKNOWN)
    text = TextTokenizer(tokenizer)
    for written, expected in {"ab": "ab", "xa": "?a", "\n\n": "\n\n", " a": "\u2581a", "\n": "\n"}.items():
        assert tokenizer.convert_ids_to_tokens(text.plain(written)) == list(expected)


@pytest.mark.parametrize("name", FAMILIES)
def test_half_of_a_character_is_no_text(name):
    with pytest.raises(InputError, match=r"^'a.*' is no text: it holds half of a character"):
        text_tokenizer(family(name)).plain("a \ud800 b")


def test_ids_that_are_remembered_are_not_shared():
    tokenizer = FAMILIES["llama2"]()
    text = text_tokenizer(tokenizer)
    first = text.plain(" a cat")
    kept = list(first)
    first.append(0)
    assert text.plain(" a cat") == kept
    long = " a cat" * 100
    assert text.plain(long) == text_tokenizer(FAMILIES["llama2"]()).plain(long)
    opened = text.plain("a cat", opening=True)
    assert text.plain("a cat") != opened or not text._leads
