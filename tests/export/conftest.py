"""A small project folder: sources, a fine-tuned model with its answers and scores, made by the stages themselves."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from pargo.benchmarks.answering.evaluate import EvaluateSettings
from pargo.benchmarks.answering.evaluate import run as run_evaluate
from pargo.benchmarks.scores.score import ScoreSettings
from pargo.benchmarks.scores.score import run as run_score
from pargo.config.base import canonical_json
from pargo.config.experiment import Config, load_config
from pargo.export.run import export
from pargo.graph.stage_settings import evaluate, features, finetune, score
from pargo.layout import Layout
from pargo.manifest import publish
from pargo.models.build import build_model, own_state_dict
from pargo.models.features import FeaturesSettings
from pargo.models.features import run as run_features
from pargo.models.vlm import PargoModel
from pargo.sources.mini_mme import write_mini_mme
from pargo.sources.random_models import write_random_language, write_random_vision
from pargo.train.finetune import FinetuneSettings

LMMS_EVAL = importlib.util.find_spec("lmms_eval") is not None


@dataclass(frozen=True)
class Project:
    """A folder with artifacts and reports of config/micro.yaml, arm pargo, without training."""

    root: Path
    config: Config

    @property
    def layout(self) -> Layout:
        return Layout(self.config.name)  # relative to the root, where the tests run

    @property
    def model(self) -> Path:
        return self.layout.model("pargo", 0, "finetune")


def _settings(kind, value):
    return kind.model_validate_json(canonical_json(value))


def _byte_language(folder: Path) -> None:
    write_random_language(folder, hidden_size=64, num_layers=2, num_heads=4, seed=0)


def _make(config: Config, write_language: Callable[[Path], None] = _byte_language) -> None:
    """In the working directory."""
    layout = Layout(config.name)
    language, tower = layout.source("language_model"), layout.source("vision_tower")
    with publish(language, settings={"id": "language_model"}) as folder:
        write_language(folder)
        state = load_file(folder / "model.safetensors")
        # sharper weights: the answers of a fresh model hardly depend on its input
        generator = torch.Generator().manual_seed(1)
        noisy = {name: tensor + 0.2 * torch.randn(tensor.shape, generator=generator) for name, tensor in state.items()}
        save_file(noisy, folder / "model.safetensors", {"format": "pt"})
    with publish(tower, settings={"id": "vision_tower"}) as folder:
        write_random_vision(folder, seed=0)
    with publish(layout.source("mini_mme"), settings={"id": "mini_mme"}) as folder:
        write_mini_mme(folder, seed=1, images_per_task=2, image_size=64)
    features_dir = layout.features("mini_mme", "test")
    run_features(_settings(FeaturesSettings, features(config, "test")), layout.source("mini_mme"), tower, features_dir)
    trained = _settings(FinetuneSettings, finetune(config, "pargo", 0))
    model = build_model(
        PargoModel, trained.vision, trained.language, trained.projector, trained.train.lora.adapter, language, seed=3
    )
    generator = torch.Generator().manual_seed(2)  # of its own: the same model whatever ran before
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05, generator=generator)  # as if trained
    path = layout.model("pargo", 0, "finetune")
    with publish(path, settings=trained, inputs=[language]) as folder:
        save_file(own_state_dict(model), folder / "model.safetensors")
        (folder / "config.json").write_text(trained.model_dump_json(indent=1))
    for benchmark in config.benchmarks:
        answers = layout.predictions("pargo", 0, benchmark)
        settings = _settings(EvaluateSettings, evaluate(config, "pargo", benchmark))
        paths = {"language": language, "model": path, "source": layout.source("mini_mme"), "features": features_dir}
        run_evaluate(settings, **paths, run_directory=Path("run") / benchmark, output=answers)
        run_score(_settings(ScoreSettings, score(config, benchmark)), answers, layout.score("pargo", 0, benchmark))


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("project")
    config = load_config("config/micro.yaml")
    patch = pytest.MonkeyPatch()
    patch.chdir(root)
    _make(config)
    export(Layout(config.name).model("pargo", 0, "finetune"), root / "exported", dtype=torch.float32)
    patch.undo()
    return Project(root, config)


@pytest.fixture(scope="session")
def make_project() -> Callable[..., None]:
    """Makes another one in the working directory, with a language model of its own."""
    return _make


@pytest.fixture
def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project, with the test running in its folder."""
    monkeypatch.chdir(project.root)
    return project


@pytest.fixture(scope="module")
def harness():
    """The adapter of lmms-eval."""
    with pytest.MonkeyPatch.context() as patch:
        if not LMMS_EVAL:
            _stand_in(patch)
        module = importlib.import_module("pargo.export.harness")
        yield module
        if not LMMS_EVAL:
            del sys.modules["pargo.export.harness"]


def _stand_in(patch: pytest.MonkeyPatch) -> None:
    """What the adapter imports of lmms-eval, as small as can be."""

    class Base:
        def __init__(self) -> None:
            self.task_dict: dict = {}
            self._rank, self._world_size = 0, 1

    for name, content in {
        "lmms_eval": {},
        "lmms_eval.api": {},
        "lmms_eval.api.model": {"lmms": Base},
        "lmms_eval.api.instance": {"GenerationResult": lambda text: SimpleNamespace(text=text)},
    }.items():
        module = ModuleType(name)
        vars(module).update(content)
        patch.setitem(sys.modules, name, module)
