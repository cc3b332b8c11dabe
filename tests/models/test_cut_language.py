"""A language model cut to some of its layers: it is the model that has these layers alone, wherever it is used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml
from pydantic import ValidationError
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedModel, Qwen2Config

from pargo.code import ROOT, import_closure, meaning
from pargo.config.experiment import parse_config
from pargo.config.layers import language_in_words
from pargo.config.models import Language
from pargo.errors import ConfigError, InputError
from pargo.models.language import load_language_model
from pargo.stages import STAGES

LAYERS, ROWS = 5, 97
SMALL = {"vocab_size": ROWS, "hidden_size": 32, "num_hidden_layers": LAYERS, "num_attention_heads": 4}
MORE = {"intermediate_size": 48, "num_key_value_heads": 2, "pad_token_id": 0, "tie_word_embeddings": True}
CONFIGS = {
    "llama": LlamaConfig(**SMALL, **MORE),
    # the layers from the third on see four tokens
    "qwen2": Qwen2Config(**SMALL, **MORE, use_sliding_window=True, sliding_window=4, max_window_layers=2),
}
CUTS = [(0,), (4,), (0, 1, 4), (1, 3), (0, 1, 2, 3)]


@pytest.fixture(params=CONFIGS)
def directory(request, tmp_path):
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(CONFIGS[request.param]).save_pretrained(tmp_path / "whole")
    return tmp_path / "whole"


def load(directory, layers=None) -> PreTrainedModel:
    return load_language_model(Language(source="whole", layers=layers, precision="fp32"), directory).eval()


def logits(model, length: int = 9) -> torch.Tensor:
    ids = torch.randint(1, ROWS, (2, length), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return model(input_ids=ids).logits


@pytest.mark.parametrize("layers", CUTS)
def test_the_cut_model_is_one_defined_with_these_layers_alone(directory, layers):
    cut, whole = load(directory, layers), load(directory)
    config = AutoConfig.from_pretrained(directory)
    config.num_hidden_layers = len(layers)
    if hasattr(config, "layer_types"):
        config.layer_types = [config.layer_types[number] for number in layers]
    state = {name: tensor for name, tensor in whole.state_dict().items() if ".layers." not in name}
    for place, number in enumerate(layers):
        prefix = f"model.layers.{number}."
        state |= {
            name.replace(prefix, f"model.layers.{place}."): tensor
            for name, tensor in whole.state_dict().items()
            if name.startswith(prefix)
        }
    expected = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    expected.load_state_dict(state)
    assert torch.equal(logits(cut), logits(expected))
    assert not torch.equal(logits(cut), logits(whole))
    assert not any(parameter.requires_grad for parameter in cut.parameters())


def test_all_layers_are_the_whole_model(directory):
    assert torch.equal(logits(load(directory, tuple(range(LAYERS)))), logits(load(directory)))


@pytest.mark.parametrize("layers", [(4,), (0, 3, 4)])
def test_it_answers_with_a_cache_as_without(directory, layers):
    ids = torch.randint(1, ROWS, (2, 6), generator=torch.Generator().manual_seed(2))
    options = {"max_new_tokens": 6, "do_sample": False, "attention_mask": torch.ones_like(ids)}
    model = load(directory, layers)
    cached, plain = (model.generate(ids, use_cache=use_cache, **options) for use_cache in (True, False))
    assert torch.equal(cached, plain)


def test_it_is_saved_as_a_model_of_so_many_layers(directory, tmp_path):
    cut = load(directory, (0, 2))
    cut.save_pretrained(tmp_path / "cut")
    assert torch.equal(logits(load(tmp_path / "cut")), logits(cut))


def test_a_layer_that_is_not_there_is_named(directory):
    with pytest.raises(InputError, match=r"^language.layers: whole has no layer 5; it has 5, 0 to 4$"):
        load(directory, (0, 5))


def test_a_model_without_a_list_of_layers_is_refused(tmp_path):
    model = AutoModelForCausalLM.from_config(GPT2Config(vocab_size=ROWS, n_embd=32, n_layer=2, n_head=4))
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"^language.layers: GPT2Model has no list of layers that could be cut$"):
        load(tmp_path, (0,))


@pytest.mark.parametrize("layers", [(1, 0), (0, 0), (0, 2, 1)])
def test_layers_stand_in_rising_order(directory, layers):
    message = f"language.layers: {list(layers)} are not in rising order, each once"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        load(directory, layers)
    data = yaml.safe_load((ROOT / "config/micro.yaml").read_text())
    data["language"]["layers"] = list(layers)
    with pytest.raises(ConfigError, match=f"^x.yaml: {re.escape(message)}$"):
        parse_config(data, "x.yaml")


@pytest.mark.parametrize("stage", ["features", "attention"])
def test_how_it_is_cut_is_no_code_of_stages_without_a_language_model(stage):
    """Its field alone stands where they read it, and fields are no code: see `pargo.code`."""
    closure = import_closure(STAGES[stage].module)
    assert Path("pargo/config/models.py") in closure
    assert not {Path("pargo/config/layers.py"), Path("pargo/models/language.py")} & {*closure}
    text = (ROOT / "pargo/config/models.py").read_text()
    other = re.sub(r"    layers: .*?\n    \)\n", "", text, flags=re.DOTALL)
    assert "kept, counted" not in other
    assert meaning("pargo/config/models.py", other.encode()) == meaning("pargo/config/models.py", text.encode())
    assert not [name for name, value in vars(Language).items() if callable(value) and "layers" in name]


@pytest.mark.parametrize("layers", [(), (-1,), (0.5,)])
def test_layers_are_numbers_of_layers(layers):
    with pytest.raises(ValidationError, match="layers"):
        Language(source="whole", layers=layers)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (None, "whole"),
        ((3,), "whole (cut to its layers 3)"),
        ((0, 1, 2, 5, 28, 29), "whole (cut to its layers 0-2, 5, 28-29)"),
    ],
)
def test_a_cut_is_said_wherever_the_model_is_named(layers, words):
    assert language_in_words(Language(source="whole", layers=layers)) == words
