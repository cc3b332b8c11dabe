"""The transformers classes on their own: saved and loaded in another number type, any language model, any padding."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, LlamaConfig, MambaConfig, PreTrainedConfig

from pargo.errors import InputError
from pargo.models.configuration import PargoConfig
from pargo.models.vision import PargoVisionConfig
from pargo.models.vlm import PargoForConditionalGeneration
from tests.helpers.model_builders import pargo_config

TOWER = PargoVisionConfig(architecture="eva02_tiny_patch14_224", image_size=56, num_patches=16, feature_size=192)
LLAMA = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, pad_token_id=0
)
GPT2 = GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2)


def model(text_config: PreTrainedConfig) -> PargoForConditionalGeneration:
    """Random weights, sharp enough that answers depend on the input."""
    torch.manual_seed(0)
    # spans 1, 2, 8: the layer between has tables of neighbours
    config = PargoConfig(
        vision_config=TOWER,
        text_config=text_config,
        projector_config=pargo_config(num_partial=8, num_layers=3).model_dump(mode="json"),
        image_token_id=63,
    )
    built = PargoForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.15 if "tower" not in name else 0.05)
    return built


def test_tower_and_projector_stay_exact_in_a_model_of_bfloat16(tmp_path):
    """Buffers that no file holds included: the tower's rotary positions, the projector's tables of neighbours."""
    whole = model(LLAMA)
    whole.save_pretrained(tmp_path)
    half = PargoForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.language_model.dtype == torch.bfloat16
    pixels = torch.randn(2, 3, 56, 56)
    ours, theirs = (part.get_image_features(pixels) for part in (whole, half))
    assert torch.equal(ours.last_hidden_state, theirs.last_hidden_state)
    assert torch.equal(ours.pooler_output.bfloat16(), theirs.pooler_output)
    for part in ("vision_tower", "projector"):
        buffers = dict(getattr(half, part).named_buffers())
        assert buffers
        for name, buffer in getattr(whole, part).named_buffers():
            assert torch.equal(buffer, buffers[name]), name


@pytest.mark.parametrize("text_config", [LLAMA, GPT2], ids=["rotary", "learned"])
@pytest.mark.parametrize("num_beams", [1, 2])
def test_padding_on_the_left_does_not_move_positions(text_config, num_beams):
    built = model(text_config)
    rows = [[5, 6], [7, 8, 9, 10, 11, 12, 13], [3, 20, 21]]
    pixels = torch.randn(3, 3, 56, 56) * torch.tensor([1.0, 3.0, 6.0]).view(-1, 1, 1, 1)
    image = [63] * built.projector.num_tokens
    options = {"max_new_tokens": 6, "eos_token_id": None, "pad_token_id": 0, "num_beams": num_beams}
    options |= {"suppress_tokens": [63]}
    length = max(map(len, rows))
    ids = torch.tensor([[0] * (length - len(row)) + image + row for row in rows])
    mask = torch.tensor([[0] * (length - len(row)) + [1] * (len(image) + len(row)) for row in rows])
    together = built.generate(input_ids=ids, attention_mask=mask, pixel_values=pixels, **options)[:, ids.shape[1] :]
    for index, row in enumerate(rows):
        alone = torch.tensor([image + row])
        answer = built.generate(input_ids=alone, pixel_values=pixels[index : index + 1], **options)
        assert answer[0, alone.shape[1] :].tolist() == together[index].tolist()
    assert len({tuple(row) for row in together.tolist()}) > 1


def test_images_given_in_advance_are_not_changed_by_beams():
    built = model(LLAMA)
    encoded = built.get_image_features(torch.randn(1, 3, 56, 56))
    ids = torch.tensor([[63] * built.projector.num_tokens + [5, 6]])
    options = {"max_new_tokens": 4, "num_beams": 3, "eos_token_id": None, "pad_token_id": 0, "suppress_tokens": [63]}
    answers = [built.generate(input_ids=ids, mm_encoder_outputs={"image": encoded}, **options) for _ in range(2)]
    assert torch.equal(*answers)
    assert len(encoded.pooler_output) == 1


OPTIONS = {"max_new_tokens": 6, "eos_token_id": None, "pad_token_id": 0, "suppress_tokens": [63]}


def prompt(built: PargoForConditionalGeneration, *texts: list[int]) -> torch.Tensor:
    """Rows of an image and text."""
    image = [63] * built.projector.num_tokens
    return torch.tensor([image + text for text in texts])


def test_the_next_turn_goes_on_from_the_cache():
    built = model(LLAMA)
    pixels = torch.randn(1, 3, 56, 56)
    first = built.generate(
        input_ids=prompt(built, [5, 6]), pixel_values=pixels, return_dict_in_generate=True, **OPTIONS
    )
    second = torch.cat([first.sequences, torch.tensor([[10, 11, 12]])], 1)
    expected = built.generate(input_ids=second, pixel_values=pixels, **OPTIONS)
    assert torch.equal(built.generate(input_ids=second, past_key_values=first.past_key_values, **OPTIONS), expected)


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("chunk", [3, 8])
def test_a_prompt_read_in_chunks_gives_the_same_answer(num_beams, chunk):
    built = model(LLAMA)
    inputs = {"input_ids": prompt(built, [5, 6], [7, 8]), "pixel_values": torch.randn(2, 3, 56, 56)}
    expected = built.generate(**inputs, num_beams=num_beams, **OPTIONS)
    assert torch.equal(built.generate(**inputs, num_beams=num_beams, prefill_chunk_size=chunk, **OPTIONS), expected)


def test_an_image_stands_in_one_piece_and_alone():
    built = model(LLAMA)
    pixels, image = torch.randn(2, 3, 56, 56), [63] * built.projector.num_tokens
    with pytest.raises(InputError, match=r"\[22\] image tokens .* 2 image\(s\) of 11 tokens, which stand together"):
        built.generate(input_ids=torch.tensor([[*image, 5, *image, 6]]), pixel_values=pixels, **OPTIONS)
    split = torch.tensor([[*image[:5], 5, *image[5:], 6]])
    for call in (built.generate, built):
        with pytest.raises(InputError, match=r"\[11\] image tokens .* 1 image\(s\)"):
            call(input_ids=split, pixel_values=pixels[:1])


def test_an_empty_batch_is_refused():
    built = model(LLAMA)
    nothing = torch.zeros(0, 5, dtype=torch.long)
    with pytest.raises(InputError, match="pixel_values of at least one image, got an empty batch"):
        built(input_ids=nothing, pixel_values=torch.zeros(0, 3, 56, 56))
    with pytest.raises(InputError, match="input_ids of at least one row, got an empty batch"):
        built(input_ids=nothing)


def test_a_language_model_that_would_read_padding_generates_from_whole_rows_alone():
    built = model(MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=4))
    pixels = torch.randn(2, 3, 56, 56)
    ids = prompt(built, [5, 6], [7, 8])
    mask = torch.ones_like(ids)
    answers = built.generate(input_ids=ids, attention_mask=mask, pixel_values=pixels, **OPTIONS)
    for index, answer in enumerate(answers):
        alone = built.generate(input_ids=ids[index : index + 1], pixel_values=pixels[index : index + 1], **OPTIONS)
        assert torch.equal(alone[0], answer)
    mask[0, 0] = 0
    with pytest.raises(InputError, match="MambaForCausalLM generates from rows of one length alone"):
        built.generate(input_ids=ids, attention_mask=mask, pixel_values=pixels, **OPTIONS)


def test_quantizers_and_adapters_leave_projector_and_tower_as_they_are():
    assert {"projector", "vision_tower"} <= set(PargoForConditionalGeneration._keep_in_fp32_modules)
