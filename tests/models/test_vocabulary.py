"""Tokenizers, embeddings and output layers that do not belong together are refused before anything is computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from pargo.config.models import Language
from pargo.errors import InputError, PargoError
from pargo.export.model import add_image_token
from pargo.models.language import load_language_model, load_tokenizer
from pargo.models.vocabulary import check_vocabulary
from pargo.sources.importers.convert import convert_language_model, import_language_model
from pargo.sources.random_models import byte_tokenizer, write_random_language
from tests.sources.test_internlm2 import CONFIG, VOCABULARY, random_weights, write_tokenizer

ROWS = 258
LANGUAGE = Language(source="llama", precision="fp32")


@pytest.fixture
def llama(tmp_path) -> Path:
    (tmp_path / "llama").mkdir()
    write_random_language(tmp_path / "llama", hidden_size=16, num_layers=1, num_heads=2, seed=0)
    return tmp_path / "llama"


def imported(source: Path) -> Path:
    output = source.parent / "imported"
    output.mkdir()
    import_language_model(source, output, {})
    return output


def configure(directory: Path, **fields) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def add_tokens(directory: Path, number: int, *, special: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.add_tokens([f"<extra {index}>" for index in range(number)], special_tokens=special)
    tokenizer.save_pretrained(directory)


# Tokenizer and embeddings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("number", [1, 2, 40])
def test_more_tokens_than_embeddings(llama, number, special):
    add_tokens(llama, number, special=special)
    message = rf"the tokenizer has {ROWS + number} tokens with ids up to {ROWS + number - 1}, .* embeddings for {ROWS}"
    message += r", ids 0 to 257; without one: '<extra 0>' 258"
    with pytest.raises(InputError, match=message):
        imported(llama)
    assert not list((llama.parent / "imported").iterdir())
    with pytest.raises(InputError, match=message):  # a directory that was not imported
        load_tokenizer(llama)


def test_an_id_beyond_the_embeddings_of_a_tokenizer_with_gaps():
    backend = json.loads(byte_tokenizer().backend_tokenizer.to_str())
    vocabulary = backend["model"]["vocab"]
    last = max(vocabulary, key=vocabulary.get)
    vocabulary[last] = 300
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(backend)))
    assert len(tokenizer) <= ROWS

    class Config:
        vocab_size = ROWS

        def get_text_config(self):
            return self

    with pytest.raises(InputError, match=rf"ids up to 300, but .* for {ROWS}.*without one: {last!r} 300"):
        check_vocabulary(tokenizer, Config())


@pytest.mark.parametrize("rows", [ROWS, ROWS + 6])
def test_as_many_rows_or_more_are_fine(llama, rows):
    state = load_file(llama / "model.safetensors")
    embeddings = state["model.embed_tokens.weight"]
    state["model.embed_tokens.weight"] = torch.cat([embeddings, torch.ones(rows - ROWS, embeddings.shape[1])])
    save_file(state, llama / "model.safetensors", {"format": "pt"})
    configure(llama, vocab_size=rows)
    source = imported(llama)
    model = load_language_model(LANGUAGE, source)
    tokenizer = add_image_token(load_tokenizer(source), model)
    number = tokenizer.convert_tokens_to_ids("<image>")
    assert number == ROWS
    assert model.get_input_embeddings().num_embeddings == max(rows, number + 1)


IDS = [(257, False), (None, False), (-1, False), (258, True), (-2, True)]
CASES = [(name, *case) for name in ("bos_token_id", "eos_token_id", "pad_token_id") for case in IDS]


@pytest.mark.parametrize(("name", "number", "wrong"), [*CASES, ("eos_token_id", [1, 400], True)])
def test_ids_of_the_config(llama, name, number, wrong):
    configure(llama, **{name: number})
    if wrong:
        found = number[-1] if isinstance(number, list) else number
        with pytest.raises(InputError, match=rf"config\.json: {name} is {found}, but .* embeddings for {ROWS} tokens"):
            imported(llama)
    else:
        load_language_model(LANGUAGE, imported(llama))


def test_a_tokenizer_of_another_model_is_refused_by_convert_language(tmp_path):
    directory = tmp_path / "internlm2"
    directory.mkdir()
    weights = random_weights()
    for name in ("model.tok_embeddings.weight", "output.weight"):
        weights[name] = weights[name][:-2].clone()
    save_file(weights, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps(CONFIG | {"vocab_size": VOCABULARY - 2}))
    write_tokenizer(directory, dummy_prefix=False)
    with pytest.raises(InputError, match=f"has {VOCABULARY} tokens .* embeddings for {VOCABULARY - 2}"):
        convert_language_model(directory, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_image_token_that_would_take_the_id_of_another(llama):
    backend = json.loads(byte_tokenizer().backend_tokenizer.to_str())
    vocabulary = backend["model"]["vocab"]
    last = max(vocabulary, key=vocabulary.get)
    vocabulary[last] += 1
    backend["added_tokens"] = []
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(backend)))
    with pytest.raises(PargoError, match=rf"ids have gaps: <image> would get 256, which is {last!r}"):
        add_image_token(tokenizer, load_language_model(LANGUAGE, llama))


def test_no_tokenizer(llama):
    for path in llama.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(InputError, match="llama does not hold a tokenizer and config of a language model"):
        imported(llama)


def test_an_adapter_that_is_not_merged(llama):
    (llama / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="has an adapter beside its weights: merge it first"):
        imported(llama)


# The output layer -----------------------------------------------------------------------------------------------------

EMBEDDINGS, OUTPUT = "model.embed_tokens.weight", "lm_head.weight"
TABLE = [
    # tied by the config, matrices in the file, and what happens
    (True, "embeddings", None),
    (True, "output", None),
    (True, "both, equal", None),
    (True, "both, different", r"says tie_word_embeddings true, but the weights hold an output layer that differs"),
    (
        False,
        "embeddings",
        r"says tie_word_embeddings false, but of .* the weights hold only model\.embed_tokens\.weight",
    ),
    (False, "output", r"tie_word_embeddings false, but of .* the weights hold only lm_head\.weight"),
    (False, "both, equal", None),
    (False, "both, different", None),
]


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize(("tied", "matrices", "message"), TABLE)
def test_config_and_weights_agree_on_the_output_layer(llama, tied, matrices, message, sharded):
    configure(llama, tie_word_embeddings=tied)
    state = load_file(llama / "model.safetensors")
    embeddings = state.pop(EMBEDDINGS)
    output = embeddings + (matrices == "both, different")
    own = {
        "embeddings": {EMBEDDINGS: embeddings},
        "output": {OUTPUT: output},
    }.get(matrices, {EMBEDDINGS: embeddings, OUTPUT: output.clone()})
    if sharded and len(own) == 2:
        parts = {"model-00001-of-00002.safetensors": state | {EMBEDDINGS: embeddings}}
        parts["model-00002-of-00002.safetensors"] = {OUTPUT: output}
        (llama / "model.safetensors").unlink()
        index = {name: path for path, part in parts.items() for name in part}
        (llama / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    else:
        parts = {"model.safetensors": state | own}
    for name, part in parts.items():
        save_file(part, llama / name, {"format": "pt"})
    if message is None:
        model = load_language_model(LANGUAGE, imported(llama))
        torch.testing.assert_close(model.get_output_embeddings().weight, output.to(torch.float32))
        tokenizer = add_image_token(load_tokenizer(llama), model)
        torch.testing.assert_close(model.get_output_embeddings().weight[:ROWS], output.to(torch.float32))
        assert len(tokenizer) == ROWS + 1
        return
    with pytest.raises(InputError, match=message):
        imported(llama)
    loaded = message if tied else r"missing: (lm_head|model\.embed_tokens)\.weight"
    with pytest.raises(InputError, match=loaded):
        load_language_model(LANGUAGE, llama)


def test_a_model_that_writes_no_text(llama):
    path = llama / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "t5"}))
    with pytest.raises(InputError, match=r"llama holds a model of the kind 't5': no language model of transformers"):
        imported(llama)


def test_an_internlm2_whose_config_ties_two_matrices(tmp_path):
    directory = tmp_path / "internlm2"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(CONFIG | {"tie_word_embeddings": True}))
    write_tokenizer(directory, dummy_prefix=False)
    save_file(random_weights(), directory / "model.safetensors")
    with pytest.raises(InputError, match=r"tied by the config, but given as different matrices: model\.embed_tokens"):
        convert_language_model(directory, tmp_path / "out")
