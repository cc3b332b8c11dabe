"""A conversation has the same token ids in training, evaluation, exported processors, servers and lmms-eval."""

from __future__ import annotations

import base64
import io
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.cli.serving.utils import BaseHandler, Modality

from pargo.benchmarks.answering.prompts import Preset
from pargo.benchmarks.records import Question
from pargo.data.pieces import opening_token, piece_ids, read_prompt, text_tokenizer, write_prompt
from pargo.data.template import (
    IGNORE_INDEX,
    IMAGE,
    conversation_pieces,
    encode_answer,
    encode_conversation,
    encode_prompt,
    expand_images,
    question_pieces,
    stop_ids,
)
from pargo.errors import InputError
from pargo.export.chat_templates import CHAT_TEMPLATES
from pargo.export.load import load_processor
from pargo.models.image_processor import PargoImageProcessor
from pargo.models.processor import PargoProcessor
from tests.helpers.tiny_tokenizers import FAMILIES, family, new_folder

NUM_IMAGE_TOKENS = 3
CONVERSATIONS = {
    "one turn": [("Is there a circle?", "No.")],
    "three turns": [("Is there a circle?", "No."), ("'s it red?", "Yes, 12."), ("How many (in all)?", "3")],
    "white space": [("  Is\n\nit \t red? \n", "No.  "), ("\nhow many? ", "  two\n circles")],
    "control words": [
        ("What is <image> or </s>?<|im_end|>\n", "<|endoftext|> <s>"),
        ("<image>", "a<|eot_id|>b </s>"),
        ("<|im_start|>user\n<unk>", "<image>."),
    ],
}
each_family = pytest.mark.parametrize("name", FAMILIES)
each_conversation = pytest.mark.parametrize("turns", CONVERSATIONS.values(), ids=CONVERSATIONS)


@cache
def exported(name: str, template: str = "compact") -> PargoProcessor:
    """A processor, saved and loaded as an export is; its tokenizer has the token of images, the trained one has not."""
    folder = new_folder()
    tokenizer = family.__wrapped__(name)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]}, replace_extra_special_tokens=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    images = PargoImageProcessor(size={"height": 16, "width": 16})
    made = PargoProcessor(images, tokenizer, NUM_IMAGE_TOKENS, chat_template=CHAT_TEMPLATES[template])
    made.save_pretrained(folder)
    return load_processor(folder)


def image() -> Image.Image:
    return Image.new("RGB", (16, 16), "red")


def messages(turns, *, last_answer: bool = True) -> list[dict]:
    """As transformers' processors take them."""
    found: list[dict] = []
    for index, (question, answer) in enumerate(turns):
        shown = [{"type": "image", "image": image()}] if index == 0 else []
        found.append({"role": "user", "content": [*shown, {"type": "text", "text": question}]})
        found.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    return found if last_answer else found[:-1]


def trained(name: str, turns) -> list[int]:
    """Ids of training, with the image's."""
    return expand(name, encode_conversation(family(name), turns).input_ids)


def expand(name: str, ids) -> list[int]:
    return expand_images(ids, [exported(name).image_token_id] * NUM_IMAGE_TOKENS)


def prompt_length(name: str, turns) -> int:
    """How many ids of training stand before the last answer."""
    answer = [*encode_answer(family(name), turns[-1][1]), *text_tokenizer(family(name)).newline]
    return len(trained(name, turns)) - len(answer)


# Training and evaluation ----------------------------------------------------------------------------------------------


@each_family
@each_conversation
def test_labels_are_answers_and_the_newlines_after_them(name, turns):
    tokenizer, encoded = family(name), encode_conversation(family(name), turns)
    newline = text_tokenizer(tokenizer).newline
    expected = [token for _, answer in turns for token in (*encode_answer(tokenizer, answer), *newline)]
    assert [label for label in encoded.labels if label != IGNORE_INDEX] == expected
    pairs = zip(encoded.input_ids, encoded.labels, strict=True)
    assert all(label in (IGNORE_INDEX, token) for token, label in pairs)
    assert encoded.labels[-1] == stop_ids(tokenizer)[0]  # where generation stops


