"""GGUF files: whatever they say of a model is carried over, so logits are those of the original, or refused by name."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from gguf import GGUFReader
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma2Config,
    LlamaConfig,
    Phi3Config,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    Starcoder2Config,
)

from pargo.errors import InputError
from pargo.models.language import load_tokenizer
from pargo.sources.importers.convert import convert_language_model
from pargo.sources.importers.gguf_settings import carry_over, check_settings
from tests.helpers.gguf_files import VOCABULARY, small_model, write_gguf, write_settings

SIZE = 16  # channels of a head
HALF = SIZE // 2  # as many frequencies
LENGTH = 60
ARCHITECTURES = {
    "llama": LlamaConfig,
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
    "starcoder2": Starcoder2Config,
    "phi3": Phi3Config,
}
FIELDS = {"qwen3": {"head_dim": 128}, "starcoder2": {"sliding_window": None}}  # 128: transformers reads no other


def logits(model: PreTrainedModel) -> torch.Tensor:
    ids = torch.randint(0, VOCABULARY - 2, (2, LENGTH), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model.eval()(ids).logits


def converted(path: Path) -> PreTrainedModel:
    output = path.parent / "converted"
    convert_language_model(path, output)
    return AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32, local_files_only=True)


def llama3_factors(factor: float, low: float, high: float, original: int, half: int) -> list[float]:
    """What llama.cpp's converter writes for Llama 3.1: by how much each frequency is divided."""
    found = []
    for i in range(half):
        wavelength = 2 * math.pi * 10000.0 ** (i / half)
        smooth = (original / wavelength - low) / (high - low)
        if wavelength < original / high:
            found.append(1.0)
        elif wavelength > original / low:
            found.append(factor)
        else:
            found.append(1 / ((1 - smooth) / factor + smooth))
    return found


LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
YARN_FILE = {"type": "yarn", "factor": 4.0, "original_context_length": 16}
# of each kind: rope_parameters of transformers, settings of the file below `rope.`, and which factors it has
SCALINGS = {
    "none": ({}, {}, None),
    "base": ({"rope_theta": 500000.0}, {"freq_base": 500000.0}, None),
    "no base": ({}, {"freq_base": None}, None),
    "said none": ({}, {"scaling.type": "none", "scaling.factor": 4.0}, None),
    "linear": ({"rope_type": "linear", "factor": 4.0}, {"scaling.type": "linear", "scaling.factor": 4.0}, None),
    "linear, by default": ({"rope_type": "linear", "factor": 4.0}, {"scaling.factor": 4.0}, None),
    "linear, old name": ({"rope_type": "linear", "factor": 4.0}, {"scale_linear": 4.0}, None),
    "llama3": (
        {"rope_type": "llama3", **LLAMA3},
        {"scaling.finetuned": True},
        "llama3",
    ),
    "yarn": (YARN, {f"scaling.{name}": value for name, value in YARN_FILE.items()}, None),
    "yarn, its settings": (
        YARN | {"beta_fast": 16.0, "beta_slow": 2.0, "attention_factor": 1.5 * (1 + 0.1 * math.log(4))},
        {
            "scaling.type": "yarn",
            "scaling.factor": 4.0,
            "scaling.original_context_length": 16,
            "scaling.yarn_beta_fast": 16.0,
            "scaling.yarn_beta_slow": 2.0,
            "scaling.yarn_ext_factor": 1.0,
            "scaling.attn_factor": 1.5,
        },
        None,
    ),
    "attention factor": (
        {
            "rope_type": "longrope",
            "short_factor": 1.0,
            "long_factor": 1.0,
            "attention_factor": 1.3,
            "original_max_position_embeddings": 64,
        },
        {"scaling.attn_factor": 1.3},
        None,
    ),
    "factors and linear": (
        {
            "rope_type": "longrope",
            "short_factor": 2.0,
            "long_factor": 2.0,
            "attention_factor": 1.0,
            "original_max_position_embeddings": 64,
        },
        {"scaling.factor": 2.0},
        "growing",
    ),
}


CASES = [("llama", scaling) for scaling in SCALINGS]
CASES += [(name, kind) for name in ("qwen2", "qwen3", "starcoder2") for kind in ("no base", "linear", "llama3", "yarn")]
CASES += [("phi3", kind) for kind in ("base", "attention factor", "factors and linear", "linear")]


