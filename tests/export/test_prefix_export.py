"""An export of a model whose tokenizer puts a space before every text, as Llama 2's does: it answers as the run did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from pargo.config.experiment import load_config
from pargo.errors import PargoError
from pargo.export import run
from pargo.export.run import export
from pargo.layout import Layout
from pargo.sources.importers.language import save_language_model
from tests.helpers.tiny_tokenizers import FAMILIES


def _language(name: str, folder: Path) -> None:
    """A Llama with a tokenizer of this family."""
    tokenizer = FAMILIES[name]()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    save_language_model(folder, config, LlamaForCausalLM(config).state_dict(), tokenizer, dtype=torch.float32)


@pytest.fixture(scope="module", params=["llama2", "llama2_legacy", "llama2_published"])
def made(request, tmp_path_factory, make_project) -> Path:
    """A folder with a model and its answers; the tests run in it."""
    config, root = load_config("config/micro.yaml"), tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        make_project(config, lambda folder: _language(request.param, folder))
        yield root


def _model() -> Path:
    return Layout("micro").model("pargo", 0, "finetune")


def test_all_answers_are_those_of_the_run(made, tmp_path):
    agreement = export(_model(), tmp_path / "out", dtype=torch.float32, compare=1000)
    predictions = sorted(Layout("micro").predictions("pargo", 0, "any").parent.glob("*/predictions.jsonl"))
    answers = [json.loads(line)["answer"] for path in predictions for line in path.read_text().splitlines()]
    assert agreement == (len(answers), len(answers))
    assert len(answers) >= 40
    assert len(set(answers)) > 3


def test_other_ids_are_refused_and_nothing_is_left(made, tmp_path, monkeypatch):
    """As if the exported tokenizer had been saved as something else."""
    save = run.PargoProcessor.save_pretrained

    def spoilt(self, directory, **options):
        save(self, directory, **options)
        path = Path(directory) / "tokenizer.json"
        content = json.loads(path.read_text())
        content["normalizer"] = {"type": "Lowercase"}
        content["pre_tokenizer"] = None
        path.write_text(json.dumps(content))
        config = Path(directory) / "tokenizer_config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}))

    monkeypatch.setattr(run.PargoProcessor, "save_pretrained", spoilt)
    with pytest.raises(
        PargoError, match=r"ask otherwise than the model was trained: in a conversation of two turns, 'Is"
    ):
        export(_model(), tmp_path / "out", dtype=torch.float32)
    assert not list(tmp_path.iterdir())


def test_the_question_is_named(made, tmp_path, monkeypatch):
    """Where only a question of the run tells the difference."""
    monkeypatch.setattr(run, "check_conversation", lambda *_: None)
    template = run.assemble

    def other(*args):
        model, processor = template(*args)
        processor.chat_template = processor.chat_template.replace(
            "~ words -}}{%- else", "~ words | trim ~ ' ' -}}{%- else"
        )
        return model, processor

    monkeypatch.setattr(run, "assemble", other)
    with pytest.raises(PargoError) as raised:
        export(_model(), tmp_path / "out", dtype=torch.float32)
    assert "in benchmark " in str(raised.value)
    assert ", question " in str(raised.value)
    assert " in training, " in str(raised.value)
    assert not list(tmp_path.iterdir())
