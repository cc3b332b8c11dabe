"""The exported model at home in transformers: generation, Auto classes, pipeline, server and terminal."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import httpx2
import pytest
import torch
from PIL import Image

from pargo.data.images import open_images
from pargo.data.pieces import read_prompt
from pargo.data.template import encode_conversation
from pargo.errors import InputError
from pargo.export.chat import Conversation
from pargo.export.chat_templates import CHAT_TEMPLATES
from pargo.export.load import load_exported
from pargo.models.projectors.base import ProjectorBase
from tests.helpers.command_line import call
from tests.helpers.documents import read

QUESTIONS = ["Is there a circle?", "How many shapes?", "What is at the top left of this?", "Red?"]


@pytest.fixture(scope="module")
def exported(project):
    return load_exported(project.root / "exported")


@pytest.fixture(scope="module")
def images(project) -> list[Image.Image]:
    found = open_images(project.root / "artifacts/micro/sources/mini_mme", "test")
    return [found.load(found.ids[index]) for index in (0, 3, 5, 8)]


def test_the_trained_projector_alone_as_documented(project):
    [block] = [text for _, text in read("docs/projectors.md").blocks if "from_pretrained" in text]
    names: dict = {}
    exec(block.replace('"my-model"', repr(str(project.root / "exported"))), names)  # noqa: S102 - what a reader copies
    assert isinstance(names["trained"], ProjectorBase)


def messages(question: str, image: bool = True) -> list[dict]:
    return [{"role": "user", "content": [{"type": "image"}] * image + [{"type": "text", "text": question}]}]


def answer(exported, images, questions: list[str], **options) -> list[str]:
    model, processor = exported
    prompts = processor.apply_chat_template([messages(text) for text in questions], add_generation_prompt=True)
    inputs = processor(images=images, text=prompts, padding=True, return_tensors="pt")
    ids = model.generate(**inputs, **({"max_new_tokens": 8} | options))
    return processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}])
def test_batched_generation_equals_one_by_one(exported, images, options):
    together = answer(exported, images, QUESTIONS, **options)
    alone = [answer(exported, [image], [text], **options)[0] for image, text in zip(images, QUESTIONS, strict=True)]
    assert together == alone
    assert len(set(together)) > 1


def test_cache_changes_nothing(exported, images):
    assert answer(exported, images, QUESTIONS) == answer(exported, images, QUESTIONS, use_cache=False)


def test_greedy_equals_stepwise_argmax(exported, images):
    model, processor = exported
    prompt = processor.apply_chat_template(messages(QUESTIONS[0]), add_generation_prompt=True)
    inputs = processor(images=images[0], text=prompt, return_tensors="pt")
    ids = inputs["input_ids"]
    for _ in range(6):
        logits = model(input_ids=ids, pixel_values=inputs["pixel_values"]).logits[:, -1]
        logits[:, processor.image_token_id] = -torch.inf
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], 1)
    ends = model.generation_config.eos_token_id
    found = model.generate(**inputs, max_new_tokens=6)[0].tolist()
    expected = ids[0].tolist()
    stop = next((at + 1 for at in range(inputs["input_ids"].shape[1], len(expected)) if expected[at] in ends), None)
    assert found == expected[:stop]


def test_the_image_matters_and_is_not_needed(exported, images):
    model, processor = exported
    assert len({answer(exported, [image], [QUESTIONS[0]])[0] for image in images}) > 1
    prompt = processor.apply_chat_template(messages("Hello", image=False), add_generation_prompt=True)
    inputs = processor(text=[prompt], return_tensors="pt")
    assert processor.image_token not in prompt
    assert model.generate(**inputs, max_new_tokens=3).shape[1] > inputs["input_ids"].shape[1]


def test_several_turns(exported, images):
    model, processor = exported
    talk = Conversation(model, processor, images[0])
    first = talk.ask(QUESTIONS[0])
    odd = "What is <image> or <|endoftext|>?\n"
    second = talk.ask(odd)
    turns = messages(QUESTIONS[0])
    turns += [{"role": "assistant", "content": [{"type": "text", "text": first}]}, *messages(odd, image=False)]
    prompt = processor.apply_chat_template(turns, add_generation_prompt=True)
    asked = encode_conversation(processor.tokenizer, [(QUESTIONS[0], first), (odd, "")]).input_ids
    assert processor.prompt_ids(prompt) == [processor.image_token_id] * processor.num_image_tokens + [*asked[1:-1]]
    inputs = processor(images=images[0], text=prompt, return_tensors="pt")
    ids = model.generate(**inputs)
    again = processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    assert again == second


def test_loss_is_that_of_the_shifted_labels(exported, images):
    model, processor = exported
    inputs = processor(images=images[0], text="<image>\nRed? yes\n", return_tensors="pt")
    ids = inputs["input_ids"]
    labels = ids.masked_fill(ids == processor.image_token_id, -100)
    output = model(**inputs, labels=labels)
    logits = output.logits[0, :-1].log_softmax(-1)
    kept = labels[0, 1:] != -100
    expected = -logits[kept].gather(1, labels[0, 1:][kept].unsqueeze(1)).mean()
    torch.testing.assert_close(output.loss, expected)
    assert output.image_hidden_states.shape == (1, processor.num_image_tokens, 64)


def test_gradient_checkpointing_of_the_whole_model(exported, images):
    model, processor = exported
    inputs = processor(images=images[0], text="<image>\nRed? yes\n", return_tensors="pt")
    gradients = []
    for enable in (False, True):
        model.requires_grad_(True).train()
        if enable:
            model.activation_checkpointing_enable()
            assert model.projector.gradient_checkpointing
        model.zero_grad()
        model(**inputs, labels=inputs["input_ids"], use_cache=False).loss.backward()
        gradients.append(model.projector.layers[0].cross_attention.key.weight.grad.clone())
    model.activation_checkpointing_disable()
    model.zero_grad()
    model.eval().requires_grad_(False)
    torch.testing.assert_close(*gradients)


# In a fresh process ---------------------------------------------------------------------------------------------------


def run_python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_auto_classes_and_pipeline_give_the_same_text_in_a_fresh_process(project, exported, images, tmp_path):
    image_file = tmp_path / "x.png"
    images[1].save(image_file)
    expected = [
        answer(exported, [images[1]], [text], **options)[0]
        for text in QUESTIONS[:2]
        for options in ({}, {"num_beams": 3})
    ]
    printed = run_python(
        """
        import json, sys
        import pargo.models.auto
        from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline
        directory, image, *questions = sys.argv[1:]
        model = AutoModelForImageTextToText.from_pretrained(directory)
        processor = AutoProcessor.from_pretrained(directory)
        assert type(model).__name__ == "PargoForConditionalGeneration", type(model)
        assert type(processor).__name__ == "PargoProcessor", type(processor)
        ask = pipeline("image-text-to-text", model=directory)
        found = []
        for question in questions:
            content = [{"type": "image", "path": image}, {"type": "text", "text": question}]
            chat = [{"role": "user", "content": content}]
            inputs = processor.apply_chat_template(
                chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            )
            for beams in (1, 3):
                ids = model.generate(**inputs, max_new_tokens=8, num_beams=beams)
                text = processor.decode(ids[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
                options = {"max_new_tokens": 8, "num_beams": beams}
                said = ask(text=chat, generate_kwargs=options, return_full_text=False)[0]["generated_text"]
                assert said == text, (said, text)
                found.append(text)
        print(json.dumps(found))
        """,
        str(project.root / "exported"),
        str(image_file),
        *QUESTIONS[:2],
    )
    assert json.loads(printed.splitlines()[-1]) == expected


def test_serve_answers_over_http(project, exported, images, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pargo", "serve", str(project.root / "exported"), "--port", str(port)]
    image_file = tmp_path / "x.png"
    images[0].save(image_file)
    log = tmp_path / "log"
    with log.open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        _wait(f"http://127.0.0.1:{port}/health", server, log)
        content = [
            {"type": "image_url", "image_url": {"url": _data_uri(image_file)}},
            {"type": "text", "text": QUESTIONS[0]},
        ]
        body = {
            "model": str(project.root / "exported"),
            "messages": [{"role": "user", "content": content}],
            "max_tokens": 8,
        }
        response = httpx2.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, timeout=60)
        said = response.json()["choices"][0]["message"]["content"]
    finally:
        server.terminate()
        server.wait(timeout=20)
    assert said.strip() == answer(exported, [images[0]], [QUESTIONS[0]])[0].strip()


def _data_uri(path: Path) -> str:
    import base64

    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _wait(address: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 90
    while True:
        assert server.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < end, "the server did not start\n" + log.read_text()[-2000:]
        try:
            httpx2.get(address, timeout=2)
        except httpx2.TransportError:
            time.sleep(0.3)
        else:
            return


def started(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Exit code, output and errors of the command line; a model with random weights writes any character."""
    command = [sys.executable, "-m", "pargo", *arguments]
    done = subprocess.run(command, input=stdin.encode(), capture_output=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_chat_in_the_terminal(project, exported, images, tmp_path):
    image_file, figure = tmp_path / "x.png", tmp_path / "attention.png"
    images[0].save(image_file)
    directory = str(project.root / "exported")
    typed = f"{QUESTIONS[0]}\nRed?\n\nnot read\n"
    code, said, errors = started("chat", directory, str(image_file), "--save-attention", str(figure), stdin=typed)
    assert code == 0, errors[-2000:]
    model, processor = exported
    talk = Conversation(model, processor, images[0])
    assert said == f"{talk.ask(QUESTIONS[0])}\n{talk.ask('Red?')}\n"
    with Image.open(figure) as drawn:
        assert drawn.width > 400
    done = call("chat", directory, image_file, "--question", QUESTIONS[0])
    assert (done.returncode, done.stdout) == (0, f"{Conversation(model, processor, images[0]).ask(QUESTIONS[0])}\n")


def test_chat_refuses_what_it_cannot_read(project, tmp_path):
    (tmp_path / "x.png").write_text("no image")
    done = call("chat", project.root / "exported", tmp_path / "x.png")
    assert done.returncode == 2
    assert "cannot read image" in done.stderr
    Image.new("RGB", (9, 9)).save(tmp_path / "x.png")
    done = call("chat", tmp_path, tmp_path / "x.png")
    assert done.returncode == 2
    assert "holds no exported model" in done.stderr
    assert "Traceback" not in done.stderr


# Bad input ------------------------------------------------------------------------------------------------------------


def test_prompts_and_images_must_match(exported, images):
    _, processor = exported
    with pytest.raises(InputError, match=r"prompt 0 has 2 images \(<image>\); the model takes one"):
        processor(images=images[:1], text="<image><image>\nRed?")
    with pytest.raises(InputError, match=r"prompt 1 has 2 images"):
        processor(images=images[:2], text=["Red?", "<image> <image>"])
    with pytest.raises(ValueError, match=r"number of <image> tokens .* 1 <image> tokens and 2 images"):
        processor(images=images[:2], text="<image>\nRed?")
    with pytest.raises(ValueError, match="no images were passed"):
        processor(text=["<image>\nRed?"])


def test_image_tokens_and_images_must_match(exported, images):
    model, processor = exported
    inputs = processor(images=images[0], text="<image>\nRed?", return_tensors="pt")
    with pytest.raises(ValueError, match=r"\[4\] image tokens in the rows of input_ids, but 1 image\(s\) of 5 tokens"):
        model(input_ids=inputs["input_ids"][:, 1:], pixel_values=inputs["pixel_values"])
    with pytest.raises(ValueError, match=r"\[5\] image tokens .*, but 0 image\(s\)"):
        model(input_ids=inputs["input_ids"])
    with pytest.raises(ValueError, match=r"\[5\] image tokens .*, but 2 image\(s\)"):
        model.generate(input_ids=inputs["input_ids"], pixel_values=inputs["pixel_values"].repeat(2, 1, 1, 1))
    for images_given in (0, 2):  # with beams, transformers deals images out to the rows by itself
        given = {"pixel_values": inputs["pixel_values"].repeat(images_given, 1, 1, 1)} if images_given else {}
        with pytest.raises(ValueError, match=rf"\[5\] image tokens .*, but {images_given} image\(s\)"):
            model.generate(input_ids=inputs["input_ids"], num_beams=3, **given)
    uneven = torch.stack(
        [torch.full((6,), processor.image_token_id), torch.tensor([1] * 2 + [processor.image_token_id] * 4)]
    )
    with pytest.raises(ValueError, match=r"\[6, 4\] image tokens"):
        model(input_ids=uneven, pixel_values=inputs["pixel_values"].repeat(2, 1, 1, 1))


def test_pixels_that_are_not_finite_are_refused(exported, images):
    model, processor = exported
    inputs = processor(images=images[0], text="<image>\nRed?", return_tensors="pt")
    with pytest.raises(ValueError, match=r"NaN or infinite values in image\(s\) \[0\]"):
        model(input_ids=inputs["input_ids"], pixel_values=inputs["pixel_values"] * torch.nan)


def test_nothing_is_put_before_a_prompt(exported):
    """As in training: a tokenizer that puts a token before every text must not do it here."""
    _, processor = exported
    asked = []
    tokenizer, processor.tokenizer = processor.tokenizer, _Recording(processor.tokenizer, asked)
    try:
        processor(text=["Red?"])
    finally:
        processor.tokenizer = tokenizer
    assert asked == [False]


class _Recording:
    def __init__(self, tokenizer, asked: list[bool]) -> None:
        self._tokenizer, self._asked = tokenizer, asked

    def __call__(self, *args, add_special_tokens: bool = True, **kwargs):
        self._asked.append(add_special_tokens)
        return self._tokenizer(*args, add_special_tokens=add_special_tokens, **kwargs)

    def __getattr__(self, name: str):
        return getattr(self._tokenizer, name)


def test_roles_the_model_does_not_know(exported):
    _, processor = exported
    with pytest.raises(Exception, match="knows no role system"):
        processor.apply_chat_template([{"role": "system", "content": "x"}])


def test_prompt_of_the_release(exported):
    _, processor = exported
    prompt = processor.apply_chat_template(
        messages("Is this a dog?\nAnswer the question using a single word(Yes or No)"),
        chat_template=CHAT_TEMPLATES["release"],
        add_generation_prompt=True,
    )
    assert "".join(piece.text for piece in read_prompt(prompt)) == (
        "<s>A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions. USER: <Img><image></Img> Is this a dog?\n"
        "Answer the question using a single word(Yes or No)\nASSISTANT: "
    )