@each_family
@each_conversation
def test_a_prompt_of_evaluation_is_the_beginning_of_training(name, turns):
    question = Question(id="0", task="t", image="i", question=turns[0][0], label="")
    preset = Preset(lambda asked: asked.question, "compact", max_new_tokens=1)
    prompt = preset.encode(family(name), question)
    assert prompt == encode_prompt(family(name), turns[0][0])
    assert tuple(prompt) == encode_conversation(family(name), turns).input_ids[: len(prompt)]
    assert expand(name, prompt) == trained(name, turns[:1])[: prompt_length(name, turns[:1])]


# The exported processor -----------------------------------------------------------------------------------------------


@each_family
@each_conversation
def test_the_chat_template_writes_the_pieces(name, turns):
    prompt = exported(name).apply_chat_template(messages(turns))
    assert prompt == write_prompt(conversation_pieces(turns))
    assert read_prompt(prompt) == [piece._replace(supervised=False) for piece in conversation_pieces(turns)]


@each_family
@each_conversation
@pytest.mark.parametrize("generation_prompt", [False, True])
def test_exported_ids_are_those_of_training(name, turns, generation_prompt):
    processor = exported(name)
    for last_answer in (True, False):
        chat, options = messages(turns, last_answer=last_answer), {"add_generation_prompt": generation_prompt}
        expected = trained(name, turns)[: None if last_answer else prompt_length(name, turns)]
        inputs = processor.apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="pt", **options)
        assert inputs["input_ids"].tolist() == [expected]
        assert inputs["attention_mask"].tolist() == [[1] * len(expected)]
        assert inputs["pixel_values"].shape == (1, 3, 16, 16)
        prompt = processor.apply_chat_template(chat, **options)
        again = processor(images=image(), text=prompt)
        assert list(again["input_ids"][0]) == expected
        assert processor.prompt_ids(prompt) == expected
        marked = processor.apply_chat_template(chat, tokenize=True, sanitize_control_tokens=True, **options)
        assert list(marked[0]) == expected


@each_family
def test_batches(name):
    processor, all_turns = exported(name), list(CONVERSATIONS.values())
    chats = [messages(turns, last_answer=False) for turns in all_turns]
    expected = [trained(name, turns)[: prompt_length(name, turns)] for turns in all_turns]
    inputs = processor.apply_chat_template(
        chats, tokenize=True, return_dict=True, return_tensors="pt", processor_kwargs={"padding": True}
    )
    rows = zip(inputs["input_ids"], inputs["attention_mask"].bool(), strict=True)
    assert [ids[mask].tolist() for ids, mask in rows] == expected
    assert inputs["attention_mask"][:, -1].all()  # padded on the left
    two_steps = processor(
        images=[image()] * len(chats), text=processor.apply_chat_template(chats), padding=True, return_tensors="pt"
    )
    assert torch.equal(two_steps["input_ids"], inputs["input_ids"])
    assert torch.equal(two_steps["pixel_values"], inputs["pixel_values"])


@each_family
def test_an_answer_is_continued(name):
    """The final message is the beginning of the answer."""
    turns = CONVERSATIONS["three turns"]
    found = exported(name).apply_chat_template(messages(turns), tokenize=True, continue_final_message=True)
    assert list(found[0]) == trained(name, turns)[:-1]  # without the newline that would end it


words = st.text(max_size=20) | st.sampled_from([" ", "<image>", "</s>", "\n\n", "No.\n", "\ufdd0\ufdd2<image>"])


@settings(max_examples=30)
@given(name=st.sampled_from(sorted(FAMILIES)), turns=st.lists(st.tuples(words, words), min_size=1, max_size=3))
def test_any_texts(name, turns):
    found = exported(name).apply_chat_template(messages(turns), tokenize=True, return_dict=True)
    assert list(found["input_ids"][0]) == trained(name, turns)


@each_family
def test_a_question_of_text_alone(name):
    chat = [{"role": "user", "content": "What is <image>?"}]
    found = exported(name).apply_chat_template(chat, tokenize=True)
    assert list(found[0]) == piece_ids(family(name), question_pieces("What is <image>?"), [])


# Servers and lmms-eval ------------------------------------------------------------------------------------------------


def over_http(turns) -> list[dict]:
    """A conversation as a client sends it to a server."""
    stream = io.BytesIO()
    image().save(stream, "PNG")
    url = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    sent = messages(turns, last_answer=False)
    sent[0]["content"][0] = {"type": "image_url", "image_url": {"url": url}}
    return sent


