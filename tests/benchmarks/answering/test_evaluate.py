"""The evaluate stage on a tiny random model: benchmark order, prompts, hashes, official export, same bytes twice."""

import hashlib
import json
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from pargo.benchmarks import load
from pargo.benchmarks.answering import batches as answering
from pargo.benchmarks.answering import evaluate as evaluate_stage
from pargo.benchmarks.answering.batches import answer_questions, make_batches
from pargo.benchmarks.answering.evaluate import ANSWERS, EvaluateSettings, answer, run
from pargo.benchmarks.answering.prompts import Preset
from pargo.benchmarks.answering.saved import Answer, SavedAnswers
from pargo.benchmarks.details.answers import label_spans
from pargo.benchmarks.records import PREDICTIONS, Question, read_predictions
from pargo.benchmarks.scores.score import ScoreSettings
from pargo.benchmarks.scores.score import run as run_score
from pargo.config.base import canonical_json
from pargo.config.experiment import load_config, parse_config
from pargo.config.generation import Generation
from pargo.config.models import Adapter
from pargo.data.feature_store import FeatureStore, write_features
from pargo.data.images import open_images
from pargo.data.shards import ShardWriter
from pargo.data.template import IMAGE, MME_SUFFIX
from pargo.errors import ConfigError, PargoError
from pargo.graph.stage_settings import evaluate as stage_settings
from pargo.manifest import publish, read_manifest, read_provenance
from pargo.models.build import build_model, own_parameters, own_state_dict
from pargo.models.vlm import PargoForConditionalGeneration
from pargo.sources.mini_mme import write_mini_mme
from pargo.sources.random_models import byte_tokenizer, write_random_language
from pargo.sources.scene_source import write_scenes
from tests.helpers.tiny_tokenizers import family, spell

VISION = {"source": "v", "architecture": "test", "image_size": 32, "num_patches": 4, "feature_size": 6}
LORA = Adapter(rank=2, alpha=4, target_modules=("q_proj", "v_proj"))


def make_settings(num_shards: int = 1, **benchmark) -> EvaluateSettings:
    return EvaluateSettings.model_validate_json(
        canonical_json(
            {
                "vision": VISION,
                "language": {"source": "l", "precision": "fp32"},
                "projector": {"name": "mlp", "adjacent_patches": 2, "hidden_size": 8},
                "lora": LORA,
                "benchmark": {"source": "s", "split": "test", **benchmark},
                "generation": {"batch_size": 3, "max_new_tokens": 3, "num_shards": num_shards},
            }
        )
    )


def build(settings: EvaluateSettings, language: Path) -> PargoForConditionalGeneration:
    kind = PargoForConditionalGeneration
    return build_model(kind, settings.vision, settings.language, settings.projector, settings.lora, language, seed=3)


