"""Tables as MMBench's, nasty answers, and the official rule anew, in loops over a data frame as in its tool."""

import base64
import io
import random
import re
import string
from pathlib import Path

import pandas as pd
from PIL import Image

# leaf -> (l2-category, number of questions) of v1.0 dev; where the facts give the sum alone, it is divided at will
LEAVES = {
    "celebrity_recognition": ("finegrained_perception (instance-level)", 99),
    "object_localization": ("finegrained_perception (instance-level)", 81),
    "attribute_recognition": ("finegrained_perception (instance-level)", 74),
    "ocr": ("finegrained_perception (instance-level)", 39),
    "action_recognition": ("finegrained_perception (cross-instance)", 54),
    "spatial_relationship": ("finegrained_perception (cross-instance)", 45),
    "attribute_comparison": ("finegrained_perception (cross-instance)", 44),
    "image_scene": ("coarse_perception", 196),
    "image_style": ("coarse_perception", 100),
    "function_reasoning": ("attribute_reasoning", 199),
    "structuralized_imagetext_understanding": ("logic_reasoning", 118),
    "social_relation": ("relation_reasoning", 115),
}
TEXTS = [
    "None",
    "NA",
    "null",
    "nan",
    "a cat",
    "cat",
    "dog ",
    "1",
    "12",
    "A",
    "the dog, a cat",
    "猫",
    "一只猫",
    "狗",
    "=1+1",
]
TEXTS += [
    "left",
    "right",
    'said "no"',
    "tab\there",
    "line\nbreak",
    "İstanbul",
    "ÉCOLE",
    "_x0041_",
    "True",
    "3.0",
    "#N/A",
]


def nasty_answer(rng: random.Random, options: dict[str, str], label: str) -> str:
    """Often right in some guise, else anything."""
    other = rng.choice("ABCDEZ")
    if rng.random() < 0.6:
        text = options[label]
        guises = [
            "{}",
            "{}.",
            "({})",
            " {} ",
            "**{}**",
            "{}: " + text,
            "The answer is {}",
            "答案是 {}",
            "{},",
            "[{}]",
            "#{}",
            "The answer is **{}**, as one sees at a glance",
        ]
        return rng.choice([*guises, "{}\n", "{}\t{}"]).replace("{}", label)
    return rng.choice(
        [
            *(
                "",
                " ",
                "nan",
                "None",
                "Z",
                "z",
                "E",
                "(Z)",
                ".",
                '"',
                '"B',
                "=A",
                "=1+1",
                "@",
                "b",
                "a",
                "AB",
                "A-B",
                "A/B",
            ),
            *(
                "\uff21",
                "A\u00a0B",
                "选B。",
                "B。",
                "B\u3002",
                "A\x85",
                "\u2028C",
                "A\x1fB",
                "A\x00",
                "\x00",
                "\ufeffA",
            ),
            *(
                f"A or {other}",
                f"{label} and {label}",
                "A dog on a chair",
                f"not {other}",
                f"{label}\t{other}",
                f"{label}\r\n",
            ),
            *("Cannot determine the answer", "I can't process this file. B", "cannot determine the answer, A"),
            *("Failed to obtain answer via API", f"Failed to obtain answer via API {label}", "x" * 300 + f" {label}"),
            f"Failed to obtain answer via API {options[label]}",
            *(options[label], options[label].upper(), f"it is {options[label]}!", " ".join(options.values())),
        ]
    )


def make_rows(
    rng: random.Random, leaves: dict[str, tuple[str, int]], sizes: list[int], answer=nasty_answer, texts=TEXTS
) -> list[dict]:
    """Rows of a table: a question for each size, which is its number of options, with all rotations."""
    rows, index = [], rng.randrange(10)
    names = [(leaf, l2) for leaf, (l2, number) in leaves.items() for _ in range(number)]
    for (leaf, l2), size in zip(names, sizes, strict=True):
        index += rng.randrange(1, 4)
        drawn = rng.sample(texts, size)
        while set(drawn) <= {"None", "NA", "null", "nan", "#N/A"}:  # a row without any option is refused
            drawn = rng.sample(texts, size)
        right = rng.choice(drawn)
        for rotation in range(size):
            turned = drawn[rotation:] + drawn[:rotation]
            options = dict(zip("ABCD", turned, strict=False))
            label = "ABCD"[turned.index(right)]
            rows.append(
                {
                    "index": str(index + rotation * 1_000_000),
                    "question": f"问题 {index}?",
                    "hint": rng.choice(["", "a hint"]),
                }
                | {letter: options.get(letter, "") for letter in "ABCD"}
                | {"answer": label, "prediction": answer(rng, options, label)}
                | {"category": leaf, "l2-category": l2, "split": "dev", "source": "x", "comment": ""}
            )
    return rows


