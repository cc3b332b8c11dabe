"""The plan: its counts against operations counted on real models, its sums, and what it says it rests on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from pargo.code import ROOT
from pargo.commands.application import app
from pargo.config.base import canonical_json
from pargo.config.benchmarks import BENCHMARKS
from pargo.config.experiment import load_config, parse_config
from pargo.config.jobs import Jobs, load_jobs
from pargo.config.language_shape import LanguageShape
from pargo.config.models import Adapter, Vision
from pargo.config.sources.official import official_benchmarks
from pargo.errors import ConfigError, InputError
from pargo.fetch.table import wheel
from pargo.graph.stage_settings import download, finetune
from pargo.layout import Layout
from pargo.models.language import add_lora
from pargo.models.vision import VisionTower, vision_config
from pargo.plan.flops import LanguageCost, make_projector, tower_flops
from pargo.plan.jobs import Assumptions, Row, plan
from pargo.plan.show import render
from pargo.plan.sizes import language_sizes
from pargo.sources.needed import check_sources
from pargo.sources.random_models import write_random_language

SHAPE = LanguageShape(
    hidden_size=32,
    intermediate_size=80,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=100,
)
LORA = Adapter(rank=4, alpha=8, target_modules=("q_proj", "k_proj", "v_proj"))
ASSUMED = Assumptions("H100", 1e15, 0.25, 0.02)
PAPER_JOBS = ROOT / "workflow/profiles/paper/jobs.yaml"


def llama(adapter: Adapter | None) -> LlamaForCausalLM:
    model = LlamaForCausalLM(LlamaConfig(**SHAPE.model_dump(), tie_word_embeddings=False)).requires_grad_(False)
    model.set_attn_implementation("eager")
    if adapter is not None:
        add_lora(model, adapter, seed=0)
    return model


def counted(model: LlamaForCausalLM, tokens: int, *, backward: bool) -> int:
    """Operations of all tokens through layers and head. Eager attention makes all pairs, twice what is causal."""
    embeddings = torch.randn(1, tokens, SHAPE.hidden_size, requires_grad=backward)
    with FlopCounterMode(display=False) as counter:
        logits = model(inputs_embeds=embeddings, use_cache=False).logits
        if backward:
            logits.sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("adapter", [None, LORA, LORA.model_copy(update={"target_modules": "all-linear"})])
def test_language_counts_are_those_of_the_real_model(adapter):
    cost, model, tokens = LanguageCost(SHAPE), llama(adapter), 12
    causal = 2.0 * tokens * tokens * SHAPE.hidden_size * SHAPE.num_hidden_layers
    # eager attention: scores and mixing over all pairs, and rotary angles as a product
    rotary = counted(model, tokens, backward=False) - cost.forward(tokens, tokens, adapter) - causal
    assert 0 <= rotary <= 2 * tokens * SHAPE.hidden_size
    training = cost.training(tokens, tokens, adapter, checkpointing=False) + 3 * causal
    assert counted(model, tokens, backward=True) == pytest.approx(training + rotary, abs=1)
    # activation checkpointing makes the layers' forward pass again, and not the head's
    again = cost.training(tokens, tokens, adapter, checkpointing=True) + 4 * causal
    layers = cost.forward(tokens, 0, adapter) + causal
    assert again == pytest.approx(training + layers)


def test_language_weights_are_those_of_the_real_model():
    cost, model = LanguageCost(SHAPE), llama(LORA)
    names = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert cost.adapter_weights(LORA) == sum(size for name, size in names.items() if "lora_" in name)
    linear = sum(size for name, size in names.items() if "proj" in name and "lora_" not in name)
    assert cost.weights == linear
    assert cost.head == names["lm_head.weight"]


@pytest.mark.parametrize("architecture", ["test_vit2", "test_efficientnet"])
def test_tower_counts_are_those_of_the_real_tower(architecture):
    vision = Vision(source="x", architecture=architecture, image_size=64, num_patches=16, feature_size=64)
    tower = VisionTower(vision_config(vision)).eval()
    # the CPU's own attention kernel is not among those that torch counts
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.inference_mode():
        tower(torch.zeros(1, 3, 64, 64))
    assert tower_flops(vision) == counter.get_total_flops() > 0


def test_the_papers_plan_has_every_stage_of_every_arm():
    config, jobs = load_config(ROOT / "config/paper.yaml"), load_jobs(PAPER_JOBS)
    rows = plan(config, jobs, ASSUMED)
    for stage in ("pretrain", "finetune", "evaluate"):
        assert [row.what for row in rows if row.stage == stage] == list(config.arms)
    assert {row.what for row in rows if row.stage == "download"} == config.used_sources
    assert sum(row.download for row in rows) == pytest.approx(1505.4e9, rel=1e-4)
    by_name = {(row.stage, row.what): row for row in rows}
    pargo, mlp = by_name["pretrain", "pargo"], by_name["pretrain", "mlp"]
    # by hand: (304 + 215) tokens through 6.98 billion weights, 215 of them through the head, thrice the
    # projector and once the tower; 3 seeds of a million samples
    cost = LanguageCost(config.sources["internlm2_7b"].shape)
    assert cost.weights == 32 * (4096 * (4096 + 1024 + 1024 + 4096) + 3 * 4096 * 14336)
    sample = 4 * 519 * cost.weights + 4 * 215 * cost.head + 6 * 519**2 * 4096 * 32
    sample += 3 * make_projector(config.arms["pargo"].projector, config.vision, 4096).flops()
    sample += tower_flops(config.vision)
    assert pargo.flops == pytest.approx(3 * 999_936 * sample)
    assert pargo.gpu_seconds == pytest.approx(pargo.flops / 1e15 / 0.25)
    assert pargo.wall_seconds == pytest.approx(pargo.gpu_seconds / 3 / 8)
    assert mlp.flops < pargo.flops  # 144 tokens instead of 304
    evaluation = by_name["evaluate", "pargo"]
    assert evaluation.jobs == 3 * len(config.benchmarks)
    assert evaluation.work == f"{2 * 2374 + 2 * 4329 + 14232 + 218 + 9000:,} questions"
    assert by_name["features", "seedbench test"].storage == config.benchmarks["seedbench"].size.images * 576 * 1024 * 2
    unknown = "not stated: ocr_vqa_images"
    assert {row.basis for row in rows} == {"stated", "about", unknown, "not reckoned", "assumed"}


COUNTED = ("details", "mini_mme")  # by the images of their source


def test_every_registered_benchmark_is_planned():
    data = yaml.safe_load((ROOT / "config/micro.yaml").read_text())
    data["benchmarks"] = {}
    for kind in BENCHMARKS.names:
        source = "mini_mme"
        if kind in official_benchmarks():
            source = f"{kind}_files"
            data["sources"][source] = {"kind": "official", "benchmark": kind, "files": ["data/x"]}
        data["benchmarks"][f"b_{kind}"] = {"kind": kind, "source": source}
        if BENCHMARKS.settings(kind).of_annotations:
            data["sources"]["held_out"] = data["sources"]["scenes"] | {"seed": 2}
            data["benchmarks"][f"b_{kind}"] |= {"source": "held_out", "split": "train"}
    rows = plan(parse_config(data), load_jobs(PAPER_JOBS), ASSUMED)
    sizes = {kind: BENCHMARKS.settings(kind).size for kind in BENCHMARKS.names}
    total = sum(size.questions for size in sizes.values() if size)
    total += 64 + 2 * 10  # of details a caption for each image, of mini-MME two questions
    unknown = ", ".join(f"b_{kind}" for kind, size in sizes.items() if size is None and kind not in COUNTED)
    assert {row.work for row in rows if row.stage == "evaluate"} == {f"{total:,} questions; not counted: {unknown}"}
    features = {row.what: row.work for row in rows if row.stage == "features"}
    for kind in official_benchmarks():
        assert features[f"{kind}_files test"] == f"{sizes[kind].images:,} images"


def test_checkpoints_and_models_take_the_space_of_what_is_trained():
    config, jobs = load_config(ROOT / "config/paper.yaml"), load_jobs(PAPER_JOBS)
    row = next(row for row in plan(config, jobs, ASSUMED) if (row.stage, row.what) == ("pretrain", "mlp"))
    trained = (4096 * 4096 + 4096) + (4096 * 4096 + 4096)
    assert row.storage == 4 * trained * 3
    assert row.transient == 12 * trained * 2 * 3


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """The quick config in a folder where its language model has been imported."""
    monkeypatch.chdir(tmp_path)
    directory = Path("artifacts/quick/sources/smollm2_135m_instruct")
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(SHAPE.model_dump() | {"num_hidden_layers": 30}))
    return load_config(ROOT / "config/quick.yaml")


def trained(config, stage: str, arm: str, hardware: str, **changes) -> None:
    """What a finished training leaves: its first ten steps made twice, as a kill tore the line of the eleventh."""
    model, run = Path(f"artifacts/quick/models/{arm}/seed-0/{stage}"), Path(f"runs/quick/{stage}/{arm}/seed-0")
    for directory in (model, run):
        directory.mkdir(parents=True)
    settings = json.loads(canonical_json(finetune(config, arm, 0)))
    settings["train"] |= changes
    (model / "provenance.json").write_text(json.dumps({"settings": settings, "hardware": hardware}))
    last = config.arms[arm].finetune.num_steps
    first, again = (
        "".join(json.dumps({"step": n, "seconds": 0.5}) + "\n" for n in range(1, m + 1)) for m in (10, last)
    )
    (run / "timing.jsonl").write_text(first + '{"step": 11, "sec' + again)


def test_a_run_with_these_settings_counts_before_what_is_assumed(quick):
    num_steps = quick.arms["pargo"].finetune.num_steps
    trained(quick, "finetune", "pargo", "2 x EPYC")
    rows = {(row.stage, row.what): row for row in plan(quick, Jobs(), ASSUMED)}
    measured, other = rows["finetune", "pargo"], rows["finetune", "qformer"]
    assert measured.basis == "measured on 2 x EPYC"
    assert measured.wall_seconds == num_steps * 0.5
    assert measured.gpu_seconds is None  # it had none
    assert (other.basis, other.wall_seconds) == ("", None)
    assert other.flops > 0
    assert "measured on 2 x EPYC" in str(render(list(rows.values()), ASSUMED, "x").renderables[-1])


def test_gpu_hours_are_those_of_the_gpus_that_ran(quick):
    trained(quick, "finetune", "pargo", "16 x Xeon; 4 x NVIDIA H100")
    on_eight = Jobs(stages={"finetune": {"gpus_per_node": 8}})
    rows = {(row.stage, row.what): row for row in plan(quick, on_eight, ASSUMED)}
    measured = rows["finetune", "pargo"]
    assert measured.gpu_seconds == measured.jobs * 4 * measured.wall_seconds
    assert rows["finetune", "qformer"].basis == "assumed"


def test_a_run_with_other_settings_says_nothing(quick):
    trained(quick, "finetune", "pargo", "2 x EPYC", learning_rate=1.0)
    assert not any(row.basis.startswith("measured") for row in plan(quick, Jobs(), ASSUMED))


def test_beams_and_their_answers_come_from_the_prompt():
    config, jobs = load_config(ROOT / "config/paper.yaml"), load_jobs(PAPER_JOBS)
    only = {name: config.benchmarks[name] for name in ("mme", "mme_release")}
    beams = only["mme"].model_copy(update={"prompt": "pargo_release"})
    costs = {}
    for name, benchmark in {"greedy": only["mme"], "beams": beams}.items():
        chosen = config.model_copy(update={"benchmarks": {"mme": benchmark}})
        costs[name] = next(row.flops for row in plan(chosen, jobs, ASSUMED) if row.stage == "evaluate")
    cost, adapter = LanguageCost(config.sources["internlm2_7b"].shape), config.arms["pargo"].finetune.lora
    token = cost.forward(1, 1, adapter)
    assert costs["beams"] - costs["greedy"] == pytest.approx(3 * 2374 * token * (4 * 100 - 2))


@pytest.mark.parametrize("modules", [r".*_proj", ("q_proj", "wqkv")])
def test_adapters_that_cannot_be_counted_are_named(modules):
    with pytest.raises(InputError, match=r"target_modules: .* cannot be counted; choices: q_proj, k_proj"):
        LanguageCost(SHAPE).adapter_weights(LORA.model_copy(update={"target_modules": modules}))


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """What a clone has, and nothing that a run made."""
    for name in ("Snakefile", "config", "pargo", "workflow"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [None, *(path.name for path in sorted((ROOT / "config").glob("*.yaml")))])
def test_every_config_is_planned_in_a_fresh_clone(fresh, name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    shown = CliRunner().invoke(app, ["plan", *(["--config", f"config/{name}"] if name else [])])
    assert shown.exit_code == 0, shown.exception
    config = load_config(fresh / "config" / (name or "quick.yaml"))
    stated = "pargo/fetch/downloads.yaml" if config.name in ("quick", "laptop") else "the config"
    assert f"Sizes of the language model: stated in {stated}." in " ".join(shown.output.split())
    for arm in config.arms:
        assert arm in shown.output


def test_a_model_that_is_there_is_counted_as_it_is(tmp_path, monkeypatch):
    config = load_config(ROOT / "config/micro.yaml")
    monkeypatch.chdir(tmp_path)
    stated, origin = language_sizes(config)
    source = config.sources[config.language.source]
    write_random_language(Layout(config.name).source(config.language.source), **source.model_dump(exclude={"kind"}))
    assert language_sizes(config) == (stated, "imported")
    assert origin == "stated in the config"
    path = Layout(config.name).source(config.language.source) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": 300}))
    assert language_sizes(config)[0].vocab_size == 300


def test_a_cut_model_is_counted_with_the_layers_that_are_kept(tmp_path, monkeypatch):
    config = load_config(ROOT / "config/quick.yaml")
    monkeypatch.chdir(tmp_path)
    for layers, number in ((None, 30), ((0, 2, 29), 3)):
        language = config.language.model_copy(update={"layers": layers})
        assert language_sizes(config.model_copy(update={"language": language}))[0].num_hidden_layers == number


@pytest.mark.parametrize(("name", "number"), [("quick", 30), ("micro", 2), ("paper", 32)])
def test_a_cut_to_layers_that_are_not_there_is_refused_before_anything_runs(name, number, tmp_path):
    path = tmp_path / f"{name}.yaml"
    data = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    data["language"]["layers"] = [0, number]
    path.write_text(yaml.safe_dump(data))
    for command in ("plan", "reproduce"):
        shown = CliRunner().invoke(app, [command, "--config", str(path)])
        assert isinstance(shown.exception, ConfigError)
        assert str(shown.exception).startswith(f"{path}: language.layers: ")
        assert f"has no layer {number}; it has {number}, 0 to {number - 1}" in str(shown.exception)


def test_a_cut_of_a_model_that_is_imported_is_checked_before_anything_runs(tmp_path, monkeypatch):
    """Of one whose sizes nothing states; what is stated goes before what was imported for another config."""
    monkeypatch.chdir(tmp_path)
    quick = load_config(ROOT / "config/quick.yaml")
    for name, number in (("easy_vqa", 4), ("smollm2_135m_instruct", 30)):
        language = quick.language.model_copy(update={"source": name, "layers": (0, number)})
        config = quick.model_copy(update={"language": language})
        if name == "easy_vqa":
            check_sources(config)  # nothing is known of it
        path = Layout(config.name).source(name) / "config.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"num_hidden_layers": 4}))
        with pytest.raises(ConfigError, match=f"^x.yaml: language.layers: {name} has no layer {number}; it has"):
            check_sources(config, "x.yaml")


def test_the_stated_sizes_of_a_package_are_no_setting_of_its_import():
    """They are for the plan: a run that was made before they were stated stays up to date."""
    assert wheel("smollm2_135m_instruct").shape is not None
    quick = load_config(ROOT / "config/quick.yaml")
    assert "shape" not in canonical_json(download(quick, "smollm2_135m_instruct"))


def test_a_language_model_whose_sizes_nothing_states_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick = load_config(ROOT / "config/quick.yaml")
    wrong = quick.model_copy(update={"language": quick.language.model_copy(update={"source": "easy_vqa"})})
    with pytest.raises(InputError, match=r"nothing states the sizes of easy_vqa: write its `shape` into"):
        plan(wrong, Jobs(), ASSUMED)


def test_the_command_says_what_is_assumed(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "160")
    shown = CliRunner().invoke(app, ["plan", "--config", "config/paper.yaml", "--gpu", "A100", "--mfu", "0.3"])
    assert shown.exit_code == 0, shown.output
    for text in ("30% of the 312 TFLOP/s", "one A100", "assumed", "1.5 TB", "Not counted: queues", "999,936 samples"):
        assert text in shown.output.replace("\n", " ")


def test_the_figures_of_the_docs(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "160")
    shown = CliRunner().invoke(app, ["plan", "--config", "config/paper.yaml"]).output
    written = " ".join((ROOT / "docs/paper.md").read_text().split())
    pairs = {" 822 ": "822 GPU-hours", "1.5 TB": "1.5 TB to fetch", "Disk: 2.0 TB": "2.0 TB of disk"}
    for planned, said in pairs.items():
        assert planned in shown
        assert said in written


def test_a_pool_is_indexed_where_it_lies():
    paper = load_config(ROOT / "config/paper.yaml")
    rows = {row.what: row for row in plan(paper, Jobs(), ASSUMED) if row.stage == "download"}
    assert rows["image_pool"].download > 1e12
    assert rows["image_pool"].storage == 0
    assert rows["instructions"].storage == rows["instructions"].download > 0


def test_an_unknown_gpu_is_refused_with_the_choices(monkeypatch):
    monkeypatch.chdir(ROOT)
    shown = CliRunner().invoke(app, ["plan", "--config", "config/paper.yaml", "--gpu", "abacus"])
    assert shown.exit_code
    assert "choices: A10, A100, H100" in str(shown.exception)


def test_nothing_reckoned_is_said(quick):
    rows = plan(quick, Jobs(), ASSUMED)
    assert "No time is reckoned" in str(render(rows, ASSUMED, "x").renderables[-1])


def test_the_disk_holds_downloads_artifacts_twice_and_checkpoints():
    rows = [
        Row("download", "images", download=1e9, storage=1e9),
        Row("pretrain", "pargo", storage=2e9, transient=3e9),
    ]
    assert "Disk: 10.0 GB for what is fetched" in str(render(rows, ASSUMED, "x").renderables[-1])