def publish_features(directory: Path, ids: list[str]) -> None:
    features = torch.randn(len(ids), 4, 6, generator=torch.Generator().manual_seed(0))
    with publish(directory, settings={}) as folder:
        write_features(folder, ids, [features])


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Directories of a language model, a trained model, and both benchmarks with their features."""
    root = tmp_path_factory.mktemp("parts")
    with publish(root / "language", settings={}) as folder:
        write_random_language(folder, hidden_size=16, num_layers=1, num_heads=2, seed=0)
    settings = make_settings(kind="mini_mme")
    with publish(root / "model", settings={}) as folder:
        save_file(own_state_dict(build(settings, root / "language")), folder / "model.safetensors")
    with publish(root / "mini_mme", settings={}) as folder:
        write_mini_mme(folder, seed=1, images_per_task=1, image_size=32)
    with publish(root / "easy_vqa", settings={}) as folder, ShardWriter(folder / "test") as writer:
        for number in range(3):
            turns = [["is it red?", "yes"], ["what shape is in the image?", "circle"]]
            writer.write(b"image %d" % number, {"id": f"{number:06d}", "conversation": turns})
    for name in ("mini_mme", "easy_vqa"):
        publish_features(root / f"{name}-features", open_images(root / name, "test").ids)
    return root


def evaluate(parts: Path, settings: EvaluateSettings, output: Path, **changes):
    name = settings.benchmark.kind
    paths = {"language": "language", "model": "model", "source": name, "features": f"{name}-features"}
    given = {"run_directory": output.with_name(f"{output.name}-run")} | changes
    run(settings, **{key: parts / path for key, path in paths.items()} | given, output=output)
    return read_predictions(output / PREDICTIONS)


@pytest.mark.parametrize("prompt", ["compact", "official"])
def test_mini_mme(parts, tmp_path, prompt):
    settings = make_settings(kind="mini_mme", prompt=prompt)
    predictions = evaluate(parts, settings, tmp_path / "predictions")
    questions = load("mini_mme", "dataset").read_questions(parts / "mini_mme", settings.benchmark)
    assert [item.id for item in predictions] == [item.id for item in questions]
    for item, question in zip(predictions, questions, strict=True):
        assert item.model_dump(include=question.model_fields_set) == question.model_dump(exclude_defaults=True)
        assert item.prompt == (
            question.question if prompt == "official" else question.question.removesuffix(MME_SUFFIX)
        )
        assert item.image_sha256 == hashlib.sha256((parts / "mini_mme" / "test" / item.image).read_bytes()).hexdigest()
        assert item.answer == item.answer.strip()
        assert item.parsed in ("yes", "no", "other")
    tasks = {item.task for item in predictions}
    assert {path.name for path in (tmp_path / "predictions" / "official").iterdir()} == {
        f"{task}.txt" for task in tasks
    }
    inputs = read_provenance(tmp_path / "predictions")["inputs"]
    assert {Path(name).name.removesuffix(".manifest.json") for name in inputs} == {
        "language",
        "model",
        "mini_mme",
        "mini_mme-features",
    }


def test_easy_vqa_from_shards_to_a_score(parts, tmp_path):
    settings = make_settings(kind="easy_vqa", max_questions=5)
    predictions = evaluate(parts, settings, tmp_path / "predictions")
    assert [item.image for item in predictions] == ["000000"] * 2 + ["000001"] * 2
    assert predictions[2].image_sha256 == hashlib.sha256(b"image 1").hexdigest()
    assert predictions[0].prompt == "is it red?"
    score = tmp_path / "score.json"
    run_score(ScoreSettings(benchmark=settings.benchmark, bootstrap_samples=20), tmp_path / "predictions", score)
    assert json.loads(score.read_text())["headline"]["num_questions"] == 4


def test_two_runs_give_the_same_bytes(parts, tmp_path):
    settings = make_settings(kind="mini_mme")
    manifests = []
    for name in ("a", "b"):
        evaluate(parts, settings, tmp_path / name)
        manifests.append(read_manifest(tmp_path / name))
    assert manifests[0] == manifests[1]


# Answering --------------------------------------------------------------------------------------------------------


BARE = Preset(lambda question: question.question, "compact", max_new_tokens=4)
# an untrained model with tied embeddings repeats the last letter
TEXTS = ["Is it " + "so " * (number % 4) + letter for number, letter in enumerate("abcdefg")]


def questions_about(store: FeatureStore, texts: list[str], every: int = 1, **fields) -> list[Question]:
    """A question of each text; `every` of them in a row ask about the same image."""
    images = [store.ids[number // every % len(store)] for number in range(len(texts))]
    return [
        Question(id=f"q{number}", task="t", image=image, question=text, label="", **fields)
        for number, (text, image) in enumerate(zip(texts, images, strict=True))
    ]


def answers_of(parts, model, questions, path, preset=BARE, generation=None, **options) -> list[Answer]:
    store = FeatureStore(parts / "mini_mme-features")
    with SavedAnswers(path, "spec") as saved:
        given = generation or Generation()
        answer_questions(model, byte_tokenizer(), store, questions, preset, given, saved, **options)
        return [saved.answers[question.id] for question in questions if question.id in saved.answers]


@pytest.mark.parametrize("template", ["compact", "caption", "vicuna", "pargo_release"])
@pytest.mark.parametrize("num_beams", [1, 2])
def test_answers_do_not_depend_on_batches_or_order(parts, tmp_path, template, num_beams):
    model = build(make_settings(kind="easy_vqa"), parts / "language")
    store = FeatureStore(parts / "mini_mme-features")
    questions = questions_about(store, TEXTS, every=2)
    preset = Preset(lambda question: question.question, template, max_new_tokens=4, num_beams=num_beams)
    found = [
        answers_of(parts, model, questions, tmp_path / str(size), preset, Generation(batch_size=size))
        for size in (1, 3, 7)
    ]
    assert found[0] == found[1] == found[2]
    turned = answers_of(parts, model, questions[::-1], tmp_path / "turned", preset, Generation(batch_size=3))
    assert turned[::-1] == found[0]
    if template == "compact":
        assert len({item.text for item in found[0]}) > 3


def test_answers_do_not_depend_on_the_number_of_threads(parts, tmp_path):
    model = build(make_settings(kind="easy_vqa"), parts / "language")
    questions = questions_about(FeatureStore(parts / "mini_mme-features"), TEXTS, every=2)
    preset = Preset(lambda question: question.question, "compact", max_new_tokens=8)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append(answers_of(parts, model, questions, tmp_path / str(threads), preset))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]
    assert len({item.text for item in found[0]}) > 3


def loaded(parts, monkeypatch, tmp_path, **generation) -> PargoForConditionalGeneration:
    """The model that the stage answers with, of an arm trained in bf16."""
    seen = []

    def note(model, *_, **__):
        seen.append(model)
        raise KeyboardInterrupt

    monkeypatch.setattr(answering, "answer_questions", note)
    settings = json.loads(make_settings(kind="mini_mme").model_dump_json())
    settings["language"]["precision"] = "bf16"
    settings["generation"] |= generation
    with pytest.raises(KeyboardInterrupt):
        evaluate(parts, EvaluateSettings.model_validate_json(json.dumps(settings)), tmp_path / "out")
    return seen[0]


@pytest.mark.parametrize(("sizes", "generation"), [((1, 2, 5, 14), {"precision": "fp32"}), ((1,), {})])
def test_a_bf16_arm_answers_whatever_the_batch_in_float32_or_one_by_one(
    parts, tmp_path, monkeypatch, sizes, generation
):
    """In bf16 sums over a batch and its padding are rounded in other ways: some answers follow the batch size."""
    model = loaded(parts, monkeypatch, tmp_path, **generation)
    kind = torch.float32 if generation else torch.bfloat16
    assert model.get_input_embeddings().weight.dtype == kind
    assert all(parameter.dtype == torch.float32 for name, parameter in own_parameters(model))
    questions = questions_about(FeatureStore(parts / "mini_mme-features"), [*TEXTS, *(t[3:] for t in TEXTS)], every=3)
    found = []
    for size in sizes:
        for turn in (1, -1):
            path = tmp_path / f"{size}{turn}"
            found.append(answers_of(parts, model, questions[::turn], path, BARE, Generation(batch_size=size))[::turn])
    assert all(answers == found[0] for answers in found)
    assert len({answer.text for answer in found[0]}) > 3


def test_every_prompt_gets_its_own_image_and_answer(parts, tmp_path, monkeypatch):
    sizes = []

    def echo(model, features, prompts, images, **options):
        """Answers with the image's first feature and the prompt."""
        sizes.append((len(prompts), len(features)))
        firsts = [f" {features[image][0, 0].item():.4f} " for image in images]
        return [tokenizer(first)["input_ids"] + prompt[2:] for first, prompt in zip(firsts, prompts, strict=True)]

    monkeypatch.setattr(answering, "generate", echo)
    store, tokenizer = FeatureStore(parts / "mini_mme-features"), byte_tokenizer()
    assert len(store) > 3
    questions = questions_about(store, ["x" * (number * 5 % 8 + 1) for number in range(8)], every=2)
    answers = answers_of(parts, torch.nn.Linear(1, 1), questions, tmp_path / "a", generation=Generation(batch_size=3))
    expected = [f"{store[item.image][0, 0].item():.4f} {item.question}" for item in questions]
    assert [answer.text for answer in answers] == expected
    assert sizes == [(3, 2), (3, 2), (2, 1)]  # an image's questions come together


