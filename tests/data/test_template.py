"""What is supervised, and that a prompt of evaluation has the ids it had in training."""

import pytest

from pargo.data.template import (
    IGNORE_INDEX,
    IMAGE,
    MME_SUFFIX,
    encode_caption,
    encode_conversation,
    encode_prompt,
    expand_images,
    stop_ids,
)


class Characters:
    """A tokenizer with one token per character."""

    eos_token_id = 0

    def __call__(self, text, add_special_tokens):
        assert add_special_tokens is False
        return {"input_ids": [ord(c) for c in text]}


TOKENIZER = Characters()
TURNS = [("Is there a circle?" + MME_SUFFIX, "yes"), ("How many shapes?", "two")]


def text(ids):
    return "".join("#" if i == IMAGE else chr(i) for i in ids)


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
    assert stop_ids(TOKENIZER) == [ord("\n"), 0]