@pytest.mark.parametrize(("architecture", "scaling"), CASES)
def test_rotary_positions_are_carried_over(architecture, scaling, tmp_path):
    rope, said, factors = SCALINGS[scaling]
    fields = FIELDS.get(architecture, {})
    half = fields.get("head_dim", SIZE) // 2
    growing = [1.0 + 8 * i / half for i in range(half)]
    values = {None: [1.0] * half, "growing": growing, "llama3": llama3_factors(8.0, 1.0, 4.0, 16, half)}[factors]
    tensors = {"rope_freqs.weight": values} if factors else {}
    if architecture == "phi3" and scaling == "linear":
        rope = {
            "short_factor": 4.0,
            "long_factor": 4.0,
            "attention_factor": 1.0,
            "original_max_position_embeddings": 64,
        }
        rope["rope_type"] = "longrope"
    if rope.get("rope_type") == "longrope":
        rope = rope | {name: [rope[name] * value for value in values] for name in ("short_factor", "long_factor")}
    if architecture == "phi3" and "original_max_position_embeddings" in rope:
        fields = fields | {"original_max_position_embeddings": rope["original_max_position_embeddings"]}
    original = small_model(ARCHITECTURES[architecture], rope, **fields)
    settings = {f"rope.{name}": value for name, value in said.items()}
    if architecture == "starcoder2":
        settings["attention.layer_norm_epsilon"] = original.config.norm_epsilon
    path = write_gguf(tmp_path / "model.gguf", architecture, original, settings, tensors)
    expected = logits(original)
    torch.testing.assert_close(logits(converted(path)), expected, atol=2e-4 * expected.std().item(), rtol=0)
    if rope.get("rope_type", "default") != "default":  # else the test could not fail
        plain = small_model(ARCHITECTURES[architecture], {}, **FIELDS.get(architecture, {}))
        assert (logits(plain) - expected).abs().max() > 0.5 * expected.std()


@pytest.mark.parametrize("original", [16, 64], ids=["long text", "short text"])
def test_factors_by_the_length_of_the_text(original, tmp_path):
    rope = {
        "rope_type": "longrope",
        "short_factor": [1.0 + 0.1 * i for i in range(6)],
        "long_factor": [1.0 + i for i in range(6)],
        "attention_factor": 1.19,
        "partial_rotary_factor": 0.75,
    }
    model = small_model(Phi3Config, rope, original_max_position_embeddings=original)
    settings = {
        "rope.dimension_count": 12,
        "rope.scaling.attn_factor": 1.19,
        "rope.scaling.original_context_length": original,
    }
    tensors = {
        "rope_factors_long.weight": rope["long_factor"],
        "rope_factors_short.weight": rope["short_factor"],
    }
    path = write_gguf(tmp_path / "model.gguf", "phi3", model, settings, tensors)
    torch.testing.assert_close(logits(converted(path)), logits(model), atol=1e-3, rtol=1e-4)
    other = small_model(Phi3Config, rope, original_max_position_embeddings=80 - original)
    assert (logits(other) - logits(model)).abs().max() > 0.5


@pytest.mark.parametrize("window", [None, 0, 5])  # llama.cpp writes 0 for Phi-4, which has none
@pytest.mark.parametrize("architecture", ["phi3", "starcoder2"])
def test_the_window_of_attention_is_that_of_the_file(architecture, window, tmp_path):
    model = small_model(ARCHITECTURES[architecture], {}, sliding_window=window or None)
    path = write_gguf(tmp_path / "model.gguf", architecture, model, {"attention.sliding_window": window})
    if not window:
        assert converted(path).config.sliding_window is None
        return
    torch.testing.assert_close(logits(converted(path)), logits(model), atol=1e-3, rtol=1e-4)


def sizes(context: int, hidden: int, blocks: int, feed_forward: int, heads: int, groups: int) -> dict[str, int]:
    return {
        "context_length": context,
        "embedding_length": hidden,
        "block_count": blocks,
        "feed_forward_length": feed_forward,
        "attention.head_count": heads,
        "attention.head_count_kv": groups,
    }


