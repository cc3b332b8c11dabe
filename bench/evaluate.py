"""`make bench-evaluate`: answering quick's mini-MME as the stage does, against one question at a time.

One at a time is what an evaluation script usually does: for each question its image is read, resized and encoded, and
`generate` is called with one prompt. Ours encodes every image once, in batches, and answers batches of questions that
read an image once. Both use the same model, prompts, precision and threads, and a cache; loading the model counts in
neither. They take turns on parts of the benchmark, and ratios are taken part by part. All answers are compared.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import torch
import yaml
from rich.console import Console

from bench.measure import Ratio, timed
from pargo.benchmarks import load
from pargo.benchmarks.answering.batches import answer_questions
from pargo.benchmarks.answering.evaluate import EvaluateSettings
from pargo.benchmarks.answering.saved import SavedAnswers
from pargo.benchmarks.records import Question
from pargo.config.base import canonical_json
from pargo.config.experiment import parse_config
from pargo.data.feature_store import FeatureStore, write_features
from pargo.data.images import open_images
from pargo.files import write_atomic
from pargo.graph.stage_settings import evaluate
from pargo.layout import Layout
from pargo.machine import hardware, versions
from pargo.models.build import build_model, load_own_weights
from pargo.models.features import BATCH_SIZE, encode
from pargo.models.generate import generate
from pargo.models.image_processor import PargoImageProcessor
from pargo.models.language import load_tokenizer
from pargo.models.vision import load_vision_tower
from pargo.models.vlm import PargoForConditionalGeneration

OUTPUT = Path("reports/bench")
CONFIG = Path("config/quick.yaml")
ARM, BENCHMARK = "pargo", "mini_mme"
PARTS = 6


class Bench:
    """Both ways to answer, on the finished quick run."""

    def __init__(self) -> None:
        config = parse_config(yaml.safe_load(CONFIG.read_text()))
        layout, seed = Layout(config.name), config.seeds[0]
        self.settings = EvaluateSettings.model_validate_json(canonical_json(evaluate(config, ARM, BENCHMARK)))
        benchmark = self.settings.benchmark
        source = layout.source(benchmark.source)
        spoken = config.language
        language = layout.language(spoken.source, spoken.warm_up is not None)
        vision = layout.source(config.vision.source)
        self.questions: list[Question] = load(benchmark.kind, "dataset").read_questions(source, benchmark)
        self.images = open_images(source, benchmark.split)
        self.preset = load(benchmark.kind, "prompt").PRESETS[benchmark.prompt]
        self.is_decided = load(benchmark.kind, "answers").is_decided
        self.tokenizer = load_tokenizer(language)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tower = load_vision_tower(self.settings.vision, vision).to(self.device)
        self.processor = PargoImageProcessor.for_tower(self.settings.vision, vision)
        parts = (self.settings.vision, self.settings.language, self.settings.projector, self.settings.lora)
        model = build_model(PargoForConditionalGeneration, *parts, language, seed=0)
        load_own_weights(model, layout.model(ARM, seed, "finetune"))
        self.model = model.to(self.device)

    def parts(self) -> list[list[Question]]:
        """The benchmark in parts of whole images, each with questions of all tasks."""
        images = list(dict.fromkeys(question.image for question in self.questions))
        part = {image: number % PARTS for number, image in enumerate(images)}
        return [[question for question in self.questions if part[question.image] == number] for number in range(PARTS)]

    def one_by_one(self, questions: list[Question]) -> dict[str, str]:
        """An image and a question at a time."""
        answers = {}
        for question in questions:
            # rounded as stored features are, so that both models see the same numbers
            features = encode(self.tower, self.processor, [self.images.load(question.image)]).half()
            (ids,) = generate(
                self.model,
                features,
                [self.preset.encode(self.tokenizer, question)],
                max_new_tokens=self.preset.max_new_tokens,
                stop_ids=self.preset.stop_ids(self.tokenizer),
            )
            answers[question.id] = self.tokenizer.decode(ids, skip_special_tokens=True).strip()
        return answers

    def ours(self, questions: list[Question], folder: Path) -> dict[str, str]:
        """What the stages `features` and `evaluate` do."""
        folder.mkdir()
        ids = list(dict.fromkeys(question.image for question in questions))
        batches = [ids[start : start + BATCH_SIZE] for start in range(0, len(ids), BATCH_SIZE)]
        encoded = (encode(self.tower, self.processor, [self.images.load(name) for name in batch]) for batch in batches)
        write_features(folder, ids, encoded)
        with SavedAnswers(folder / "answers.jsonl", "bench") as saved:
            store = FeatureStore(folder)
            given = (self.model, self.tokenizer, store, questions, self.preset, self.settings.generation, saved)
            answer_questions(*given, is_decided=self.is_decided)
            return {name: answer.text for name, answer in saved.answers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one part only; writes nothing")
    quick = parser.parse_args().quick
    console = Console(soft_wrap=True, highlight=False)
    bench = Bench()
    parts = bench.parts()[: 1 if quick else None]
    console.print(f"{hardware()}; {torch.get_num_threads()} threads; {sum(map(len, parts))} questions")
    seconds: dict[str, list[float]] = {"one by one": [], "ours": []}
    answers: dict[str, dict[str, str]] = {"one by one": {}, "ours": {}}
    with tempfile.TemporaryDirectory() as folder:
        bench.ours(parts[0][:32], Path(folder) / "warm-up")
        bench.one_by_one(parts[0][:4])
        for number, part in enumerate(parts):
            runs = {
                "one by one": lambda part=part: answers["one by one"].update(bench.one_by_one(part)),
                "ours": lambda part=part, number=number: answers["ours"].update(
                    bench.ours(part, Path(folder) / str(number))
                ),
            }
            # in turns: neither always goes first
            for name in sorted(runs, reverse=bool(number % 2)):
                seconds[name].append(timed(runs[name]))
    speed = Ratio.of(seconds["one by one"], seconds["ours"])
    number = len(answers["ours"])
    same = sum(answers["ours"][name] == text for name, text in answers["one by one"].items())
    rates = {name: number / sum(values) for name, values in seconds.items()}
    console.print(
        f"one by one {rates['one by one']:.2f} questions/s, ours {rates['ours']:.2f}: {speed} x; "
        f"{same} of {number} answers are identical"
    )
    if quick:
        return
    record = {
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "time": time.strftime("%Y-%m-%d"),
        "seconds": seconds,
        "questions_per_second": rates,
        "speed": asdict(speed),
        "questions": number,
        "identical": same,
    }
    write_atomic(OUTPUT / "evaluate.json", json.dumps(record, indent=1) + "\n")
    text = (
        "# Answering in batches against one question at a time\n\n"
        f"`make bench-evaluate` on {hardware()}, {torch.get_num_threads()} threads: quick's {ARM} arm and mini-MME, "
        f"{number} questions about {len(bench.images.ids)} images, in {len(parts)} parts. "
        "One at a time: image read, resized and encoded for every question, one prompt, with a cache. The ratio is the "
        "median over the parts, measured in turns, with a 95 % bootstrap interval.\n\n"
        "| one at a time, questions/s | ours, questions/s | ratio | identical answers |\n|---:|---:|---:|---:|\n"
        f"| {rates['one by one']:.2f} | {rates['ours']:.2f} | {speed} | {same} of {number} |\n"
    )
    write_atomic(OUTPUT / "evaluate.md", text)
    console.print(f"written: {OUTPUT}/evaluate.json, .md")


if __name__ == "__main__":
    main()
