"""What is supervised, and that a prompt of evaluation has the ids it had in training."""

import pytest

from pargo.data.template import (
    IGNORE_INDEX,
    IMAGE,
    MME_SUFFIX,
    encode_answer,
    encode_caption,
    encode_conversation,
    encode_prompt,
    expand_images,
    stop_ids,
)
from pargo.sources.random_models import byte_tokenizer
from tests.helpers.tiny_tokenizers import family

TOKENIZER = byte_tokenizer()
TURNS = [("Is there a circle?" + MME_SUFFIX, "yes"), ("How many shapes?", "two")]


def text(ids):
    return "".join("#" if i == IMAGE else TOKENIZER.decode([i]) for i in ids)


def test_caption_is_supervised_to_its_end():
    encoded = encode_caption(TOKENIZER, "two shapes.")
    assert text(encoded.input_ids) == "# two shapes.\n"
    assert encoded.labels == (IGNORE_INDEX, *encoded.input_ids[1:])


def test_conversation_supervises_answers_and_what_ends_them():
    encoded = encode_conversation(TOKENIZER, TURNS)
    assert text(encoded.input_ids) == "#\nIs there a circle? yes\nHow many shapes? two\n"
    supervised = text(i for i, label in zip(encoded.input_ids, encoded.labels, strict=True) if label != IGNORE_INDEX)
    assert supervised == " yes\n two\n"
    assert all(label in (IGNORE_INDEX, i) for i, label in zip(encoded.input_ids, encoded.labels, strict=True))


@pytest.mark.parametrize("turns", [TURNS[:1], TURNS])
def test_prompt_is_a_prefix_of_training(turns):
    prompt = encode_prompt(TOKENIZER, turns[0][0])
    assert tuple(prompt) == encode_conversation(TOKENIZER, turns).input_ids[: len(prompt)]


def test_every_placeholder_becomes_an_image():
    assert expand_images([IMAGE, 5, 6, IMAGE], [9, 9]) == [9, 9, 5, 6, 9, 9]
    assert expand_images([5, 6], [9, 9]) == [5, 6]


def test_official_prompt_keeps_the_suffix():
    assert text(encode_prompt(TOKENIZER, TURNS[0][0], compact=False)).endswith(MME_SUFFIX)


def test_generation_stops_at_newline_or_end_of_sequence():
    assert stop_ids(TOKENIZER) == [TOKENIZER.convert_tokens_to_ids("\u010a"), TOKENIZER.eos_token_id]
    assert TOKENIZER.decode(stop_ids(TOKENIZER)) == "\n<|endoftext|>"


def test_nothing_stands_between_a_question_and_the_newline_of_an_empty_answer():
    """As a model goes on that has said nothing."""
    assert text(encode_conversation(TOKENIZER, [("a", ""), ("b", "c")]).input_ids) == "#\na\nb c\n"


@pytest.mark.parametrize("word", ["<|endoftext|>", "<|pad|>", "<image>"])
def test_control_words_of_data_are_text(word):
    written = f"a {word}."
    encoded = [
        encode_caption(TOKENIZER, written).labels,
        encode_conversation(TOKENIZER, [(written, written)]).input_ids,
        encode_prompt(TOKENIZER, written),
        encode_answer(TOKENIZER, written),
    ]
    for ids in encoded:
        assert word in text(i for i in ids if i != IGNORE_INDEX)
        assert not {TOKENIZER.eos_token_id, TOKENIZER.pad_token_id} & set(ids)


def test_how_often_a_control_word_was_learnt_as_the_end():
    """A caption with the end token's name in its middle is learnt to its end, and ends once, with a newline."""
    tokenizer = family("smollm2")
    encoded = encode_caption(tokenizer, "a <|im_end|> b")
    assert tokenizer.eos_token_id not in encoded.labels
    assert encoded.labels.count(stop_ids(tokenizer)[0]) == 1