def test_an_answer_ends_where_it_is_decided(parts, tmp_path):
    model = build(make_settings(kind="easy_vqa"), parts / "language")
    questions = questions_about(FeatureStore(parts / "mini_mme-features"), TEXTS)
    preset = Preset(lambda question: question.question, "compact", max_new_tokens=6)
    whole = answers_of(parts, model, questions, tmp_path / "whole", preset)

    def decided(text: str, question: Question) -> bool:
        return len(text) >= (2 if question.id in ("q0", "q3") else 4)

    early = answers_of(parts, model, questions, tmp_path / "early", preset, is_decided=decided)
    assert sum(len(item.text) == 6 for item in whole) >= 6
    cuts = [2 if number in (0, 3) else 4 for number in range(7)]
    assert [answer.text for answer in early] == [item.text[:cut] for item, cut in zip(whole, cuts, strict=True)]
    off = Generation(early_stop=False)
    assert answers_of(parts, model, questions, tmp_path / "off", preset, off, is_decided=decided) == whole


OPTIONS = {"A": "red", "B": "a long red box", "C": "b"}


@pytest.mark.parametrize("template", ["compact", "vicuna"])
def test_losses_of_options_are_those_of_the_logits(parts, tmp_path, template):
    model = build(make_settings(kind="easy_vqa"), parts / "language").eval()
    store, tokenizer = FeatureStore(parts / "mini_mme-features"), byte_tokenizer()
    questions = questions_about(store, TEXTS, every=2, options=OPTIONS)
    preset = Preset(lambda question: question.question, template, max_new_tokens=4)
    found = [
        answers_of(parts, model, questions, tmp_path / str(size), preset, Generation(batch_size=size), rank=True)
        for size in (1, 3, 7)
    ]
    for question, *answers in zip(questions, *found, strict=True):
        for letter, option in OPTIONS.items():
            ids = tokenizer(f" {option}", add_special_tokens=False)["input_ids"]
            losses = losses_one_by_one(model, store[question.image], preset.encode(tokenizer, question), ids)
            for found_answer in answers:
                assert found_answer.option_losses[letter] == (pytest.approx(losses, rel=1e-5), len(ids))


