"""Answers of mixed styles to five benchmarks of full size, for `bench.harnesses`: drawn, the same for a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from pargo.benchmarks.mme.tasks import NUM_IMAGES
from pargo.benchmarks.pope.splits import SPLITS
from pargo.benchmarks.records import Answered, Prediction

YES_NO = (  # {0}: the answer, {1}: the other one, both in small letters; {2}: with a capital
    *(["{2}"] * 12 + ["{0}"] * 6 + ["{2}."] * 6),
    *(
        "{2}, there is.",
        "The answer is {0}",
        "**{2}**",
        "Answer: {0}",
        "{0}:",
        "'{2}'",
        '"{2}"',
        "{2}!",
        "{2};",
        "({0})",
    ),
    *("I would say {0}, it is", "{2} - not {1}", "{0}/{1}", "{0} {1}", "not {0}", "There is no such thing", "Noisy"),
    *("Yesterday", "know", "none", "None", "", "N/A", "nan", "y", "n", "Y.", "N", "1,000 times {0}", "a/b, c- {0}"),
    *("<think>{1}.</think>{2}", "so {1}</think> {2}.", "<analysis>{1}</analysis>{0}", "<thinking>{1}</thinking> {0}"),
    *(
        "<think>{0}",
        "</think>{0}<think>",
        ". {2}",
        "n.o",
        "{2}" + " ." * 40 + " {1}.",
        "{0}\n",
        "Hm.\n{0}",
        "\u4e0d, {0}",
    ),
    *("={2}", "= {0}", "{2}" + " and" * 11_000, "TRUE", "1", "\u00a0{0}", "{0}.{1}", "{0}_{1}", "{0}-{1} ", "{0} @x"),
)
LETTERS = (  # {0}: a letter, {1}: the text of its option, {2}: another letter
    *(["{0}"] * 25 + ["{0}."] * 8 + ["({0})"] * 4 + ["{0}. {1}"] * 6 + ["{1}"] * 8),
    *(
        "{0})",
        "({0}).",
        "{0}:",
        "{0},",
        ":{0}",
        ":{0}.",
        "**{0}**",
        "*{0}*",
        "[{0}]",
        "{0}!",
        "'{0}'",
        '"{0}"',
        "{0}/{2}",
    ),
    *(
        "The answer is {0}",
        "The answer is {0}.",
        "the correct answer is **{0}**. It has more of it than {2}, see.",
        "{0} or {2}",
    ),
    *(
        "Option {0}",
        "I choose {0}",
        "My answer is {0} as {2} is not",
        "Answer: {0}",
        "answer: {0}) {1}",
        "The best option is {0}",
    ),
    *(
        "{0} because it is",
        "{0} because it is so and not the other one",
        "It is a {1}",
        "a {1}",
        "A {1}",
        "It must be the {1}, I say",
    ),
    *(
        "Because",
        "A cat",
        "A cat is on the mat",
        "Do not know",
        "E",
        "Z",
        "e",
        "E.",
        "",
        "None",
        "nan",
        "N/A",
        "null",
        "a",
        "an",
        "banana",
    ),
    *(
        "It is a banana",
        "Sorry, I can't help with images of people yet.",
        "Cannot determine the answer",
        "I can't process this file. {0}",
    ),
    *(
        "Failed to obtain answer via API. {0}",
        "<think>{2}</think>{0}",
        "{2}</think> {0}",
        "<think>{2}. {0}",
        "<analysis>{2}</analysis>\n{0}.",
    ),
    *(
        "\u7b54\u6848\u662f{0}",
        "\u9009{0}",
        "\uc815\ub2f5\uc740 {0}",
        "\u7b54\u6848\u4e3a {1}",
        "answer is a cat",
        "Answer is **{0}",
        "THE ANSWER IS {0}",
    ),
    *(
        "={0}",
        "= {1}",
        "so and " * 30 + "{0}",
        "{0}" + " and so on" * 30,
        "so and {1} " * 30,
        "{0}{2}",
        "{0} {0}",
    ),
    *(
        "Is it {2}? No. It is {0}.",
        "{2}. no\n{0}. yes",
        "{0}\t",
        "{0}\u3002",
        "{1}.",
        "{0} {1}",
        "3",
        "12",
        "TRUE",
        "{0}. {2}.",
    ),
)
ENDLESS = "{0}" + " and so" * 5_000  # longer than a cell of a sheet
CHINESE = "\u8fd9\u662f\u4ec0\u4e48\uff1f"
LOWER = 0.05  # of the answers are in small letters, as many in capitals
WORDS = (
    *(
        "cat",
        "dog",
        "a banana",
        "banana",
        "red",
        "Blue",
        "tree",
        "a",
        "an",
        "the left one",
        "Nothing",
        "3",
        "12",
        "3.0",
    ),
    *(
        "None",
        "NA",
        "null",
        "nan",
        "N/A",
        "TRUE",
        "Day",
        "Night",
        "on the table",
        "table",
        "A",
        "b",
        "\u7ea2\u8272",
        "E. coli",
        "no one",
    ),
)
DIMENSIONS = (
    *("Scene Understanding", "Instance Identity", "Instance Attributes", "Instance Location", "Instances Counting"),
    *("Spatial Relation", "Instance Interaction", "Visual Reasoning", "Text Understanding"),
)
ABILITIES = {
    "coarse_perception": ("image_style", "image_topic", "image_scene", "image_mood", "image_quality"),
    "finegrained_perception (instance-level)": ("object_localization", "attribute_recognition", "ocr"),
    "finegrained_perception (cross-instance)": ("spatial_relationship", "attribute_comparison", "action_recognition"),
    "logic_reasoning": ("structuralized_imagetext_understanding", "future_prediction"),
    "relation_reasoning": ("social_relation", "physical_relation", "nature_relation"),
    "attribute_reasoning": ("physical_property_reasoning", "function_reasoning", "identity_reasoning"),
}
GROUPS = {4: 900, 3: 201, 2: 63}  # options -> groups: 1,164 with 4,329 rotations
SETS = (
    *(
        "rec,gen,know",
        "rec",
        "spat,ocr",
        "spat,math,ocr",
        "rec,spat",
        "ocr",
        "math,ocr",
        "rec,know",
        "rec,spat,gen,ocr",
    ),
    *(
        "rec,gen,ocr,know",
        "rec,spat,ocr",
        "rec,ocr",
        "know,spat,ocr",
        "rec,spat,know",
        "spat,gen,ocr",
        "rec,spat,math,ocr",
    ),
)


def _prediction(**fields: object) -> Prediction:
    return Prediction.model_validate({"prompt": "", "parsed": "", "image_sha256": "", **fields})


def _cased(text: str, rng: random.Random) -> str:
    draw = rng.random()
    return (text.lower() if draw < LOWER else text.upper() if draw < 2 * LOWER else text).strip()


def yes_no(label: str, rng: random.Random) -> str:
    """An answer that means the label in three of four cases, in any style."""
    means, other = ("yes", "no") if (label.lower() == "yes") == (rng.random() < 0.75) else ("no", "yes")
    return _cased(rng.choice(YES_NO).format(means, other, means.capitalize()), rng)


def letter(label: str, options: dict[str, str], rng: random.Random, sure: float = 0.75) -> str:
    """An answer that means the label in `sure` of the cases, in any style."""
    means = label if label in options and rng.random() < sure else rng.choice([*options])
    other = rng.choice([name for name in options if name != means])
    style = ENDLESS if rng.random() < 2e-4 else rng.choice(LETTERS)
    return _cased(style.format(means, options[means], other), rng)


def mme(rng: random.Random) -> Iterator[Prediction]:
    for task, images in NUM_IMAGES.items():
        for image in range(images):
            for turn, label in enumerate(("Yes", "No"), start=1):
                name = f"{task}/{image}.jpg"
                identifier, question = f"{name}-{turn}", f"Is it {turn}? Please answer yes or no."
                answer = yes_no(label, rng)
                yield _prediction(id=identifier, task=task, image=name, question=question, label=label, answer=answer)


def pope(rng: random.Random) -> Iterator[Prediction]:
    for split in SPLITS:
        for number in range(3000):
            label, image = ("yes", "no")[number % 2], f"COCO_{number // 6}.jpg"
            yield _prediction(
                id=f"{split}/{number + 1}",
                task=split,
                image=image,
                question=f"Is there a thing {number}?",
                label=label,
                answer=yes_no(label, rng),
                details={"question_id": str(number + 1)},
            )


def seedbench(rng: random.Random) -> Iterator[Prediction]:
    for number in range(14_232):
        kind = rng.randrange(len(DIMENSIONS))
        options, label = dict(zip("ABCD", rng.sample(WORDS, 4), strict=True)), rng.choice("ABCD")
        yield _prediction(
            id=str(number),
            task=DIMENSIONS[kind],
            image=f"image-{number}",
            question="What is it?",
            label=label,
            options=options,
            answer=letter(label, options, rng),
            details={"question_type_id": str(kind + 1)},
        )


def mmbench(rng: random.Random, question: str = "What is it?") -> Iterator[Prediction]:
    number = 0
    for count, groups in GROUPS.items():
        for _ in range(groups):
            number += 1
            ability = rng.choice([*ABILITIES])
            leaf, texts, right = rng.choice(ABILITIES[ability]), rng.sample(WORDS, count), rng.randrange(count)
            sure = rng.choice((0.7, 0.97))
            for turn in range(count):
                options = dict(zip("ABCD", texts[turn:] + texts[:turn], strict=False))
                label = "ABCD"[(right - turn) % count]
                yield _prediction(
                    id=str(number + 1_000_000 * turn),
                    task=leaf,
                    image=str(number),
                    question=question,
                    label=label,
                    options=options,
                    answer=letter(label, options, rng, sure),
                    details={"l2-category": ability, "split": "dev"},
                )


def mmvet(rng: random.Random) -> Sequence[tuple[str, str, float]]:
    """(id, capabilities, grade)."""
    return [(f"v1_{number}", SETS[number % len(SETS)], rng.randrange(11) / 10) for number in range(218)]


def cases() -> dict[str, list[Answered]]:
    """Small files in which every style of an answer stands, each below a category of its own where there are any."""
    found: dict[str, list[Answered]] = {"mme": [], "pope": [], "seedbench": [], "mmbench": [], "mmbench cn": []}
    for number, style in enumerate(dict.fromkeys(YES_NO)):
        for label, other in (("yes", "no"), ("no", "yes")):
            answer = style.format(label, other, label.capitalize()).strip()
            task, name = [*NUM_IMAGES][number % len(NUM_IMAGES)], f"{number}.jpg"
            fields = {"question": "Is it?", "answer": answer[:200]}
            found["mme"].append(
                Answered(id=f"{name}-{label}", task=task, image=name, label=label.capitalize(), **fields)
            )
            split = SPLITS[number % len(SPLITS)]
            found["pope"].append(Answered(id=f"{split}/{name}-{label}", task=split, image=name, label=label, **fields))
    texts = ("a red cat", "None", "banana", "blue")
    for number, style in enumerate(dict.fromkeys(LETTERS)):
        for label in "AD":
            options = dict(zip("ABCD", texts, strict=True))
            answer = style.format(label, options[label], "C").strip()
            fields = {"label": label, "options": options, "answer": answer, "image": f"{number}"}
            identifier, task = str(2 * number + (label == "D")), f"style {number}, {label}"
            found["seedbench"].append(Answered(id=identifier, task=task, question="What?", **fields))
        for name, question in (("mmbench", "What is it?"), ("mmbench cn", CHINESE)):
            for turn, label in enumerate("AB"):
                options = dict(zip("AB", ("table", "cat") if turn else ("cat", "table"), strict=True))
                found[name].append(
                    Answered(
                        id=str(number + 1 + 1_000_000 * turn),
                        task=f"style {number}",
                        image=f"{number}",
                        question=question,
                        label=label,
                        options=options,
                        answer=style.format(label, options[label], "BA"[turn]).strip(),
                        details={"l2-category": [*ABILITIES][number % 6], "split": "dev"},
                    )
                )
    return found
