"""Small benchmarks in the layouts in which their owners give them out, with generated images."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

from PIL import Image

from pargo.config.sources.official import official_benchmarks

COLORS = ("red", "blue", "green", "gray")


def image(number: int, kind: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    """An image of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", size, COLORS[number % len(COLORS)]).save(stream, kind)
    return stream.getvalue()


def write_mme(root: Path) -> list[Path]:
    """Three tasks: two with images and texts side by side, one with a folder of each."""
    folder = root / "MME_Benchmark_release_version"
    for task, extension in (("existence", "jpg"), ("OCR", "png"), ("artwork", "jpg")):
        images, texts = folder / task, folder / task
        if task == "artwork":
            images, texts = folder / task / "images", folder / task / "questions_answers_YN"
            (images / "toy_dataset").mkdir(parents=True)
            (images / "toy_dataset" / "toy.jpg").write_bytes(image(0))
        for path in (images, texts):
            path.mkdir(parents=True, exist_ok=True)
        for number in range(2):
            data = image(number, "PNG" if extension == "png" else "JPEG")
            (images / f"00{number}.{extension}").write_bytes(data)
            lines = [
                f"Is this picture {COLORS[number + turn]}? Please answer yes or no.\t{('Yes', 'No')[turn]}\n"
                for turn in (0, 1)
            ]
            (texts / f"00{number}.txt").write_text("".join(lines))
    return [folder]


def write_mmbench(root: Path) -> list[Path]:
    """Three questions, two with rotations; an image cell may be the index of the row that holds the image."""
    columns = ("index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "source", "l2-category")
    rows = []
    for number, options in enumerate([("red", "None"), ("blue", "red", "green"), ("NA", "one", "two", "gray")]):
        leaf, l2 = [("ocr", "FP-S"), ("spatial_relationship", "FP-C"), ("ocr", "FP-S")][number]
        for turn in range(len(options) if number else 1):
            turned = [*options[turn:], *options[:turn]]
            texts = [*turned, "", "", "", ""][:4]
            answer = "ABCD"[turned.index(options[0])]
            picture = base64.b64encode(image(number)).decode() if not turn else str(number + 1)
            hint = "look closely" if number == 1 else ""
            cells = (number + 1 + turn * 1_000_000, "Which is it?", hint, *texts, answer, leaf, picture, "made", l2)
            rows.append([str(cell) for cell in (*cells, "", "dev")])
    path = root / "MMBench_DEV_EN.tsv"
    lines = ["\t".join(row) for row in ((*columns, "comment", "split"), *rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [path]


def write_seedbench(root: Path) -> list[Path]:
    """Four image questions of two dimensions, and one about a video, which is no part of the image benchmark."""
    folder = root / "SEED-Bench-image"
    folder.mkdir(parents=True)
    questions = []
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(image(number))
        choices = {f"choice_{letter}": COLORS[(number + i) % 4] for i, letter in enumerate("abcd")}
        questions.append(
            {
                "answer": "ABCD"[number],
                **choices,
                "data_id": str(number),
                "data_type": "image",
                "question": "What color is it?",
                "question_id": str(100 + number),
                "question_type_id": 1 + number % 2,
            }
        )
    questions.append({**questions[0], "data_type": "video", "question_id": "200", "question_type_id": 10})
    types = {"Scene Understanding": 1, "Instance Identity": 2, "Action Recognition": 10}
    path = root / "SEED-Bench.json"
    path.write_text(json.dumps({"questions": questions, "question_type": types}))
    return [path, folder]


def write_mmvet(root: Path) -> list[Path]:
    """Three questions with one capability or two."""
    (root / "mm-vet" / "images").mkdir(parents=True)
    questions = {}
    for number, capability in enumerate((["ocr"], ["ocr", "spat"], ["rec"])):
        (root / "mm-vet" / "images" / f"v1_{number}.png").write_bytes(image(number, "PNG"))
        questions[f"v1_{number}"] = {
            "imagename": f"v1_{number}.png",
            "imagesource": "made",
            "question": "What is the color?",
            "answer": f"{COLORS[number]}<OR>{COLORS[number]} color",
            "capability": capability,
        }
    path = root / "mm-vet" / "mm-vet.json"
    path.write_text(json.dumps(questions))
    return [path, root / "mm-vet" / "images"]


def write_pope(root: Path) -> list[Path]:
    """Two images with two questions each, in three splits."""
    folder = root / "val2014"
    folder.mkdir(parents=True)
    for number in range(2):
        (folder / f"COCO_val2014_{number:012d}.jpg").write_bytes(image(number))
    paths = []
    for split in ("random", "popular", "adversarial"):
        lines = [
            json.dumps(
                {
                    "question_id": number + 1,
                    "image": f"COCO_val2014_{number // 2:012d}.jpg",
                    "text": f"Is there a {split} thing in the image?",
                    "label": ("yes", "no")[number % 2],
                }
            )
            for number in range(4)
        ]
        paths.append(root / f"coco_pope_{split}.json")
        paths[-1].write_text("\n".join(lines) + "\n")
    return [*paths, folder]


# by benchmark; a new one needs a function here
WRITERS = {kind: globals()[f"write_{kind}"] for kind in official_benchmarks()}
