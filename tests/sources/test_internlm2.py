"""InternLM2 as a Llama: against a plain InternLM2 with its fused matrix, written here from its definition."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sentencepiece
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from pargo.errors import PargoError
from pargo.sources.importers.convert import convert_language_model
from pargo.sources.importers.internlm2 import PROBES, convert_internlm2_config, split_rows

HEADS, KV_HEADS, SIZE, WIDTH, LAYERS, VOCABULARY = 6, 2, 8, 48, 2, 400
CONFIG = {
    "model_type": "internlm2",
    "architectures": ["InternLM2ForCausalLM"],
    "auto_map": {"AutoModelForCausalLM": "modeling_internlm2.InternLM2ForCausalLM"},
    "bias": False,
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "num_hidden_layers": LAYERS,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000000,
    "rope_scaling": {"type": "dynamic", "factor": 2.0},
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}


def random_weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "model.tok_embeddings.weight": (VOCABULARY, WIDTH),
        "model.norm.weight": (WIDTH,),
        "output.weight": (VOCABULARY, WIDTH),
    }
    for layer in range(LAYERS):
        parts = {
            "attention.wqkv": ((HEADS + 2 * KV_HEADS) * SIZE, WIDTH),
            "attention.wo": (WIDTH, HEADS * SIZE),
            "feed_forward.w1": (64, WIDTH),
            "feed_forward.w3": (64, WIDTH),
            "feed_forward.w2": (WIDTH, 64),
            "attention_norm": (WIDTH,),
            "ffn_norm": (WIDTH,),
        }
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in parts.items()}
    return {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def reference_logits(state: dict[str, Tensor], ids: Tensor, scaling: dict | None = None) -> Tensor:
    """InternLM2: the fused rows are, for each key-value head, its query heads, its key and its value.

    `dynamic` enlarges the base of a text that is longer than those of training, `linear` divides positions.
    """
    scaling = scaling or {"type": "none"}
    longer, size = ids.shape[1] / CONFIG["max_position_embeddings"], SIZE
    theta, places = CONFIG["rope_theta"], torch.arange(ids.shape[1])
    if scaling["type"] == "dynamic" and longer > 1:
        theta *= (scaling["factor"] * longer - (scaling["factor"] - 1)) ** (size / (size - 2))
    if scaling["type"] == "linear":
        places = places / scaling["factor"]

    def norm(x: Tensor, name: str) -> Tensor:
        return state[f"{name}.weight"] * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + CONFIG["rms_norm_eps"])

    def rotate(x: Tensor) -> Tensor:
        frequencies = theta ** -(torch.arange(0, SIZE, 2) / SIZE)
        angles = torch.outer(places, frequencies).repeat(1, 2)
        first, second = x.chunk(2, -1)
        return x * angles.cos() + torch.cat([-second, first], -1) * angles.sin()

    x = F.embedding(ids, state["model.tok_embeddings.weight"])
    length = ids.shape[1]
    causal = torch.full((length, length), -torch.inf).triu(1)
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        fused = norm(x, f"{at}attention_norm") @ state[f"{at}attention.wqkv.weight"].T
        groups = fused.view(len(ids), length, KV_HEADS, HEADS // KV_HEADS + 2, SIZE)
        query = groups[..., :-2, :].flatten(2, 3).transpose(1, 2)
        key, value = (
            groups[..., place, :].repeat_interleave(HEADS // KV_HEADS, 2).transpose(1, 2) for place in (-2, -1)
        )
        scores = rotate(query) @ rotate(key).transpose(-1, -2) / SIZE**0.5 + causal
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        x = x + mixed @ state[f"{at}attention.wo.weight"].T
        y = norm(x, f"{at}ffn_norm")
        gate, up = (y @ state[f"{at}feed_forward.{name}.weight"].T for name in ("w1", "w3"))
        x = x + (F.silu(gate) * up) @ state[f"{at}feed_forward.w2.weight"].T
    return norm(x, "model.norm") @ state["output.weight"].T


def write_tokenizer(directory: Path, *, dummy_prefix: bool) -> sentencepiece.SentencePieceProcessor:
    text = directory / "corpus.txt"
    text.write_text("\n".join(path.read_text() for path in sorted(Path(__file__).parent.glob("*.py"))))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(directory / "tokenizer"),
        vocab_size=VOCABULARY,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=dummy_prefix,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        minloglevel=2,
    )
    settings = {
        "tokenizer_class": "InternLM2Tokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]},
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "</s>",
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return sentencepiece.SentencePieceProcessor(str(directory / "tokenizer.model"))


@pytest.fixture(params=[False, True], ids=["no-prefix", "prefix"])
def published(request, tmp_path) -> tuple[Path, sentencepiece.SentencePieceProcessor]:
    """A small InternLM2 as it lies on a hub, in two shards."""
    directory = tmp_path / "internlm2"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(CONFIG))
    weights = random_weights()
    names = sorted(weights)
    for shard, part in enumerate((names[:7], names[7:])):
        save_file({name: weights[name] for name in part}, directory / f"model-0000{shard + 1}-of-00002.safetensors")
    return directory, write_tokenizer(directory, dummy_prefix=request.param)


def test_the_converted_model_is_the_same_model(published, tmp_path):
    directory, original = published
    convert_language_model(directory, tmp_path / "llama")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "llama", local_files_only=True)
    assert type(model).__name__ == "LlamaForCausalLM"
    ids = torch.randint(0, VOCABULARY, (2, 20), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(ids).logits, reference_logits(random_weights(), ids), atol=1e-4, rtol=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "llama", local_files_only=True)
    for text in PROBES:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == original.encode(text), text
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (1, 2)
    assert not list((tmp_path / "llama").glob("*.py"))


@pytest.mark.parametrize("length", [100, 200], ids=["as in training", "longer than in training"])
@pytest.mark.parametrize("scaling", [None, {"type": "linear", "factor": 4.0}, {"type": "dynamic", "factor": 2.0}])
def test_rotary_scaling_is_carried_over(tmp_path, scaling, length):
    directory = tmp_path / "internlm2"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(CONFIG | {"rope_scaling": scaling}))
    write_tokenizer(directory, dummy_prefix=False)
    save_file(random_weights(), directory / "model.safetensors")
    convert_language_model(directory, tmp_path / "llama")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "llama", local_files_only=True)
    ids = torch.randint(0, VOCABULARY, (1, length), generator=torch.Generator().manual_seed(1))
    found, expected = model(ids).logits, reference_logits(random_weights(), ids, scaling)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-3)
    if scaling and (length > CONFIG["max_position_embeddings"] or scaling["type"] == "linear"):
        assert (reference_logits(random_weights(), ids) - expected).abs().max() > 0.5


def test_pickled_weights_are_read_without_running_code(tmp_path):
    directory = tmp_path / "internlm2"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(CONFIG))
    write_tokenizer(directory, dummy_prefix=False)
    torch.save(random_weights(), directory / "pytorch_model.bin")
    convert_language_model(directory, tmp_path / "llama")
    assert (tmp_path / "llama" / "model.safetensors").is_file()

    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"x": Evil()}, directory / "pytorch_model.bin")
    with pytest.raises(Exception, match="holds other objects, which are not read since they could run code"):
        convert_language_model(directory, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_rows_of_the_fused_matrix():
    # 2 key-value heads with 3 query heads each, heads of one row: q q q k v, q q q k v
    parts = split_rows(torch.arange(10).unsqueeze(1), 6, 2)
    assert parts["q_proj"].flatten().tolist() == [0, 1, 2, 5, 6, 7]
    assert parts["k_proj"].flatten().tolist() == [3, 8]
    assert parts["v_proj"].flatten().tolist() == [4, 9]


def test_refusals(published, tmp_path):
    directory, _ = published
    with pytest.raises(ValueError, match="9 rows, which 6 query and 2 key-value heads do not divide"):
        split_rows(torch.zeros(9, 4), 6, 2)
    with pytest.raises(ValueError, match="model_type: 'llama' is not 'internlm2'"):
        convert_internlm2_config({"model_type": "llama"})
    with pytest.raises(ValueError, match="rope_scaling: 'yarn' is not known"):
        convert_internlm2_config(CONFIG | {"rope_scaling": {"type": "yarn"}})
    for scaling, message in [
        ({"type": "dynamic"}, r"dynamic takes \['factor'\], not \[\]"),
        ({"type": "linear", "factor": 2.0, "alpha": 1}, r"linear takes \['factor'\], not \['alpha', 'factor'\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            convert_internlm2_config(CONFIG | {"rope_scaling": scaling})
    save_file({"model.layers.0.attention.wq.weight": torch.zeros(2)}, directory / "extra.safetensors")
    with pytest.raises(ValueError, match=r"not weights of InternLM2: model\.layers\.0\.attention\.wq\.weight"):
        convert_language_model(directory, tmp_path / "out")
    (directory / "extra.safetensors").unlink()
    (directory / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"do not fit the architecture[\s\S]*layers\.0"):
        convert_language_model(directory, tmp_path / "out")
    (directory / "tokenizer.model").unlink()
    with pytest.raises(PargoError, match=r"has no tokenizer\.model"):
        convert_language_model(directory, tmp_path / "out")
    with pytest.raises(PargoError, match=r"neither a \.gguf file nor a directory"):
        convert_language_model(tmp_path / "nothing", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    with pytest.raises(PargoError, match="exists already"):
        convert_language_model(directory, tmp_path / "out")
