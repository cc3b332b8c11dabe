"""The exported model in lmms-eval: answers and losses are those of our own pipeline, before any export.

Without lmms-eval its base class is replaced by a stand-in; what runs the harness itself is skipped then.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from pargo.code import import_closure
from pargo.data.feature_store import FeatureStore
from pargo.data.images import open_images
from pargo.data.template import encode_prompt, stop_ids
from pargo.errors import InputError
from pargo.models.build import build_model, load_own_weights
from pargo.models.generate import generate
from pargo.models.language import load_tokenizer
from pargo.models.rank import option_losses
from pargo.models.vlm import PargoForConditionalGeneration
from pargo.train.finetune import FinetuneSettings

needs_lmms_eval = pytest.mark.skipif(importlib.util.find_spec("lmms_eval") is None, reason="lmms-eval is not installed")

QUESTIONS = ["Is there a circle?", "How many shapes?", "What is at the top left of this?", "Red?", "Left or right?"]
OPTIONS = ["yes", "two red circles", "no", "green"]


@pytest.fixture(scope="module")
def model(harness, project):
    return harness.HarnessModel(str(project.root / "exported"), batch_size="2", device="cpu")


@pytest.fixture(scope="module")
def images(project) -> dict[str, Image.Image]:
    found = open_images(project.root / project.layout.source("mini_mme"), "test")
    return {name: found.load(name) for name in found.ids[:: len(found.ids) // len(QUESTIONS)][: len(QUESTIONS)]}


class Pipeline:
    """The model as the stage `evaluate` has it: its own weights, LoRA, stored features."""

    def __init__(self, project) -> None:
        language, weights = project.root / project.layout.source("language_model"), project.root / project.model
        trained = FinetuneSettings.model_validate_json((weights / "config.json").read_text())
        parts = trained.vision, trained.language, trained.projector, trained.train.lora.adapter
        self.model = build_model(PargoForConditionalGeneration, *parts, language, seed=0)
        load_own_weights(self.model, weights)
        self.tokenizer = load_tokenizer(language)
        self.store = FeatureStore(project.root / project.layout.features("mini_mme", "test"))

    def answer(self, image: str, question: str, max_new_tokens: int = 8, num_beams: int = 1) -> str:
        prompt = encode_prompt(self.tokenizer, question, compact=False)
        [ids] = generate(
            self.model, self.store[image][None], [prompt], max_new_tokens, num_beams, stop_ids(self.tokenizer)
        )
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip()

    def loss(self, image: str, question: str, option: str) -> float:
        ids = self.tokenizer(f" {option}", add_special_tokens=False)["input_ids"]
        prompt = encode_prompt(self.tokenizer, question, compact=False)
        return option_losses(self.model, self.store[image][None], [prompt], [ids])[0] / len(ids)


@pytest.fixture(scope="module")
def pipeline(project) -> Pipeline:
    return Pipeline(project)


def requests(model, asked: list[tuple], second: list) -> list[SimpleNamespace]:
    """Requests as lmms-eval makes them, of (images, text); `second` is their second argument."""
    model.task_dict["tiny"] = {"test": [shown for shown, _ in asked]}
    return [
        SimpleNamespace(args=(text, argument, lambda document: document, number, "tiny", "test"), task_name="tiny")
        for number, ((_, text), argument) in enumerate(zip(asked, second, strict=True))
    ]


def losses(model, asked: list[tuple], options: list) -> list[tuple[float, bool]]:
    return [result.text for result in model.loglikelihood(requests(model, asked, options))]


def asked_about(images: dict[str, Image.Image]) -> list[tuple]:
    return [([image], text) for image, text in zip(images.values(), QUESTIONS, strict=True)]


# Answers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 5])
def test_answers_are_those_of_the_pipeline_whatever_the_batch(model, pipeline, images, monkeypatch, size):
    monkeypatch.setattr(model, "batch_size", size)
    settings = [
        {"max_new_tokens": 8},
        {"max_new_tokens": 3, "do_sample": False, "temperature": 0.7, "top_p": 1.0},
        {"max_new_tokens": 8, "num_beams": 3},
        {"max_gen_toks": 8, "do_sample": True, "temperature": 0.0, "num_beams": None},
        {"max_new_tokens": 8, "until": []},
    ]
    found = model.generate_until(requests(model, asked_about(images), settings))
    expected = [
        pipeline.answer(image, text, limit, beams)
        for image, text, limit, beams in zip(images, QUESTIONS, [8, 3, 8, 8, 8], [1, 1, 3, 1, 1], strict=True)
    ]
    assert found == expected
    assert len(set(found)) > 2


def test_limits_of_length(model, images):
    image = next(iter(images.values()))

    def answer(**settings) -> str:
        return model.generate_until(requests(model, [([image], "Red?")], [settings]))[0]

    whole, five, three = (answer(max_new_tokens=limit) for limit in (64, 5, 3))
    assert len({whole, five, three}) == 3
    assert answer() == whole
    model.max_new_tokens = 3
    try:
        assert answer() == answer(max_new_tokens=5) == three
    finally:
        model.max_new_tokens = None


def test_until_ends_an_answer(model, pipeline, images):
    image, shown = next(iter(images.items()))
    whole = pipeline.answer(image, "Red?")
    assert len(whole) > 4
    settings = [
        {"max_new_tokens": 8, "until": until} for until in (whole[3], [whole[4:], whole[2:4]], ["", whole + "x"])
    ]
    found = model.generate_until(requests(model, [([shown], "Red?")] * 3, settings))
    assert found == [whole[: whole.index(whole[3])].strip(), whole[: whole.index(whole[2:4])].strip(), whole]


def test_an_image_is_not_needed_and_its_marker_does_not_matter(model, pipeline, images):
    image, shown = next(iter(images.items()))
    marked = [([shown], text) for text in ("Red?\n<image>", "<image>\nRed?", " <image> \n\nRed?", "Red?\n <image> ")]
    asked = [([shown], "Red?"), (None, "Red?"), ([], "Red?"), *marked]
    with_image, without, empty, *same = model.generate_until(
        requests(model, asked, [{"max_new_tokens": 8}] * len(asked))
    )
    assert {with_image, *same} == {pipeline.answer(image, "Red?")}
    assert without == empty != with_image


def test_a_marker_within_a_line_is_text(model, pipeline, images):
    image, shown = next(iter(images.items()))
    texts = ["<image> or <image>?", "<image>?\n", "  what is\n<image>, here "]
    found = model.generate_until(requests(model, [([shown], text) for text in texts], [{"max_new_tokens": 8}] * 3))
    assert found == [pipeline.answer(image, text) for text in texts]


def test_task_without_images(model):
    [request] = requests(model, [(None, "Red?")], [{"max_new_tokens": 4}])
    text, settings, _, *rest = request.args
    request.args = (text, settings, None, *rest)  # `doc_to_visual` is not set
    assert model.generate_until([request]) == model.generate_until(
        requests(model, [([], "Red?")], [{"max_new_tokens": 4}])
    )


# Options --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 20])
def test_losses_are_those_of_the_pipeline_whatever_the_batch(model, pipeline, images, monkeypatch, size):
    monkeypatch.setattr(model, "batch_size", size)
    rows = [(name, text, option) for name, text in zip(images, QUESTIONS, strict=True) for option in OPTIONS]
    asked = [([images[name]], text) for name, text, _ in rows]
    # with and without lmms-eval's delimiter, or from the document
    targets = [option if index % 3 else f" {option}" for index, (_, _, option) in enumerate(rows)]
    targets[4] = lambda document: "yes" if document == [images[rows[4][0]]] else "other"
    found = losses(model, asked, targets)
    torch.testing.assert_close([loss for loss, _ in found], [pipeline.loss(*row) for row in rows], rtol=1e-4, atol=1e-4)


def test_greedy_says_whether_each_token_of_an_option_is_the_likeliest(model, images, monkeypatch):
    """Of a model that knows what comes next, but for one token within one option."""
    own, tokenizer = model.model, model.processor.tokenizer
    ids = [tokenizer(f" {option}", add_special_tokens=False)["input_ids"] for option in OPTIONS]
    unknown = next(token for token in ids[1][1:-1] if not any(token in ids[other] for other in (0, 2, 3)))

    def knowing(input_ids, logits_to_keep, **inputs):
        output = own(input_ids=input_ids, logits_to_keep=logits_to_keep, **inputs)
        following = input_ids[:, 1 - logits_to_keep :].unsqueeze(-1)
        output.logits[:, :-1].scatter_add_(2, following, 1000.0 * (following != unknown))
        return output

    monkeypatch.setattr(model, "model", knowing)
    monkeypatch.setattr(model, "batch_size", len(OPTIONS))
    found = losses(model, asked_about(images)[:1] * len(OPTIONS), OPTIONS)
    assert [greedy for _, greedy in found] == [True, False, True, True]
    assert [loss == 0 for loss, _ in found] == [True, False, True, True]


# Batches --------------------------------------------------------------------------------------------------------------


def test_batches_are_of_one_kind_and_the_longest_first(harness):
    kinds, lengths = [(8, 1), (4, 1), (8, 1), (8, 1), (4, 1), (8, 1)], [3, 1, 9, 3, 7, 5]
    assert harness.make_batches(kinds, lengths, 3) == [[4, 1], [2, 5, 0], [3]]
    assert harness.make_batches(kinds, lengths, 1) == [[4], [1], [2], [5], [0], [3]]
    assert harness.make_batches([], [], 3) == []


def test_cut(harness):
    for until, expected in [
        (None, "a b\nc"),
        ([], "a b\nc"),
        ("\n", "a b"),
        (["c", "b"], "a "),
        (["", "x"], "a b\nc"),
        ("a", ""),
    ]:
        assert harness.cut("a b\nc", until) == expected


# Refused --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_sample": True}, r"tiny, document 0 samples its answers; ask with --gen_kwargs do_sample=False"),
        ({"do_sample": True, "temperature": 0.5}, "samples its answers"),
        ({"temperature": 0.2}, "samples its answers"),
        ({"repetition_penalty": 1.5, "n": 2}, r"no generation setting\(s\) n, repetition_penalty; there are do_sample"),
        ({"num_beams": 1.5}, "num_beams is 1.5; expected a whole number from 1 on"),
        ({"max_new_tokens": -1}, "max_new_tokens is -1"),
    ],
)
def test_settings_of_generation_that_are_refused(model, images, settings, message):
    with pytest.raises(InputError, match=message):
        model.generate_until(requests(model, asked_about(images)[:1], [settings]))


def test_what_the_model_cannot_see_is_refused(model, images):
    image = next(iter(images.values()))
    for shown, text, message in [
        ([image, image], "Red?", "tiny, document 0 has 2 images; the model takes one"),
        ([image], "<image>\n<image>\nRed?", "has 2 images"),
        ([image], "<image>\nRed?\n<image>", "has 2 images"),
        ([], "Red?\n <image>", "the text has a line <image>, but the task gives no image"),
        (["film.mp4"], "Red?", r"the model sees images \(PIL\), but the task gives str"),
    ]:
        for ask, argument in ((model.generate_until, {}), (model.loglikelihood, "yes")):
            with pytest.raises(InputError, match=message):
                ask(requests(model, [(shown, text)], [argument]))


def test_requests_that_are_refused(model, images):
    with pytest.raises(InputError, match="tiny, document 0: an option is empty"):
        model.loglikelihood(requests(model, asked_about(images)[:1], [" "]))
    with pytest.raises(InputError, match=r"tiny: .*acc_mutual_info is not supported"):
        model.loglikelihood([SimpleNamespace(args=("", "yes"), task_name="tiny")])
    with pytest.raises(NotImplementedError, match="several rounds are not supported"):
        model.generate_until_multi_round([])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": "auto"}, "batch_size is 'auto'; expected a whole number from 1 on"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({}, "holds no exported model"),
    ],
)
def test_models_that_are_refused(harness, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        harness.HarnessModel(str(tmp_path), **arguments)


def test_nothing_else_needs_lmms_eval():
    needed = import_closure("pargo.__main__", "pargo.commands.models", "pargo.export.run", "pargo.export.release")
    assert Path("pargo/export/load.py") in needed
    assert Path("pargo/export/harness.py") not in needed


# The harness itself ---------------------------------------------------------------------------------------------------

TASK = """\
task: {task}
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
doc_to_visual: !function utils.images
doc_to_text: "{{{{question}}}}"
"""
GENERATE = """\
output_type: generate_until
doc_to_target: answer
generation_kwargs:
  max_new_tokens: 8
  temperature: 0
  do_sample: false