@torch.no_grad()
def losses_one_by_one(model, features, prompt: list[int], option: list[int]) -> float:
    place, embed = prompt.index(IMAGE), model.get_input_embeddings()
    before, after = (torch.tensor([ids], dtype=torch.long) for ids in (prompt[:place], prompt[place + 1 :] + option))
    tokens = model.project(features.float()[None])
    logits = model(inputs_embeds=torch.cat([embed(before), tokens, embed(after)], 1)).logits[0]
    return -logits.log_softmax(-1)[-len(option) - 1 : -1].gather(1, torch.tensor(option)[:, None]).sum().item()


@torch.no_grad()
def test_a_caption_goes_on_with_the_likeliest_token(parts, tmp_path):
    """The prompt is an image alone."""
    model = build(make_settings(kind="easy_vqa"), parts / "language").eval()
    store, preset = FeatureStore(parts / "mini_mme-features"), Preset(lambda question: "", "caption", max_new_tokens=5)
    questions = questions_about(store, TEXTS)
    found = answers_of(parts, model, questions, tmp_path / "answers", preset)
    for question, given in zip(questions, found, strict=True):
        embeddings, ids = model.project(store[question.image].float()[None]), []
        for _ in range(5):
            ids.append(model(inputs_embeds=embeddings).logits[0, -1].argmax().item())
            embeddings = torch.cat([embeddings, model.get_input_embeddings()(torch.tensor([ids[-1:]]))], 1)
        assert given.text == byte_tokenizer().decode(ids, skip_special_tokens=True).strip()


