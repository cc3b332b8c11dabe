"""Are 95 % intervals over images and seeds 95 % intervals, and how often is a difference seen where there is none?

    python -m bench.intervals [--experiments 1000]

Draws scores of arms that are equally good, with effects of images, of seeds, and of seeds on images, from normal
distributions, and counts. Writes reports/bench/intervals.json and .md (20 min on two cores).
"""

from __future__ import annotations

import argparse
import json
import math
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from pargo.code import ROOT
from pargo.estimates import difference, estimate
from pargo.machine import hardware
from pargo.statistics import Groups, holm

SEEDS = (2, 3, 5, 10)
BETWEEN = (0.0, 0.05, 0.15, 0.4)  # standard deviation of seeds; that of images is 1, of seeds on images 0.5
IMAGES, OWN, ARM = 60, 0.5, 0.3
DRAWS, COMPARISONS = 300, 8


def arms(rng: np.random.Generator, seeds: int, between: float) -> list[list[Groups]]:
    """Runs of two arms on the same images: an image, an arm on it, a seed, and a seed on it each add something."""
    image = rng.normal(size=IMAGES)
    found = []
    for _ in range(2):
        level = image + rng.normal(0, ARM, IMAGES)
        scores = level + rng.normal(0, between, (seeds, 1)) + rng.normal(0, OWN, (seeds, IMAGES))
        found.append([{"a": {str(i): (value, 1.0) for i, value in enumerate(run.tolist())}} for run in scores])
    return found


def simulate(seeds: int, between: float, experiments: int) -> dict[str, Any]:
    """Shares of experiments; an experiment is `COMPARISONS` comparisons, corrected together."""
    rng = np.random.default_rng([seeds, round(1000 * between)])
    mean, apart, plain, wrong = 0, 0, 0, 0
    for experiment in range(experiments):
        values = []
        for comparison in range(COMPARISONS):
            first, second = arms(rng, seeds, between)
            found = difference(first, second, DRAWS, seed=experiment * COMPARISONS + comparison)
            values.append(found.p)
            if not comparison:
                low, high = estimate(first, DRAWS, seed=experiment).interval
                mean += low <= 0 <= high
                apart += found.interval[0] <= 0 <= found.interval[1]
                plain += found.p < 0.05
        wrong += min(holm(values)) < 0.05
    counts = {"mean": mean, "difference": apart, "false_positives": plain, "after_holm": wrong}
    return {"seeds": seeds, "between": between, "experiments": experiments} | {
        name: count / experiments for name, count in counts.items()
    }


def render(record: dict[str, Any]) -> str:
    error = 100 * math.sqrt(0.05 * 0.95 / record["rows"][0]["experiments"])
    lines = [
        f"| {row['seeds']} | {row['between']:g} | {100 * row['mean']:.1f} | {100 * row['difference']:.1f} | "
        f"{100 * row['false_positives']:.1f} | {100 * row['after_holm']:.1f} |"
        for row in record["rows"]
    ]
    return "\n".join(
        [
            "# Intervals over images and seeds, simulated",
            "",
            f"Written by `python -m bench.intervals` on {record['hardware']}: {record['rows'][0]['experiments']:,} "
            f"experiments a row, {IMAGES} images, {DRAWS} draws; two arms that are equally good. Standard deviations: "
            f"images 1, an arm on an image {ARM}, a seed on an image {OWN}, seeds as in the table. Wanted: 93 to 97 % "
            f"of intervals hold the truth, and at most 5 % of experiments with {COMPARISONS} comparisons see a "
            f"difference after Holm's correction. The standard error of a share near 5 or 95 % is {error:.1f} points.",
            "",
            "| seeds | spread of seeds | interval of a mean holds the truth, % | interval of a difference, % | "
            "p < 0.05 of one comparison, % | any p < 0.05 after Holm, % |",
            "|---:|---:|---:|---:|---:|---:|",
            *lines,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000)
    options = parser.parse_args()
    cases = [(seeds, between, options.experiments) for seeds in SEEDS for between in BETWEEN]
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(simulate, *zip(*cases, strict=True)))
    record = {"hardware": hardware(), "rows": rows}
    output = ROOT / "reports/bench"
    (output / "intervals.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (output / "intervals.md").write_text(render(record), encoding="utf-8")


if __name__ == "__main__":
    main()
