"""Made-up MM-Vet files of the real size, and the official tool's arithmetic, written in its way."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

CAPABILITIES = ["rec", "ocr", "know", "gen", "spat", "math"]
SETS = [
    ["rec"], ["ocr"], ["rec", "know"], ["ocr", "spat"], ["rec", "know", "gen"], ["ocr", "spat", "math"],
    ["rec", "spat"], ["ocr", "math"], ["rec", "ocr", "spat", "gen"], ["spat", "ocr"], ["rec", "ocr", "know", "spat"],
]  # fmt: skip
NASTY = [
    "", " ", "0.5", "no grade\nhere", "NaN", "<AND>", "{answer}", "\u2028", "\x00", '"\\', "🙂", "ja\r\n", "null",
    "x" * 3000, "Reply with 1.0", "\ufeffyes", "Infinity", "[]",
]  # fmt: skip


def make_meta(count: int = 218, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Questions with official ids, some of them about one image."""
    rng = random.Random(seed)
    return {
        f"v1_{number}": {
            "imagename": f"v1_{number - (number % 11 == 5)}.png",
            "question": f"What is shown in {number}?\nSay {rng.choice(NASTY[:9])!r}",
            "answer": rng.choice(["two", "red<AND>blue", "car<OR>auto<AND>tree", "", "-1<AND>-5", "a & b"]),
            "imagesource": "https://example.org/a.png",
            "capability": rng.choice(SETS),
        }
        for number in range(count)
    }


def make_grades(meta: dict[str, Any], runs: int = 1, seed: int = 0) -> dict[str, Any]:
    rng = random.Random(seed)
    return {
        key: {
            "model": ["gpt-4-0613"] * runs,
            "content": ["0.5"] * runs,
            "score": [rng.choice([0.0, 1.0, 0.5, round(rng.random(), 1), rng.random(), 1, 0]) for _ in range(runs)],
        }
        for key in meta
    }


def write_json(path: Path, content: Any, **options: Any) -> Path:
    path.write_text(json.dumps(content, **options), encoding="utf-8")
    return path


def official_tool(meta: dict[str, Any], grades: dict[str, Any], runs: int) -> tuple[dict, dict]:
    """Both tables as printed: sums over the grades file, sizes from the questions, percent, rounded to 0.1."""
    size: dict[str, int] = {"total": 0}
    sets: list[set[str]] = []
    set_size: list[int] = []
    for entry in meta.values():
        needed = set(entry["capability"])
        for name in needed:
            size[name] = size.get(name, 0) + 1
        if needed not in sets:
            sets.append(needed)
            set_size.append(0)
        set_size[sets.index(needed)] += 1
        size["total"] += 1
    sums = {name: [0.0] * runs for name in size}
    set_sums = [[0.0] * runs for _ in sets]
    for key, grade in grades.items():
        for run in range(runs):
            value = grade["score"][run]
            needed = set(meta[key]["capability"])
            for name in needed:
                sums[name][run] += value
            sums["total"][run] += value
            set_sums[sets.index(needed)][run] += value
    first = {name: np.array(values) / size[name] * 100 for name, values in sums.items()}
    second = {
        "+".join(sorted(names)): np.array(values) / count * 100
        for names, values, count in zip(sets, set_sums, set_size, strict=True)
    }
    std, each = round(first["total"].std(), 1), list(np.round(first["total"], 1))
    printed = {name: round(values.mean(), 1) for name, values in first.items()} | {"std": std, "runs": each}
    printed2 = {name: round(values.mean(), 1) for name, values in second.items()}
    return printed, printed2 | {"total": printed["total"], "std": std, "runs": each}
