"""How well captions fit their images, by a dual encoder such as CLIP: by sentence, since CLIP reads 77 tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pargo.captions.quality import ENDS
from pargo.data.images import ImageSet
from pargo.errors import PargoError

SENTENCE = re.compile(f"[^{ENDS}]+[{ENDS}]*")


def sentences(caption: str) -> list[str]:
    """The sentences of a caption; the caption itself where there is none."""
    found = [part.strip() for part in SENTENCE.findall(caption) if re.search(r"\w", part)]
    return found or [caption]


def similarities(
    directory: Path, pairs: Iterable[tuple[str, str]], images: ImageSet, batch_size: int
) -> Iterator[tuple[float, float]]:
    """For each (image id, caption) the mean and the least cosine of the image with the caption's sentences.

    Args:
        directory: a model with `get_image_features` and `get_text_features`, and its processor; never remote code.
        pairs: read as they are needed.
        batch_size: images at a time.

    Raises:
        PargoError: there is no such model.
    """
    import torch
    from transformers import AutoModel, AutoProcessor

    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = AutoModel.from_pretrained(directory, **local).eval()
        processor = AutoProcessor.from_pretrained(directory, **local)
    except (OSError, ValueError) as error:
        raise PargoError(f"quality.scorer: cannot load {directory}: {error}") from error
    if not hasattr(model, "get_image_features") or not hasattr(model, "get_text_features"):
        raise PargoError(f"quality.scorer: {directory} holds {type(model).__name__}, no model like CLIP")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    pairs = iter(pairs)
    while batch := list(islice(pairs, batch_size)):
        texts = [sentences(caption) for _, caption in batch]
        flat = [text for group in texts for text in group]
        pixels = processor(images=[images.load(name) for name, _ in batch], return_tensors="pt").to(device)
        tokens = processor(text=flat, padding=True, truncation=True, return_tensors="pt").to(device)
        with torch.inference_mode():
            seen = torch.nn.functional.normalize(_features(model.get_image_features(**pixels)), dim=-1)
            said = torch.nn.functional.normalize(_features(model.get_text_features(**tokens)), dim=-1)
        owner = torch.tensor([place for place, group in enumerate(texts) for _ in group], device=device)
        cosines = (seen[owner] * said).sum(-1).float().tolist()
        start = 0
        for group in texts:
            of_caption = cosines[start : start + len(group)]
            yield sum(of_caption) / len(group), min(of_caption)
            start += len(group)


def _features(output: Any) -> Any:
    """transformers 5 gives an object, 4 a tensor."""
    return getattr(output, "pooler_output", output)