process_results: !function utils.same
metric_list:
  - metric: same
    aggregation: mean
    higher_is_better: true
"""
RANK = """\
output_type: multiple_choice
doc_to_choice: options
doc_to_target: least
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""
UTILS = """\
import io
from PIL import Image

def images(document):
    return [Image.open(io.BytesIO(document["image"]))]

def same(document, results):
    return {"same": float(results[0] == document["answer"])}
"""


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _write_tasks(folder: Path, pipeline: Pipeline, images: dict[str, Image.Image]) -> tuple[list[str], list[list]]:
    """Tasks `tiny_generate` and `tiny_rank`, whose right answers are what our pipeline says; answers and losses."""
    answers = [pipeline.answer(image, text) for image, text in zip(images, QUESTIONS, strict=True)]
    losses = [
        [pipeline.loss(image, text, option) for option in OPTIONS]
        for image, text in zip(images, QUESTIONS, strict=True)
    ]
    table = {
        "image": [_png(image) for image in images.values()],
        "question": QUESTIONS,
        "answer": answers,
        "options": [OPTIONS] * len(QUESTIONS),
        "least": [row.index(min(row)) for row in losses],
    }
    folder.mkdir()
    pq.write_table(pa.table(table), folder / "test.parquet")
    (folder / "utils.py").write_text(UTILS)
    for task, rest in (("tiny_generate", GENERATE), ("tiny_rank", RANK)):
        (folder / f"{task}.yaml").write_text(TASK.format(task=task, data=folder / "test.parquet") + rest)
    return answers, losses