def test_losses_of_facts_are_those_of_their_tokens(parts, tmp_path):
    with publish(tmp_path / "details", settings={}) as folder:
        write_scenes(folder, seed=3, num_images=5, image_size=32)
    settings = make_settings(kind="details", split="train")
    publish_features(tmp_path / "features", open_images(tmp_path / "details", "train").ids)
    given = {"source": tmp_path / "details", "features": tmp_path / "features"}
    predictions = evaluate(parts, settings, tmp_path / "out", **given)
    model, store = build(settings, parts / "language").eval(), FeatureStore(tmp_path / "features")
    for prediction in predictions:
        ids = byte_tokenizer()(f" {prediction.label}", add_special_tokens=False)["input_ids"]
        sums: dict[str, list[float]] = {}
        for kind, start, end in label_spans(prediction):  # a token is a byte
            loss = losses_one_by_one(model, store[prediction.image], [IMAGE, *ids[:start]], ids[start:end])
            sums.setdefault(kind, [0.0, 0])
            sums[kind] = [sums[kind][0] + loss, sums[kind][1] + end - start]
        assert prediction.label_losses == {
            kind: (pytest.approx(loss, rel=1e-5), number) for kind, (loss, number) in sums.items()
        }
    score = tmp_path / "score.json"
    run_score(ScoreSettings(benchmark=settings.benchmark, bootstrap_samples=20), tmp_path / "out", score)
    record = json.loads(score.read_text())
    assert set(record["figures"]) == {"recall", "loss"}  # untrained, it says no fact
    assert 2 < record["figures"]["loss"]["shape"] < 8  # of 259 tokens, untrained


# Saved answers ----------------------------------------------------------------------------------------------------


def test_a_killed_evaluation_goes_on_with_the_same_answers(parts, tmp_path, monkeypatch):
    settings = make_settings(kind="mini_mme")
    expected = evaluate(parts, settings, tmp_path / "whole")
    original, asked = answering.generate, []

    def counting(model, features, prompts, **options):
        if len(asked) == limit:
            raise KeyboardInterrupt
        asked.append(len(prompts))
        return original(model, features, prompts, **options)

    monkeypatch.setattr(answering, "generate", counting)
    limit = 2
    with pytest.raises(KeyboardInterrupt):
        evaluate(parts, settings, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    file = tmp_path / "out-run" / ANSWERS
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"count/0001-1": ["y')  # what a kill in the middle of a line leaves
    limit = None
    assert evaluate(parts, settings, tmp_path / "out") == expected
    assert sum(asked) == len(expected)
    assert file.read_bytes().startswith(whole)
    assert read_manifest(tmp_path / "out") == read_manifest(tmp_path / "whole")


def test_another_parser_reads_the_answers_that_are_there(parts, tmp_path, monkeypatch):
    evaluate(parts, make_settings(kind="mini_mme"), tmp_path / "out")
    monkeypatch.setattr(answering, "generate", None)  # no model is asked again
    other = make_settings(kind="mini_mme", parser="pargo_release")
    run_directory = tmp_path / "out-run"
    assert evaluate(parts, other, tmp_path / "out")
    assert run_directory.is_dir()


def test_answers_by_other_versions_of_packages_are_asked_again(parts, tmp_path, monkeypatch):
    """Those of the old ones would else be published as answers of the new ones."""
    evaluate(parts, make_settings(kind="mini_mme"), tmp_path / "out")
    monkeypatch.setattr(evaluate_stage, "computing_versions", lambda: {"torch": "3.0"})
    again = partial(evaluate, parts, make_settings(kind="mini_mme"), tmp_path / "out")
    asked = ended_after(parts, monkeypatch, tmp_path, 99, again)
    assert asked == [len(read_predictions(tmp_path / "out" / PREDICTIONS))]


def ended_after(parts, monkeypatch, tmp_path, batches: int, *stages) -> list[int]:
    """How many questions each stage asks; the first is ended after some batches."""
    original, asked = answering.generate, []

    def counting(model, features, prompts, **options):
        if len(counts) == 0 and len(asked) == batches:
            raise KeyboardInterrupt
        asked.append(len(prompts))
        return original(model, features, prompts, **options)

    monkeypatch.setattr(answering, "generate", counting)
    counts: list[int] = []
    for stage in stages:
        with suppress(KeyboardInterrupt):
            stage()
        counts.append(sum(asked))
        asked.clear()
    return counts


def test_an_edit_that_is_undone_loses_no_answer(parts, tmp_path, monkeypatch):
    def stage(settings: EvaluateSettings):
        return lambda: evaluate(parts, settings, tmp_path / "out")

    one, other = make_settings(kind="mini_mme"), make_settings(kind="mini_mme", prompt="official")
    first, between, rest = ended_after(parts, monkeypatch, tmp_path, 2, stage(one), stage(other), stage(one))
    assert first == 6
    assert between == first + rest


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3)])
def test_another_number_of_jobs_goes_on_with_the_answers(parts, tmp_path, monkeypatch, before, after):
    names = {"language": "language", "model": "model", "source": "mini_mme", "features": "mini_mme-features"}
    paths, folder = {key: parts / name for key, name in names.items()}, tmp_path / "out-run"

    def jobs(number: int):
        settings = make_settings(number, kind="mini_mme")
        if number == 1:
            return [lambda: evaluate(parts, settings, tmp_path / "out")]
        shards = [(shard, folder / str(shard)) for shard in range(number)]
        return [
            *(lambda k=k, run=run: answer(settings, **paths, run_directory=run, shard=k) for k, run in shards),
            lambda: evaluate(parts, settings, tmp_path / "out", answers=[run / ANSWERS for _, run in shards]),
        ]

    expected = evaluate(parts, make_settings(kind="mini_mme"), tmp_path / "whole")
    first, *more = ended_after(parts, monkeypatch, tmp_path, 1, jobs(before)[0], *jobs(after))
    assert (first, sum(more)) == (3, len(expected) - 3)
    assert read_predictions(tmp_path / "out" / PREDICTIONS) == expected


