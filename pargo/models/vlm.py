"""The vision-language model: projector tokens in front of the text, in a frozen language model with optional LoRA.

It starts from stored features; the vision tower is frozen and runs once, in the features stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from pargo.config.models import Language, Projector, Vision
from pargo.errors import PargoError
from pargo.models.language import add_lora, load_language_model
from pargo.models.projectors import ProjectorBase, build_projector

WEIGHTS = "model.safetensors"


class VisionLanguageModel(nn.Module):
    """`projector` and `language_model`; image tokens come first, text follows."""

    def __init__(self, projector: ProjectorBase, language_model: PreTrainedModel) -> None:
        super().__init__()
        self.projector = projector
        self.language_model = language_model

    def forward(self, features: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Hidden states that predict the text: `hidden[b, i]` predicts `input_ids[b, i]`.

        Args:
            features: [B, N, Dv], any float type.
            input_ids: [B, L], padded on the right with any valid id.
            attention_mask: [B, L], 1 for text and 0 for padding. A real token never attends to padding on its right,
                as attention is causal, so the mask is only checked.

        Returns:
            Last hidden states [B, L, D] in the language model's type; to be multiplied with the output embeddings.

        Raises:
            PargoError: padding that is not on the right.
        """
        if (attention_mask[:, 1:] > attention_mask[:, :-1]).any():
            raise PargoError("attention_mask: padding must be on the right")
        tokens = self._image_embeddings(features)
        # the last text token predicts nothing
        embeddings = torch.cat([tokens, self._text_embeddings(input_ids[:, :-1])], 1)
        output = self.language_model.get_decoder()(inputs_embeds=embeddings, use_cache=False)
        return output.last_hidden_state[:, tokens.shape[1] - 1 :]

    @torch.no_grad()
    def generate(
        self,
        features: Tensor,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        num_beams: int = 1,
        stop_ids: Sequence[int] = (),
    ) -> list[list[int]]:
        """Most likely answers: greedy, or beam search; no sampling, in evaluation mode.

        Args:
            features: [B, N, Dv].
            prompts: B lists of token ids after the image, of any lengths.
            max_new_tokens: length limit of an answer.
            num_beams: 1 is greedy.
            stop_ids: tokens that end an answer.

        Returns:
            B lists of token ids, without the prompt and without the stop token.
        """
        tokens = self._image_embeddings(features)
        if len(prompts) != len(tokens):
            raise PargoError(f"{len(prompts)} prompts for {len(tokens)} images")
        length = max(map(len, prompts))
        padding = torch.tensor([length - len(prompt) for prompt in prompts], device=tokens.device)
        total = tokens.shape[1] + length
        embeddings = tokens.new_zeros(len(prompts), total, tokens.shape[2])
        for row, prompt in enumerate(prompts):
            # padding comes before the image, so that image and text stay together
            ids = torch.tensor([prompt], dtype=torch.long, device=tokens.device)
            embeddings[row, length - len(prompt) :] = torch.cat([tokens[row], self._text_embeddings(ids)[0]])
        mask = (torch.arange(total, device=tokens.device) >= padding.unsqueeze(1)).long()
        stop_ids = list(stop_ids)
        settings = GenerationConfig(
            max_new_tokens=max_new_tokens,
            num_beams=num_beams,
            do_sample=False,
            eos_token_id=stop_ids or None,
            pad_token_id=stop_ids[0] if stop_ids else 0,
        )
        training = self.training
        self.eval()
        try:
            answers = self.language_model.generate(
                inputs_embeds=embeddings, attention_mask=mask, generation_config=settings
            )
        finally:
            self.train(training)
        return [_until(answer, stop_ids) for answer in answers.tolist()]

    def _image_embeddings(self, features: Tensor) -> Tensor:
        return self.projector(features).to(self.language_model.get_input_embeddings().weight.dtype)

    def _text_embeddings(self, input_ids: Tensor) -> Tensor:
        return self.language_model.get_input_embeddings()(input_ids)


def _until(ids: list[int], stop_ids: Sequence[int]) -> list[int]:
    end = next((index for index, token in enumerate(ids) if token in stop_ids), len(ids))
    return ids[:end]


def build_vlm(
    vision: Vision,
    language: Language,
    projector: Projector,
    lora: Mapping[str, Any] | None,
    language_dir: Path,
    seed: int,
) -> VisionLanguageModel:
    """The model of an arm; projector and LoRA are trainable and float32, all else is frozen.

    The projector's and LoRA's random weights each depend on `seed` alone, so arms with the same language model start
    with the same LoRA.
    """
    model = load_language_model(language, language_dir)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        embeddings = model.get_input_embeddings()
        built = build_projector(projector, vision, embeddings.embedding_dim)
        built.scale_output(embeddings.weight.float().square().mean().sqrt().item())
    if lora is not None:
        add_lora(model, lora, seed)
    return VisionLanguageModel(built, model)


def trainable_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the trainable tensors, float32 on the CPU: `projector.*` and `language_model.*lora_*`."""
    return {
        name: parameter.detach().to("cpu", torch.float32, copy=True).contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


@torch.no_grad()
def load_trainable(model: VisionLanguageModel, directory: Path, *, allow_missing_lora: bool = False) -> None:
    """Load `model.safetensors` of a model directory into the trainable tensors, strictly.

    Args:
        model: has just the trainable tensors of the file.
        directory: a model directory.
        allow_missing_lora: the file may be without LoRA altogether (a pretrained projector); LoRA stays as it is.

    Raises:
        PargoError: no file; missing, unexpected or mis-shaped tensors, each listed.
    """
    path = directory / WEIGHTS
    try:
        state = load_file(path)
    except OSError as error:
        raise PargoError(f"cannot read {path}: {error}") from error
    expected = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    missing = expected.keys() - state.keys()
    adapters = {name for name in expected if "lora_" in name}
    if allow_missing_lora and adapters.isdisjoint(state):
        missing -= adapters
    shapes = [
        f"{name} {list(state[name].shape)} instead of {list(expected[name].shape)}"
        for name in sorted(expected.keys() & state.keys())
        if state[name].shape != expected[name].shape
    ]
    problems = {"missing": sorted(missing), "unexpected": sorted(state.keys() - expected.keys()), "mis-shaped": shapes}
    if any(problems.values()):
        text = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in problems.items() if names)
        raise PargoError(f"{path} does not fit the model: {text}")
    for name, tensor in state.items():
        expected[name].copy_(tensor)