def dev_rows(seed: int) -> list[dict]:
    """1,164 questions in 4,329 rows."""
    rng = random.Random(seed)
    sizes = [4] * 937 + [3] * 127 + [2] * 100
    rng.shuffle(sizes)
    rows = make_rows(rng, LEAVES, sizes)
    assert (len(sizes), len(rows)) == (1164, 4329)
    return rows


def write_table(rows: list[dict], path: Path) -> Path:
    frame = pd.DataFrame(rows)
    if path.suffix == ".xlsx":
        frame.to_excel(path, index=False)
    else:
        frame.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return path


VERSIONS = ["vlmevalkit_2024_08", "vlmevalkit_2025_08", "vlmevalkit_2026_08"]


def as_read(rows: list[dict]) -> pd.DataFrame:
    """The table as a reader with pandas sees it: some texts are missing values; all else is kept as text."""
    text = pd.DataFrame(rows).to_csv(sep="\t", index=False)
    return pd.read_csv(io.StringIO(text), sep="\t", dtype=str)


def official_letter(prediction, item: dict, version: str = VERSIONS[0]) -> str | bool:
    """What exact matching infers, False for nothing; missing cells are NaN."""
    prediction = str(prediction)
    year = int(version.split("_")[1])
    choices = {}
    for letter in string.ascii_uppercase:
        if letter in item and not pd.isna(item[letter]):
            choices[letter] = item[letter]

    def in_option() -> str | bool:
        if prediction.find("Failed to obtain answer via API") >= 0:
            return False
        for phrase in ["help with images of people yet.", "I can't process this file."]:
            if phrase in prediction and ("Sorry, I can't " + phrase in prediction or phrase[0] == "I"):
                return "Z"
        if "I'm sorry, but without the image provided" in prediction or "Cannot determine the answer" in prediction:
            return "Z"
        cleaned = prediction
        for mark in [".", "(", ")", "[", "]", ",", ":", ";", "!", "*", "#", "{", "}"]:
            cleaned = " ".join(cleaned.split(mark))
        parts = cleaned.split()
        count = 0
        for letter in choices:
            count += 1 if letter in parts else 0
        if count == 1:
            for letter in choices:
                if letter in parts and (year == 2024 or len(parts) - parts.index(letter) < 5):
                    return letter
        if count == 0 and "Z" in parts:
            return "Z"
        if year == 2026:
            told = re.findall(r"(?:correct\s+)?(?:answer)\s+(?:is)\s+[*]*([A-D])", prediction, re.IGNORECASE)
            for letter in choices:
                if told and told[0].upper() == letter:
                    return letter
        return False

    def in_text() -> str | bool:
        joined = "".join(choices.values())
        if year > 2024 and len(prediction.lower()) > len(joined + joined):
            return False
        candidates = []
        for letter in choices:
            if prediction.lower().find(choices[letter].lower()) != -1:
                candidates.append(letter)
        return candidates[0] if len(candidates) == 1 else False

    return in_option() or in_text()


def official_tool(rows: list[dict], version: str = VERSIONS[0]) -> dict:
    """`{"circular" or "plain": {None: overall, l2: .., leaf: ..}}`, and the numbers of unmatched answers and groups."""
    data = as_read(rows)
    data["index"] = [int(float(x)) for x in data["index"]]
    data = data.sort_values(by="index")
    data["g_index"] = [int(x % 1e6) for x in data["index"]]
    data["letter"] = [official_letter(item["prediction"], item, version) for _, item in data.iterrows()]
    data["hit"] = [int(letter == answer) for letter, answer in zip(data["letter"], data["answer"], strict=True)]
    main = data[data["index"] == data["g_index"]].copy()
    hits = {}
    for _, item in data.iterrows():
        hits[item["g_index"]] = hits.get(item["g_index"], 1) * item["hit"]
    main["hit"] = [hits[index] for index in main["index"]]
    report = {}
    for name, frame in [("circular", main), ("plain", data)]:
        report[name] = {None: frame["hit"].mean()}
        for column in (name for name in ("l2-category", "category") if name in frame):
            for ability in set(frame[column]):
                report[name][ability] = frame[frame[column] == ability]["hit"].mean()
    report["unmatched"] = sum(letter is False or letter == "Z" for letter in data["letter"])
    report["groups"] = len(main)
    return report


def picture(number: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (number * 37 % 256, 10, 200)).save(buffer, kind)
    return buffer.getvalue()


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