def test_saved_answers_of_something_else_are_not_used(tmp_path):
    path = tmp_path / ANSWERS
    with SavedAnswers(path, "one") as saved:
        saved.add({"a": Answer("yes", {"A": (1.5, 2)})})
    with SavedAnswers(path, "one") as saved:
        assert saved.answers == {"a": Answer("yes", {"A": (1.5, 2)})}
    with SavedAnswers(path, "two") as saved:
        assert saved.answers == {}
    assert SavedAnswers.read(path).spec == "two"
    with SavedAnswers(path, "one") as saved:  # undone: they were set aside
        assert saved.answers == {"a": Answer("yes", {"A": (1.5, 2)})}


@pytest.mark.parametrize("data", [b"", b"{}\n", b'{"spec": 1}\n[]\n'])
def test_a_file_of_something_else_starts_anew(tmp_path, data):
    path = tmp_path / ANSWERS
    path.write_bytes(data)
    with pytest.raises(PargoError, match="does not hold saved answers"):
        SavedAnswers.read(path)
    with SavedAnswers(path, "one") as saved:
        assert saved.answers == {}


LOST = [
    b"[]",
    b"nonsense",
    b"{",
    b"\xff\xfe",
    b'{"a": 1}',
    b'{"a": ["x"]}',
    b'{"a": ["x", {"A": 1}]}',
    b'{"a": ["x", []]}',
    b'{"a": ["x", {}, {"color": 1}]}',
    b'{"a": ["x", {}, {}, {}]}',
]


@pytest.mark.parametrize("line", LOST)
def test_a_damaged_line_of_answers_is_named_and_nothing_thrown_away(tmp_path, line):
    path = tmp_path / ANSWERS
    path.write_bytes(b'{"spec": "one"}\n' + line + b'\n{"b": ["x", {}]}\n')
    before = path.read_bytes()
    with pytest.raises(PargoError, match=rf"{ANSWERS}:2: .*; remove the line, or the file to begin anew$"):
        SavedAnswers(path, "one")
    with pytest.raises(PargoError, match=rf"{ANSWERS}:2: "):
        SavedAnswers.read(path)
    assert path.read_bytes() == before
    path.write_bytes(before.replace(line + b"\n", b""))
    with SavedAnswers(path, "one") as saved:
        assert saved.answers == {"b": Answer("x", {})}


def test_two_jobs_do_not_answer_into_one_file(tmp_path):
    with SavedAnswers(tmp_path / ANSWERS, "one"), pytest.raises(PargoError, match="is in use: another process answers"):
        SavedAnswers(tmp_path / ANSWERS, "two")