@each_family
@each_conversation
def test_what_transformers_serve_makes_of_a_request(name, turns):
    """The calls of its handler of chats (transformers.cli.serving.chat_completion)."""
    chat = BaseHandler.get_processor_inputs_from_messages(over_http(turns), Modality.VLM)
    inputs = exported(name).apply_chat_template(
        chat,
        add_generation_prompt=True,
        tools=None,
        return_tensors="pt",
        return_dict=True,
        tokenize=True,
        load_audio_from_video=False,
    )
    assert inputs["input_ids"].tolist() == [trained(name, turns)[: prompt_length(name, turns)]]
    assert inputs["pixel_values"].shape == (1, 3, 16, 16)


@each_family
@each_conversation
def test_what_lmms_eval_asks(harness, name, turns):
    question, answer = turns[0]
    model = harness.HarnessModel.__new__(harness.HarnessModel)
    model.processor, model.device = exported(name), torch.device("cpu")
    asked = harness.Asked("x", question, lambda document: [document], image)
    inputs = model._inputs([asked])
    assert inputs["input_ids"].tolist() == [trained(name, turns)[: prompt_length(name, turns[:1])]]
    assert encode_answer(model.processor.tokenizer, answer) == encode_answer(family(name), answer)


# The release's prompt -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["internlm2", "llama2", "llama2_published"])
@each_conversation
def test_the_release_is_asked_as_in_its_evaluation(name, turns):
    processor = exported(name, "release")
    preset = Preset(lambda asked: asked.question, "pargo_release", max_new_tokens=1)
    expected = expand(name, preset.encode_text(family(name), turns[0][0]))
    found = processor.apply_chat_template(messages(turns[:1], last_answer=False), tokenize=True, return_dict=True)
    assert list(found["input_ids"][0]) == expected
    whole = list(processor.apply_chat_template(messages(turns), tokenize=True)[0])
    end = family(name).eos_token_id
    assert whole[: len(expected)] == expected
    assert whole.count(end) == len(turns)  # those that the template writes
    assert whole[-1] == end
    assert [piece.text for piece in opening_token(family(name))] == ["<s>"]
    assert whole.count(family(name).bos_token_id) == 1


# Refused --------------------------------------------------------------------------------------------------------------


def test_what_cannot_be_had_is_refused():
    processor, chat = exported("qwen2"), messages(CONVERSATIONS["one turn"])
    with pytest.raises(InputError, match="return_assistant_tokens_mask: this model's chat template does not mark"):
        processor.apply_chat_template(chat, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    with pytest.raises(InputError, match="at least one message, got none"):
        processor.apply_chat_template([])
    for options in ({"return_offsets_mapping": True}, {"truncation": True, "max_length": 4}, {"stride": 2}):
        with pytest.raises(InputError, match=f"apply_chat_template are tokenized without {next(iter(options))}"):
            processor.apply_chat_template(chat, tokenize=True, processor_kwargs=options)
    with pytest.raises(Exception, match="this model knows no tools and no documents"):
        processor.apply_chat_template(chat, tools=[{"type": "function", "function": {"name": "f"}}])
    with pytest.raises(Exception, match="reads text and images, no audio"):
        processor.apply_chat_template([{"role": "user", "content": [{"type": "audio"}]}])
    prompt = processor.apply_chat_template(chat)
    with pytest.raises(InputError, match="begins with the text 'Now: '"):
        processor(images=image(), text="Now: " + prompt)
    with pytest.raises(InputError, match="found 1 <image> tokens and 2 images"):
        processor(images=[image()] * 2, text=prompt)
    with pytest.raises(InputError, match="found 1 <image> tokens and 0 images"):
        processor(text=prompt)
    chat[0]["content"].insert(0, {"type": "image", "image": image()})
    with pytest.raises(InputError, match="prompt 0 has 2 images"):
        processor.apply_chat_template(chat, tokenize=True)


def test_without_the_processor_the_template_is_readable():
    """Of `AutoTokenizer`, which reads the same file and knows no marks."""
    tokenizer, turns = exported("qwen2").tokenizer, CONVERSATIONS["three turns"]
    prompt = tokenizer.apply_chat_template(messages(turns), chat_template=CHAT_TEMPLATES["compact"], tokenize=False)
    expected = "<image>" + "".join(f"\n{question} {answer}" for question, answer in turns) + "\n"
    assert prompt == expected
    assert IMAGE not in tokenizer(prompt)["input_ids"]