@needs_lmms_eval
def test_lmms_eval_scores_the_pipelines_answers_as_right(project, pipeline, images, tmp_path):
    answers, losses = _write_tasks(tmp_path / "tasks", pipeline, images)
    command = [sys.executable, "-m", "lmms_eval", "--model", "pargo"]
    command += ["--model_args", f"pretrained={project.root / 'exported'}", "--batch_size", "3"]
    command += ["--tasks", "tiny_generate,tiny_rank", "--include_path", str(tmp_path / "tasks")]
    command += ["--log_samples", "--output_path", str(tmp_path / "out")]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, env=os.environ | offline, capture_output=True, text=True, check=False)
    paths = list((tmp_path / "out").rglob("*_results.json"))
    assert len(paths) == 1, done.stderr[-3000:]  # the exit code is 0 in any case
    [path] = paths
    found = json.loads(path.read_text())["results"]
    assert found["tiny_generate"]["same,none"] == 1
    assert found["tiny_rank"]["acc,none"] == 1
    assert [sample["filtered_resps"] for sample in _samples(path, "tiny_generate")] == answers
    ranked = [[float(loss) for loss, _ in sample["filtered_resps"]] for sample in _samples(path, "tiny_rank")]
    torch.testing.assert_close(torch.tensor(ranked), torch.tensor(losses), rtol=1e-4, atol=1e-4)


def _samples(results: Path, task: str) -> list[dict]:
    [path] = results.parent.glob(f"*_samples_{task}.jsonl")
    lines = path.read_text(encoding="utf-8").strip("\n").split("\n")
    return sorted(map(json.loads, lines), key=lambda sample: sample["doc_id"])


@needs_lmms_eval
def test_lmms_eval_knows_the_model_whichever_is_imported_first():
    for first, second in (("lmms_eval.models", "pargo.export.harness"), ("pargo.export.harness", "lmms_eval.models")):
        code = f"import {first}, {second}, sys; sys.exit(lmms_eval.models.get_model('pargo').__module__ != '{{}}')"
        code = code.format("pargo.export.harness")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
