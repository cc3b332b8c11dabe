"""Trials of settings of config/quick.yaml, on validation images alone: the same trials for ParGo and for the Q-Former.

    python -m bench.tuning [--cores 2]

Writes reports/bench/tuning.json and .md. The questions are about other images than those of quick's benchmarks, and the
training seed is none of quick's. Where quick warms a language model up, all trials start from that one. What was run is
found again: a repeated call runs the trials that are new.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
from typing import Any

import yaml

from pargo.code import ROOT
from pargo.layout import Layout
from pargo.machine import hardware

QUICK = ROOT / "config/quick.yaml"
NAME, SEED = "tuning", 100
ARMS = ("pargo", "qformer")
MINI_MME = {"images_per_task": 30, "seed": 2}  # quick's has seed 1
SCENES = {"kind": "scenes", "num_images": 100, "image_size": 160, "seed": 3}  # quick's have seeds 0 and 4
EASY_VQA = {"skip_images": 320, "max_questions": 500}  # quick asks about the first 108
TRIALS: dict[str, dict[str, Any]] = {
    "quick": {},
    "alignment's learning rate x 0.5": {"pretrain.alignment.learning_rate": 0.5},
    "alignment's learning rate x 2": {"pretrain.alignment.learning_rate": 2.0},
    "projector's later learning rates x 3": {"pretrain.learning_rate": 3.0, "finetune.learning_rate": 3.0},
    "LoRA's learning rate x 2": {"finetune.lora.learning_rate": 2.0},
}  # what a setting of quick is multiplied with


def trial_config() -> dict[str, Any]:
    """Quick with an arm for every trial and projector, and with benchmarks of validation scenes."""
    data = yaml.safe_load(QUICK.read_text(encoding="utf-8"))
    data |= {"name": NAME, "seeds": [SEED]}
    data["sources"]["mini_mme"] |= MINI_MME
    data["sources"]["val_scenes"] = SCENES
    data["benchmarks"] = {
        "mini_mme": {"kind": "mini_mme", "source": "mini_mme"},
        "easy_vqa": data["benchmarks"]["easy_vqa"] | EASY_VQA,
        "details": {"kind": "details", "source": "val_scenes", "split": "train"},
    }
    data["arms"] = {
        arm_name(arm, number): {"projector": arm} | changed(data["base"], factors)
        for number, factors in enumerate(TRIALS.values())
        for arm in ARMS
    }
    data["report"] |= {"headline_arm": arm_name("pargo", 0), "reference_arm": arm_name("qformer", 0)}
    return data


def arm_name(arm: str, number: int) -> str:
    return f"{arm}_{number}"


def changed(base: dict[str, Any], factors: dict[str, float]) -> dict[str, Any]:
    """What a trial's arm writes: settings of `base`, multiplied."""
    difference: dict[str, Any] = {}
    for path, factor in factors.items():
        *parents, name = path.split(".")
        there, here = base, difference
        for parent in parents:
            there, here = there[parent], here.setdefault(parent, {})
        here[name] = there[name] * factor
    return copy.deepcopy(difference)


def scores() -> list[dict[str, Any]]:
    """What each trial scored: a row for each arm."""
    layout, rows = Layout(NAME, ROOT), []
    for number, trial in enumerate(TRIALS):
        for arm in ARMS:
            mini, easy_vqa, details = (
                json.loads(layout.score(arm_name(arm, number), SEED, benchmark).read_text(encoding="utf-8"))
                for benchmark in ("mini_mme", "easy_vqa", "details")
            )
            rows.append({"trial": trial, "arm": arm, "mini_mme": mini["headline"]})
            rows[-1] |= {"easy_vqa": easy_vqa["headline"], "details": details["headline"]}
            rows[-1]["tasks"] = {task: found["score"] for task, found in mini["tasks"].items()}
    return rows


def render(record: dict[str, Any]) -> str:
    rows = record["rows"]
    tasks = list(rows[0]["tasks"])
    lines = [
        f"| {row['trial']} | {row['arm']} | {row['mini_mme']['value']:.0f} | "
        + " | ".join(f"{row['tasks'][task]:.0f}" for task in tasks)
        + f" | {row['easy_vqa']['value']:.3f} | {row['details']['value']:.3f} |"
        for row in rows
    ]
    return "\n".join(
        [
            "# Trials of quick's settings",
            "",
            f"Written by `python -m bench.tuning` on {record['hardware']}. {len(TRIALS)} trials for each of the two "
            f"arms, all with training seed {SEED}, on mini-MME questions about {30 * len(tasks)} validation scenes "
            f"(of {200 * len(tasks)}; each task of 200, a coin gets 75), on {EASY_VQA['max_questions']} questions of "
            f"easy-VQA (accuracy) and on captions of {SCENES['num_images']} other scenes (F1 of facts, after "
            "pretraining). Quick neither trains on these images nor asks about them.",
            "",
            f"| trial | arm | mini-MME | {' | '.join(tasks)} | easy-VQA | details |",
            "|---|---|---:|" + "---:|" * (len(tasks) + 2),
            *lines,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    path = ROOT / "runs" / NAME / "trials.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(trial_config(), sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "pargo", "reproduce", "--config", str(path), "--cores", str(options.cores)]
    subprocess.run([*command, "--until", "score"], cwd=ROOT, check=True)
    record = {"hardware": hardware(), "seed": SEED, "trials": TRIALS, "rows": scores()}
    output = ROOT / "reports/bench"
    (output / "tuning.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (output / "tuning.md").write_text(render(record), encoding="utf-8")


if __name__ == "__main__":
    main()
