"""Importers: weights arrive under the right names with the right values, and what does not fit is refused."""

import json

import gguf
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from pargo.errors import InputError, PargoError
from pargo.sources.importers.gguf import import_gguf
from pargo.sources.importers.vision import LITE0, import_efficientnet_lite0, rename_in_order
from pargo.sources.random_models import byte_tokenizer, write_random_language, write_random_vision


def test_efficientnet_lite0_gets_timms_names_and_keeps_its_values(tmp_path):
    reference = timm.create_model(LITE0, pretrained=False).state_dict()
    published = {
        f"_old{index}.{name.rpartition('.')[2]}": tensor for index, (name, tensor) in enumerate(reference.items())
    }
    (tmp_path / "models").mkdir()
    torch.save(published, tmp_path / "models" / "weights.pth")
    output = tmp_path / "out"
    output.mkdir()
    import_efficientnet_lite0(tmp_path, output)
    weights = load_file(output / "model.safetensors")
    assert weights.keys() == reference.keys()
    assert all(torch.equal(weights[name], reference[name]) for name in reference)
    config = json.loads((output / "config.json").read_text())
    assert config == {"architecture": LITE0, "mean": [0.5] * 3, "std": [0.5] * 3}


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"x": Evil()}, tmp_path / "weights.pth")
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        import_efficientnet_lite0(tmp_path, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a.weight": torch.zeros(2)}, "1 tensors, the architecture 2"),
        ({"a.weight": torch.zeros(2), "a.bias": torch.zeros(3)}, r"a\.bias \(3,\) stands where b\.bias \(2,\)"),
        ({"a.bias": torch.zeros(2), "a.weight": torch.zeros(2)}, r"a\.bias \(2,\) stands where b\.weight"),
    ],
)
def test_weights_that_do_not_fit_are_named(weights, message):
    with pytest.raises(PargoError, match=message):
        rename_in_order(weights, {"b.weight": torch.ones(2), "b.bias": torch.ones(2)})


def test_the_wheel_must_hold_exactly_one_file_of_weights(tmp_path):
    for importer in (import_efficientnet_lite0, import_gguf):
        with pytest.raises(PargoError, match="expected one"):
            importer(tmp_path, tmp_path)


def write_gguf(path, tensors):
    """A one-layer Llama of width 32 with a byte-level vocabulary, quantized as the real one (Q4_1)."""
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in [
        ("context_length", 64),
        ("embedding_length", 32),
        ("block_count", 1),
        ("feed_forward_length", 64),
        ("head_count", 2),
        ("head_count_kv", 2),
        ("vocab_size", 258),
    ]:
        getattr(writer, f"add_{name}")(value)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(16)
    tokens = [*byte_tokenizer().convert_ids_to_tokens(range(256)), "ab", "<|im_start|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * 257 + [gguf.TokenType.CONTROL])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(257)
    for name, values in tensors.items():
        kind = gguf.GGMLQuantizationType.Q4_1
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = {"token_embd": (258, 32), "blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,), "output_norm": (32,)}
    shapes |= {f"blk.0.attn_{name}": (32, 32) for name in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_gate": (64, 32), "blk.0.ffn_up": (64, 32), "blk.0.ffn_down": (32, 64)}
    return {f"{name}.weight": random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("blk.0.ffn_up.weight", None, r"missing: model\.layers\.0\.mlp\.up_proj\.weight"),
        ("blk.0.ffn_up.weight", "blk.0.ffn_upp.weight", r"missing: model\.layers\.0\.mlp\.up_proj\.weight"),
        ("output_norm.weight", None, r"missing: model\.norm\.weight"),
        (None, "blk.0.attn_q.bias", r"holds 18,624 numbers, but LlamaForCausalLM has 18,592"),
    ],
)
def test_a_gguf_file_with_other_tensors_is_refused(tmp_path, old, new, text):
    tensors = gguf_tensors()
    values = tensors.pop(old) if old else np.ones(32, np.float32)
    if new:
        tensors[new] = values
    write_gguf(tmp_path / "tiny.gguf", tensors)
    with pytest.raises(InputError, match=text):
        import_gguf(tmp_path, tmp_path)


def test_gguf_becomes_a_loadable_directory_with_the_dequantized_values(tmp_path):
    tensors = gguf_tensors()
    write_gguf(tmp_path / "tiny.gguf", tensors)
    output = tmp_path / "out"
    output.mkdir()
    import_gguf(tmp_path, output)
    model = AutoModelForCausalLM.from_pretrained(output, local_files_only=True)
    assert model.dtype == torch.bfloat16
    assert not hasattr(model.config, "quantization_config")
    up = model.model.layers[0].mlp.up_proj.weight
    kind = gguf.GGMLQuantizationType.Q4_1
    expected = gguf.quants.dequantize(gguf.quants.quantize(tensors["blk.0.ffn_up.weight"], kind), kind)
    assert torch.equal(up, torch.from_numpy(expected).bfloat16())
    tokenizer = AutoTokenizer.from_pretrained(output, local_files_only=True)
    assert tokenizer.decode(tokenizer("\nyes", add_special_tokens=False)["input_ids"]) == "\nyes"
    assert str(tmp_path) not in "".join(path.read_text() for path in output.glob("*.json"))


def test_random_vision_has_the_format_of_the_real_tower(tmp_path):
    write_random_vision(tmp_path, seed=0)
    config = json.loads((tmp_path / "config.json").read_text())
    model = timm.create_model(config["architecture"], pretrained=False)
    model.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    maps = model.eval().forward_intermediates(torch.ones(1, 3, 64, 64), indices=2, intermediates_only=True)
    assert [tuple(values.shape[1:]) for values in maps] == [(48, 4, 4), (64, 2, 2)]


def test_random_language_loads_and_reads_any_text(tmp_path):
    write_random_language(tmp_path, hidden_size=16, num_layers=1, num_heads=2, seed=0)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True)
    text = "\nIs there a é? 漢 yes\n"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) == len(text.encode())
    assert tokenizer.decode(ids) == text
    assert model.dtype == torch.float32
    assert model(torch.tensor([ids])).logits.shape == (1, len(ids), 258)
    assert len({tokenizer.eos_token_id, tokenizer.pad_token_id, *ids[:1]}) == 3