# all that llama.cpp's converters, of several years, say of models as they are
PUBLISHED = {
    "Llama 2 7B": (
        "llama",
        sizes(4096, 4096, 32, 11008, 32, 32)
        | {"tensor_data_layout": "Meta AI original pth", "rope.dimension_count": 128, "rope.scale_linear": 1.0}
        | {"attention.layer_norm_rms_epsilon": 1e-5},
    ),
    "Llama 3.2 3B": (
        "llama",
        sizes(131072, 3072, 28, 8192, 24, 8)
        | {"rope.freq_base": 500000.0, "attention.layer_norm_rms_epsilon": 1e-5, "attention.key_length": 128}
        | {"attention.value_length": 128, "vocab_size": 128256, "rope.dimension_count": 128},
    ),
    "Mistral Nemo": (
        "llama",
        sizes(131072, 5120, 40, 14336, 32, 8)
        | {"rope.freq_base": 1000000.0, "attention.layer_norm_rms_epsilon": 1e-5, "attention.key_length": 128}
        | {"attention.value_length": 128, "vocab_size": 131072, "rope.dimension_count": 128},
    ),
    "SmolLM2 1.7B": (
        "llama",
        sizes(8192, 2048, 24, 8192, 32, 32)
        | {"rope.freq_base": 130000.0, "attention.layer_norm_rms_epsilon": 1e-5, "vocab_size": 49152}
        | {"rope.dimension_count": 64, "attention.causal": True},
    ),
    "Qwen2.5 7B": (
        "qwen2",
        sizes(32768, 3584, 28, 18944, 28, 4) | {"rope.freq_base": 1000000.0, "attention.layer_norm_rms_epsilon": 1e-6},
    ),
    "Qwen3 embedding 0.6B": (
        "qwen3",
        sizes(32768, 1024, 28, 3072, 16, 8)
        | {"rope.freq_base": 1000000.0, "attention.layer_norm_rms_epsilon": 1e-6, "attention.key_length": 128}
        | {"attention.value_length": 128, "pooling_type": 3},
    ),
    "Phi-3 mini 4k": (
        "phi3",
        sizes(4096, 3072, 32, 8192, 32, 32)
        | {"rope.scaling.original_context_length": 4096, "attention.layer_norm_rms_epsilon": 1e-5}
        | {"rope.dimension_count": 96, "rope.freq_base": 10000.0, "attention.sliding_window": 2047},
    ),
    "Phi-4": (
        "phi3",
        sizes(16384, 5120, 40, 17920, 40, 10)
        | {"rope.scaling.original_context_length": 16384, "attention.layer_norm_rms_epsilon": 1e-5}
        | {"rope.dimension_count": 128, "rope.freq_base": 250000.0, "attention.sliding_window": 0},
    ),
    "StarCoder2 3B": (
        "starcoder2",
        sizes(16384, 3072, 30, 12288, 24, 2) | {"rope.freq_base": 999999.4375, "attention.layer_norm_epsilon": 1e-5},
    ),
    "Gemma 2 2B": (
        "gemma2",
        sizes(8192, 2304, 26, 9216, 8, 4)
        | {"attention.layer_norm_rms_epsilon": 1e-6, "attention.key_length": 256, "attention.value_length": 256}
        | {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "attention.sliding_window": 4096},
    ),
    "BLOOM 560M": ("bloom", sizes(2048, 1024, 24, 4096, 16, 16) | {"attention.layer_norm_epsilon": 1e-5}),
    "Mamba 130M": (
        "mamba",
        {"context_length": 1048576, "embedding_length": 768, "feed_forward_length": 0, "attention.head_count": 0}
        | {"block_count": 24, "ssm.conv_kernel": 4, "ssm.inner_size": 1536, "ssm.state_size": 16}
        | {"ssm.time_step_rank": 48, "attention.layer_norm_rms_epsilon": 1e-5, "ssm.dt_b_c_rms": False},
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_are_not_refused_for_what_is_said_of_them(name, tmp_path):
    architecture, said = PUBLISHED[name]
    path = write_settings(tmp_path / "model.gguf", architecture, said)
    reader, config = GGUFReader(path), AutoConfig.from_pretrained(tmp_path, gguf_file=path.name)
    check_settings(reader, type(config).from_dict(config.to_dict() | carry_over(reader, config)))


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("BLOOM 560M", {"attention.head_count_kv": 8}, r"bloom\.attention\.head_count_kv 8"),
        ("Mamba 130M", {"ssm.dt_b_c_rms": True}, r"mamba\.ssm\.dt_b_c_rms True"),
        ("SmolLM2 1.7B", {"attention.causal": False}, r"llama\.attention\.causal False"),
        ("Gemma 2 2B", {"attention.sliding_window": 0}, r"gemma2\.attention\.sliding_window 0"),
    ],
)
def test_what_no_published_model_of_its_kind_says_is_refused(name, changed, message, tmp_path):
    architecture, said = PUBLISHED[name]
    path = write_settings(tmp_path / "model.gguf", architecture, said | changed)
    reader, config = GGUFReader(path), AutoConfig.from_pretrained(tmp_path, gguf_file=path.name)
    with pytest.raises(InputError, match=message):
        check_settings(reader, type(config).from_dict(config.to_dict() | carry_over(reader, config)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rope.scaling.type": "dynamic"}, r"rope\.scaling\.type: 'dynamic' is not known; choices: none, linear, yarn"),
        (
            {"rope.scaling.alpha": 1000.0},
            r"the file says llama\.rope\.scaling\.alpha 1000\.0, which transformers' Llama",
        ),
        (
            {"rope.scaling.type": "longrope", "rope.scaling.factor": 4.0},
            r"rope\.scaling\.factor: 4\.0 with .* longrope",
        ),
        ({"rope.scaling.yarn_ext_factor": 0.5}, r"llama\.rope\.scaling\.yarn_ext_factor 0\.5"),
        ({"rope.scaling.yarn_log_multiplier": 0.1}, r"llama\.rope\.scaling\.yarn_log_multiplier 0\.1"),
        ({"rope.dimension_count": 8}, r"llama\.rope\.dimension_count|shape|mismatch"),
        ({"attention.key_length": 24}, r"llama\.attention\.key_length 24"),
        ({"attention.scale": 0.5}, r"llama\.attention\.scale 0\.5"),
        ({"attention.sliding_window": 8}, r"llama\.attention\.sliding_window 8"),
        ({"attention.clamp_kqv": 8.0}, r"llama\.attention\.clamp_kqv 8\.0"),
        ({"logit_scale": 2.0, "embedding_scale": 3.0}, r"llama\.logit_scale 2\.0, llama\.embedding_scale 3\.0"),
        ({"final_logit_softcapping": 30.0}, r"llama\.final_logit_softcapping 30\.0"),
        ({"expert_count": 4}, r"llama\.expert_count 4"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_settings_that_would_be_lost_are_refused(settings, message, tmp_path):
    path = write_gguf(tmp_path / "model.gguf", "llama", small_model(LlamaConfig, {}), settings)
    with pytest.raises(InputError, match=message):
        convert_language_model(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("tensors", "settings", "message"),
    [
        ({"rope_freqs.weight": [1.0] * 4}, {}, r"rope_freqs\.weight has 4 numbers, but there are 8 frequencies"),
        (
            {"rope_factors_long.weight": [1.0] * HALF},
            {},
            r"rope_factors_long\.weight: expected rope_freqs\.weight alone",
        ),
        ({"rope_freqs.weight": [2.0] * HALF}, YARN_FILE, r"yarn and rope_freqs\.weight together are not known"),
        ({"rope_other.weight": [1.0] * HALF}, {}, r"numbers, but LlamaForCausalLM has"),
        ({"blk.0.attn_q.bias": [1.0] * 32}, {}, r"numbers, but LlamaForCausalLM has"),
    ],
)
def test_tensors_that_would_be_lost_are_refused(tensors, settings, message, tmp_path):
    said = {f"rope.scaling.{name}": value for name, value in settings.items()}
    path = write_gguf(tmp_path / "model.gguf", "llama", small_model(LlamaConfig, {}), said, tensors)
    with pytest.raises(InputError, match=message):
        convert_language_model(path, tmp_path / "out")


def test_scalings_that_phi3_does_not_take(tmp_path):
    said = {f"rope.scaling.{name}": value for name, value in YARN_FILE.items()}
    path = write_gguf(tmp_path / "model.gguf", "phi3", small_model(Phi3Config, {}), said)
    with pytest.raises(InputError, match=r"yarn and Phi3Config together are not known"):
        convert_language_model(path, tmp_path / "out")


def test_scaling_of_an_architecture_whose_positions_differ_by_layer_is_refused(tmp_path):
    model = small_model(Gemma2Config, {}, head_dim=16, query_pre_attn_scalar=16)
    settings = {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0, "attention.layer_norm_rms_epsilon": 1e-6}
    path = write_gguf(tmp_path / "model.gguf", "gemma2", model, settings)
    with pytest.raises(InputError, match=r"gemma2\.rope\.scaling\.type linear, gemma2\.rope\.scaling\.factor 8\.0"):
        convert_language_model(path, tmp_path / "out")


def test_an_output_layer_of_its_own_stays_one(tmp_path):
    for tied in (False, True):
        model = small_model(LlamaConfig, {}, tie_word_embeddings=tied)
        folder = tmp_path / str(tied)
        folder.mkdir()
        found = converted(write_gguf(folder / "model.gguf", "llama", model))
        assert found.config.tie_word_embeddings is tied
        torch.testing.assert_close(logits(found), logits(model), atol=1e-3, rtol=1e-4)


def test_the_tokenizer_has_the_tokens_of_the_file_alone(tmp_path):
    path = write_gguf(tmp_path / "model.gguf", "llama", small_model(LlamaConfig, {}))
    # transformers adds <|endoftext|> to a byte-level vocabulary that lacks it, with an id that no embedding has
    assert len(AutoTokenizer.from_pretrained(tmp_path, gguf_file=path.name)) == VOCABULARY + 1
    convert_language_model(path, tmp_path / "out")
    tokenizer = load_tokenizer(tmp_path / "out")
    assert len(tokenizer) == VOCABULARY
    assert tokenizer("ab <|im_start|>é", add_special_tokens=False)["input_ids"][0] == 256
    assert tokenizer.decode(tokenizer("ab <|im_start|>é", add_special_tokens=False)["input_ids"]) == "ab <|im_start|>é"
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (257, 257, 257)
    assert tokenizer("<|im_start|>", add_special_tokens=False)["input_ids"] == [257]