@pytest.mark.parametrize("num_shards", [2, 3])
def test_shards_give_the_answers_of_one_job(parts, tmp_path, monkeypatch, num_shards):
    expected = evaluate(parts, make_settings(kind="mini_mme"), tmp_path / "whole")
    settings = make_settings(num_shards, kind="mini_mme")
    names = {"language": "language", "model": "model", "source": "mini_mme", "features": "mini_mme-features"}
    paths = {key: parts / name for key, name in names.items()}
    shards = [tmp_path / "shards" / str(shard) for shard in range(num_shards)]
    for number, shard in enumerate(shards):
        answer(settings, **paths, run_directory=shard, shard=number)
    files = [shard / ANSWERS for shard in shards]
    sizes = [len(SavedAnswers.read(file).answers) for file in files]
    assert sum(sizes) == len(expected)
    assert max(sizes) - min(sizes) <= 3  # a batch
    monkeypatch.setitem(sys.modules, "torch", None)  # to collect them loads no model
    assert evaluate(parts, settings, tmp_path / "out", answers=files) == expected
    with pytest.raises(PargoError, match=r"questions have no answer, e\.g\. .*: are all shards given\?"):
        evaluate(parts, settings, tmp_path / "part", answers=files[1:])
    with pytest.raises(PargoError, match="holds answers of another model, of other settings or by other code"):
        evaluate(parts, make_settings(kind="mini_mme", prompt="official"), tmp_path / "other", answers=files)


def test_batches_depend_on_the_questions_alone():
    assert make_batches(["b", "a", "b", "c", "a"], [3, 9, 4, 9, 1], 2) == [[1, 4], [3, 0], [2]]


# Bad input --------------------------------------------------------------------------------------------------------


def test_features_of_other_images_are_refused(parts, tmp_path):
    publish_features(tmp_path / "features", ["000000", "000002"])
    with pytest.raises(PargoError, match=r"features lacks 1 images of .*easy_vqa, e\.g\. '000001'"):
        evaluate(parts, make_settings(kind="easy_vqa"), tmp_path / "out", features=tmp_path / "features")
    assert not (tmp_path / "out").exists()


def test_settings_are_those_the_graph_passes():
    config = load_config("config/quick.yaml")
    for benchmark in config.benchmarks:
        settings = EvaluateSettings.model_validate_json(canonical_json(stage_settings(config, "pargo", benchmark)))
        assert settings.benchmark == config.benchmarks[benchmark]


@pytest.mark.parametrize("name", ["llama2", "llama2_legacy", "llama2_published"])
def test_vicuna_is_two_texts_around_the_image_and_compact_is_pieces(name: str) -> None:
    tokenizer = family(name)
    question = Question(id="q", task="t", image="i", question="Q? </s>", label="")

    def asked(template: str) -> str:
        preset = Preset(lambda question: question.question, template, max_new_tokens=1)
        return spell(tokenizer, preset.encode(tokenizer, question))

    assert asked("vicuna").startswith("<s> A chat")
    assert asked("vicuna").endswith("[image] \nQ? </s> ASSISTANT:")
    assert asked("compact") == "[image]\nQ? </s>"
    assert tokenizer.eos_token_id not in Preset(lambda question: "</s>", "vicuna", 1).encode(tokenizer, question)


def test_a_judge_does_not_make_a_model_answer_again() -> None:
    data = yaml.safe_load(Path("config/micro.yaml").read_text())
    data["sources"]["mmvet"] = {"kind": "official", "benchmark": "mmvet", "files": ["data/mm-vet"]}
    data["benchmarks"]["mmvet"] = {"kind": "mmvet", "source": "mmvet"}
    before = stage_settings(parse_config(data), "pargo", "mmvet")
    data["benchmarks"]["mmvet"]["judge"] = {"base_url": "https://host/v1", "model": "m"}
    assert stage_settings(parse_config(data), "pargo", "mmvet") == before


def test_a_benchmark_of_another_kind_than_its_files_is_refused() -> None:
    data = yaml.safe_load(Path("config/micro.yaml").read_text())
    data["sources"]["files"] = {"kind": "official", "benchmark": "mmbench", "files": ["data/x.tsv"]}
    data["benchmarks"]["seed"] = {"kind": "seedbench", "source": "files"}
    with pytest.raises(ConfigError, match=r"benchmarks\.seed\.source: 'files' holds mmbench, not seedbench"):
        parse_config(data)
