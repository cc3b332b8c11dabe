"""Help for MME's tests: predictions, result folders, and a re-implementation of the official tool, in its own way."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from pargo.benchmarks.records import Prediction

# eval_type_dict of calculation.py
OFFICIAL_TASKS = {
    "perception": [
        *("existence", "count", "position", "color", "posters"),
        *("celebrity", "scene", "landmark", "artwork", "OCR"),
    ],
    "cognition": ["commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"],
}
# questions of each task in the real benchmark
NUM_QUESTIONS = {
    **{"existence": 60, "count": 60, "position": 60, "color": 60, "posters": 294, "celebrity": 340, "scene": 400},
    **{"landmark": 400, "artwork": 400, "OCR": 40, "commonsense_reasoning": 140, "numerical_calculation": 40},
    **{"text_translation": 40, "code_reasoning": 40},
}
NASTY = [
    *("yes", "no", "Yes", "No", "YES", "NO", "Yes.", "No.", "yes, it is", "No, it is not", "nope", "know", "noyes"),
    *("yesno", "y e s", "ye", "n", "", " ", " yes", "  yes", "   no", "    no", "Well, yes", "The answer is no"),
    *("The answer is: not yes", "it is not", "None", "nan", "0", "\u0130yes", "\u0130\u0130yes", "\u2028yes", "\x85no"),
    *(
        "\x0bno",
        "\x0cyes",
        "\x1cno",
        "\x00no",
        "\ufeffyes",
        "\uff59\uff45\uff53",
        "🙂no",
        "🙂🙂🙂no",
        "YE\u017f",
        "'yes'",
    ),
    *("x" * 17 + "yes", "x" * 18 + "yes", "x" * 18 + "no", "x" * 19 + "no", "a" * 5000, "\u03a3\u03a3no", '"no', "no "),
]


def predict(tasks: Mapping[str, Sequence[tuple[str, str]]]) -> list[Prediction]:
    """Answers (to the Yes question, to the No question) of each image, as predictions."""
    return [
        Prediction(
            id=f"{task}/{number}-{turn}",
            task=task,
            image=f"{task}/{number}.png",
            question=f"Is it {turn}?",
            label=("Yes", "No")[turn],
            prompt="",
            answer=answer,
            parsed="",
            image_sha256="",
        )
        for task, pairs in tasks.items()
        for number, pair in enumerate(pairs)
        for turn, answer in enumerate(pair)
    ]


def write_results(folder: Path, rng: random.Random, num_questions: Mapping[str, int] = NUM_QUESTIONS) -> None:
    """Result files with answers from the nasty list; labels as the official data has them, now and then others."""
    folder.mkdir(parents=True, exist_ok=True)
    for task, number in num_questions.items():
        lines = []
        for image in range(number // 2):
            for truth in rng.choice([("Yes", "No")] * 9 + [("no", "YES"), ("yes", "Yes")]):
                lines.append(f"{image:04d}.jpg\tIs it? Please answer yes or no.\t{truth}\t{rng.choice(NASTY)}\n")
        (folder / f"{task}.txt").write_bytes("".join(lines).encode())


def official_tool(folder: Path, prefix: int) -> dict[str, dict[str, float]]:
    """What calculation.py computes and prints, for the task files that are there; it fails where that fails.

    `tasks` {task: score}, `acc`, `acc_plus`, `other` {task: number}, `groups` {perception, cognition: score}.
    """
    found: dict[str, dict[str, float]] = {"tasks": {}, "acc": {}, "acc_plus": {}, "other": {}, "groups": {}}
    for group, names in OFFICIAL_TASKS.items():
        scores = 0.0
        for name in names:
            path = folder / f"{name}.txt"
            if not path.exists():
                continue
            with path.open(encoding="utf-8") as file:
                lines = file.readlines()
            chunks = [lines[start : start + 2] for start in range(0, len(lines), 2)]
            truths, guesses, both, others = [], [], 0, 0
            for chunk in chunks:
                assert len(chunk) == 2
                right = 0
                for line in chunk:
                    _, _, truth, answer = line.split("\t")
                    truth, answer = truth.lower(), answer.lower()
                    assert truth in ["yes", "no"]
                    if answer in ["yes", "no"]:
                        guess = answer
                    elif "yes" in answer[:prefix]:
                        guess = "yes"
                    elif "no" in answer[:prefix]:
                        guess = "no"
                    else:
                        guess = "other"
                    truths.append(truth)
                    guesses.append(guess)
                    if truth == guess:
                        right += 1
                    if guess not in ["yes", "no"]:
                        others += 1
                if right == 2:
                    both += 1
            accuracy = sum(truth == guess for truth, guess in zip(truths, guesses, strict=True)) / len(truths)
            found["acc"][name], found["acc_plus"][name] = accuracy, both / len(chunks)
            found["tasks"][name] = accuracy * 100 + both / len(chunks) * 100
            found["other"][name] = others
            scores += found["tasks"][name]
        if any(name in found["tasks"] for name in names):
            found["groups"][group] = scores
    return found
