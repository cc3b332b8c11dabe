"""`make bench-selection`: a million fingerprints selected; and which changed copies of benchmark images are found.

The fingerprints are random hashes with near ones planted among them. The copies are made of photographs (crops of those
that scikit-image and scikit-learn bring, where they are installed), of rendered scenes and of easy-VQA.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image, ImageEnhance, ImageOps
from rich.console import Console
from scipy.stats import beta

from pargo.config.selection import Selection
from pargo.data.selection.fingerprint import SCHEMA
from pargo.data.selection.near import as_words, first_kept, nearest
from pargo.data.selection.phash import perceptual_hashes
from pargo.data.selection.select import RULES, choose
from pargo.files import write_atomic
from pargo.machine import hardware
from pargo.sources.scenes import draw_scene, render

OUTPUT = Path("reports/bench")
NUM_BENCHMARK = 20_000  # images of all benchmarks of config/paper.yaml together, about
COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized to half": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC),
    "resized to 336 x 336": lambda image: image.resize((336, 336), Image.Resampling.BILINEAR),
    "JPEG, quality 90": lambda image: recompressed(image, 90),
    "JPEG, quality 30": lambda image: recompressed(image, 30),
    "half size and JPEG, quality 50": lambda image: recompressed(COPIES["resized to half"](image), 50),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "brighter by a fifth": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "mirrored": ImageOps.mirror,
    "cut by 2 % on each side": lambda image: cropped(image, 0.02),
    "cut by 5 % on each side": lambda image: cropped(image, 0.05),
}


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    return image.crop((int(width * share), int(height * share), int(width * (1 - share)), int(height * (1 - share))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--images", type=int, default=300, help="of each kind")
    arguments = parser.parse_args()
    record = {"hardware": hardware(), "time": time.strftime("%Y-%m-%d"), "speed": speed(arguments.samples)}
    record["copies"] = {kind: copies(images) for kind, images in sources(arguments.images).items()}
    write_atomic(OUTPUT / "selection.json", json.dumps(record, indent=1) + "\n")
    text = page(record)
    write_atomic(OUTPUT / "selection.md", text)
    Console(soft_wrap=True, highlight=False).print(text)


# Speed ----------------------------------------------------------------------------------------------------------------


def speed(count: int) -> dict[str, float]:
    """Select among random fingerprints, every tenth of which has a near one before it."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**64, (count, 4), dtype=np.uint64)
    planted = rng.choice(np.arange(count // 2, count), count // 10, replace=False)
    words[planted] = words[rng.integers(0, count // 2, len(planted))]
    for _ in range(8):
        bits = rng.integers(0, 256, len(planted))
        words[planted, bits // 64] ^= np.uint64(1) << (bits % 64).astype(np.uint64)
    table = fingerprints(words, rng)
    others = fingerprints(rng.integers(0, 2**64, (NUM_BENCHMARK, 4), dtype=np.uint64), rng)
    start = time.perf_counter()
    choice = choose(table, {"benchmarks": others}, Selection())
    seconds = time.perf_counter() - start
    peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1e3
    dropped = int((choice.rule == RULES.index("near_duplicate")).sum())
    return {"samples": count, "planted": len(planted), "seconds": seconds, "dropped": dropped, "memory_mb_peak": peak}


def fingerprints(words: np.ndarray, rng: np.random.Generator) -> pa.Table:
    count = len(words)

    def binary(data: bytes) -> pa.Array:
        return pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), count, [None, pa.py_buffer(data)])

    columns = {
        "id": pa.array([f"{index:09d}" for index in range(count)]),
        "origin": pa.array(["pool"] * count),
        "sha256": binary(rng.bytes(32 * count)),
        "width": pa.array(np.full(count, 512, np.int32)),
        "height": pa.array(np.full(count, 384, np.int32)),
        "phash": binary(words.tobytes()),
        "phash_mirrored": binary(rng.bytes(32 * count)),
        "nsfw": pa.nulls(count, pa.float64()),
        "watermark": pa.nulls(count, pa.float64()),
        "problem": pa.nulls(count, pa.string()),
    }
    return pa.table(columns, schema=SCHEMA)


# Copies ---------------------------------------------------------------------------------------------------------------


def sources(count: int) -> dict[str, list[Image.Image]]:
    found = {"photographs (crops)": list(photographs(count)), "easy-VQA, test": easy_vqa(count)}
    return {**found, "scenes": [render(draw_scene(7, index), 160) for index in range(count)]}


def photographs(count: int) -> Iterator[Image.Image]:
    """Crops of different places and sizes of the colour photographs that two packages bring."""
    try:
        from skimage import data
        from sklearn.datasets import load_sample_images
    except ImportError:
        return
    names = ("astronaut", "chelsea", "coffee", "rocket", "immunohistochemistry", "retina", "hubble_deep_field")
    whole = [Image.fromarray(image) for image in load_sample_images().images]
    for name in names:
        try:
            whole.append(Image.fromarray(getattr(data, name)()).convert("RGB"))
        except (OSError, ImportError, AttributeError):  # not in the package: would be downloaded
            continue
    rng = np.random.default_rng(0)
    for index in range(count):
        image = whole[index % len(whole)]
        side = int(rng.uniform(0.3, 0.6) * min(image.size))
        left, top = (int(rng.integers(0, full - side)) for full in image.size)
        yield image.crop((left, top, left + side, top + int(side * rng.uniform(0.6, 1))))


def easy_vqa(count: int) -> list[Image.Image]:
    """From the artifact of the quick run."""
    from pargo.data.images import open_images

    source = Path("artifacts/quick/sources/easy_vqa")
    if not source.exists():
        return []
    images = open_images(source, "test")
    return [images.load(name) for name in images.ids[:count]]


def copies(images: list[Image.Image]) -> dict[str, object]:
    """Of each way to change an image: how many copies are found among the originals, at the default threshold.

    `unrelated`: half of the images against the other half; how many would be dropped for one they are no copy of.
    `alike`: how many would be dropped as near duplicates of each other.
    """
    if not images:
        return {"images": 0}
    limit, selection = Selection().contamination_distance, Selection()
    originals = [perceptual_hashes(image) for image in images]
    index = as_words(b"".join(hashes.upright for hashes in originals))
    found: dict[str, object] = {"images": len(images), "found": {}}
    for name, change in COPIES.items():
        hashes = [perceptual_hashes(change(image)) for image in images]
        best = np.full(len(images), 257)
        for column in ("upright", "mirrored"):
            words = as_words(b"".join(getattr(one, column) for one in hashes))
            best = np.minimum(best, np.bitwise_count(words ^ index).sum(1))
        found["found"][name] = int((best <= limit).sum())  # type: ignore[index]
    half = len(images) // 2
    hit = np.zeros(half, bool)
    for column in ("upright", "mirrored"):
        words = as_words(b"".join(getattr(one, column) for one in originals[:half]))
        hit |= nearest(words, index[half:], limit)[0] >= 0
    leaders, _ = first_kept(index, selection.near_duplicate_distance)
    return found | {"unrelated": int(hit.sum()), "compared": half, "alike": int((leaders >= 0).sum())}


def share(hits: int, total: int) -> str:
    """Per cent with the 95 % interval of Clopper and Pearson."""
    low = beta.ppf(0.025, hits, total - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, total - hits) if hits < total else 1.0
    return f"{100 * hits / total:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def page(record: dict) -> str:
    run, selection = record["speed"], Selection()
    kinds = {kind: found for kind, found in record["copies"].items() if found["images"]}
    heads = " | ".join(f"{kind}, n = {found['images']}" for kind, found in kinds.items())
    rows = [
        f"| {name} | " + " | ".join(share(found["found"][name], found["images"]) for found in kinds.values()) + " |"
        for name in COPIES
    ]
    rows.append(
        "| no copy, dropped as contaminated | "
        + " | ".join(share(found["unrelated"], found["compared"]) for found in kinds.values())
        + " |"
    )
    rows.append(
        "| no copy, dropped as near duplicate | "
        + " | ".join(share(found["alike"], found["images"]) for found in kinds.values())
        + " |"
    )
    speed_text = (
        f"{run['samples']:,} fingerprints, a tenth near an earlier one, against {NUM_BENCHMARK:,} of benchmarks, "
        f"with the default rules: {run['seconds']:.0f} s (wanted: at most 600), {run['memory_mb_peak']:.0f} MB at most,"
        f" {run['dropped']:,} of {run['planted']:,} planted near duplicates dropped."
    )
    title = (
        "Changed copies of benchmark images that are found, % [95 %] (contaminated: within "
        f"{selection.contamination_distance} of 256 bits, mirror images too; near duplicates: within "
        f"{selection.near_duplicate_distance}):"
    )
    limits = (
        "The hash sees grey values at low frequencies: copies that are cut are missed, and drawings with equal shapes "
        "at the same places in other colours are taken for copies. The photographs are overlapping crops of a few, so "
        "some of them are alike indeed."
    )
    table = f"| copy | {heads} |\n|:---|" + "---:|" * len(kinds) + "\n" + "\n".join(rows)
    head = f"# Selection\n\n`make bench-selection` on {record['hardware']}."
    return "\n\n".join([head, speed_text, title, table, limits]) + "\n"


if __name__ == "__main__":
    main()
