"""Runs the scoring code of lmms-eval or VLMEvalKit itself; `bench.harnesses` starts it in their environment.

It stands alone, since this project is not installed there: `python harness_real.py TOOL INPUT.json OUTPUT.json`. The
input is {benchmark: [rows]}; the output {benchmark: {figure: number}} by the names of `pargo.benchmarks.harnesses`.
Nothing of the tools is replaced but waiting: no judge is reached, pauses between requests are skipped, and VLMEvalKit
writes results once, not all of them again after every answer.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

OPTIONS = "ABCD"
os.environ.setdefault("OPENAI_API_KEY", "none")
os.environ["OPENAI_API_URL"] = "http://127.0.0.1:9/none"  # refused at once


def lmms_eval(benchmark: str, rows: list[dict]) -> dict[str, float]:
    from lmms_eval.api.reasoning import strip_reasoning_tags

    # as its command line has it by default
    tags = [["<think>", "</think>"], ["<analysis>", "</analysis>"]]
    answers = [strip_reasoning_tags(row["prediction"], tags) for row in rows]
    return globals()[f"lmms_{benchmark}"](rows, answers)


def logged(run: object, *arguments: object) -> tuple[float, list[str]]:
    """What a function returns, and the lines it logs."""
    from loguru import logger

    lines: list[str] = []
    number = logger.add(lambda message: lines.append(message.record["message"]))
    try:
        return run(*arguments), lines
    finally:
        logger.remove(number)


def lmms_mme(rows: list[dict], answers: list[str]) -> dict[str, float]:
    from lmms_eval.tasks.mme import utils

    found: dict[str, list] = {}
    for row, answer in zip(rows, answers, strict=True):
        document = {"question_id": row["image"], "category": row["category"], "answer": row["answer"]}
        for name, value in utils.mme_process_results(document, [answer]).items():
            found.setdefault(name, []).append(value)
    figures = {name: utils.mme_aggregate_results(values) for name, values in found.items()}
    for values in found.values():  # the log has two decimals; a task alone has them all
        for task in {value["category"] for value in values}:
            figures[task] = utils.mme_aggregate_results([value for value in values if value["category"] == task])
    return figures


def lmms_pope(rows: list[dict], answers: list[str]) -> dict[str, float]:
    from lmms_eval.tasks.pope import utils

    figures = {}
    tasks = {"pope": None, "pope_random": "random", "pope_pop": "popular", "pope_adv": "adversarial"}
    for task, split in tasks.items():
        results = [
            utils.pope_process_results({"question_id": row["index"], "answer": row["answer"]}, [answer])
            for row, answer in zip(rows, answers, strict=True)
            if split in (None, row["category"])
        ]
        for name in results[0]:
            aggregate = getattr(utils, name.replace("pope_", "pope_aggregate_"))
            figures[f"{task} / {name}"] = aggregate([result[name] for result in results])
    return figures


def lmms_seedbench(rows: list[dict], answers: list[str]) -> dict[str, float]:
    from lmms_eval.tasks.seedbench import utils

    results = [
        utils.seed_process_result(
            {"answer": row["answer"], "data_type": "image", "question_id": row["index"]}, [answer]
        )["seed_image"]
        for row, answer in zip(rows, answers, strict=True)
    ]
    return {"seed_image": utils.seed_aggregation_result(results)}


def lmms_mmbench(rows: list[dict], answers: list[str]) -> dict[str, float]:
    from lmms_eval.tasks.mmbench import cn_utils, en_utils

    time.sleep = lambda seconds: None
    figures = {}
    documents = [
        {
            "index": int(row["index"]),
            "L2-category": row["l2-category"],
            "hint": "nan",
            "source": "none",
            "split": "dev",
            **{name: row[name] for name in ("question", "answer", "category")},
            **{letter: row.get(letter, "nan") for letter in OPTIONS},  # as its table has an option that is none
        }
        for row in rows
    ]
    chinese = any(re.search("[\u4e00-\u9fff]", row["question"]) for row in rows)
    utils, tasks = (
        (cn_utils, {"mmbench_cn_dev without a judge": "openai"})
        if chinese
        else (en_utils, {"mmbench_en_dev without a judge": "openai", "mmbench_en_dev_static": "static"})
    )
    results = [
        utils.mmbench_process_results(document, [answer])["gpt_eval_score"]
        for document, answer in zip(documents, answers, strict=True)
    ]
    for task, method in tasks.items():
        overall, by_category, by_l2 = utils.mmbench_evaluator.eval_result(results, eval_method=method)
        figures[task] = 100 * overall
        figures |= {f"{task} / category / {name}": 100 * value for name, value in by_category.items()}
        figures |= {f"{task} / l2-category / {name}": 100 * value for name, value in by_l2.items()}
    return figures


def lmms_mmvet(rows: list[dict], answers: list[str]) -> dict[str, float]:
    from lmms_eval.tasks.mmvet import utils

    results = [{"score": row["score"], "capabilities": row["category"]} for row in rows]
    total, lines = logged(utils.mmvet_aggregate_results, results)
    figures, seen = {"gpt_eval_score": total}, set()
    for name, value in re.findall(r"Score for (\S+): (\S+)", "\n".join(lines)):
        # capabilities come first, and a set of one has the same name; the log has two decimals
        is_set = name in seen or "_" in name
        seen.add(name)
        figures[f"set / {name}" if is_set else name] = float(value)
    return figures


def vlmevalkit(benchmark: str, rows: list[dict]) -> dict[str, float]:
    import pandas as pd

    table = pd.DataFrame(rows).rename(columns={"image": "image_path"})
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model_dataset.xlsx")
        from vlmeval.smp import dump

        dump(table, path)
        return globals()[f"vlm_{benchmark}"](table, path)


def vlm_yes_no(name: str, path: str):
    from vlmeval.dataset.image_yorn import ImageYORNDataset

    dataset = ImageYORNDataset.__new__(ImageYORNDataset)  # the questions would be downloaded; only the name is read
    dataset.dataset_name = name
    return dataset.evaluate(path, model="exact_matching")


def vlm_mme(table: object, path: str) -> dict[str, float]:
    return vlm_yes_no("MME", path).iloc[0].to_dict()


def vlm_pope(table: object, path: str) -> dict[str, float]:
    figures = {}
    for _, row in vlm_yes_no("POPE", path).iterrows():
        figures |= {f"{row['split']} / {name}": row[name] for name in ("Overall", "acc", "precision", "recall")}
    return figures


def run_and_write_once(func, tasks, *, keys, save, **others):
    from vlmeval.smp import dump

    results = [func(**task) for task in tasks]
    dump(dict(zip(keys, results, strict=True)), save)
    return results


def vlm_letters(name: str, table: object, path: str):
    from vlmeval.dataset.image_mcq import ImageMCQDataset
    from vlmeval.dataset.utils import multiple_choice

    multiple_choice.track_progress_rich = run_and_write_once
    dataset = ImageMCQDataset.__new__(ImageMCQDataset)
    dataset.dataset_name, dataset.data = name, table.assign(index=table["index"].astype(int))
    return dataset.evaluate(path, model="exact_matching", nproc=1)


def vlm_seedbench(table: object, path: str) -> dict[str, float]:
    return vlm_letters("SEEDBench_IMG", table, path).iloc[0].drop("split").to_dict()


def vlm_mmbench(table: object, path: str) -> dict[str, float]:
    figures = {}
    for _, row in vlm_letters("MMBench_DEV_EN", table, path).iterrows():
        figures |= {f"{row['split']} / {name}": value for name, value in row.drop("split").items()}
    return figures


def vlm_mmvet(table: object, path: str) -> dict[str, float]:
    from vlmeval.dataset.utils.mmvet import MMVet_acc

    by_capability, by_set = MMVet_acc(path)
    return {
        name: value
        for frame in (by_set, by_capability)
        for name, value in zip(frame["Category"], frame["acc"], strict=True)
    }


def main(tool: str, source: str, target: str) -> None:
    benchmarks = json.loads(Path(source).read_text(encoding="utf-8"))
    score = {"lmms-eval": lmms_eval, "vlmevalkit": vlmevalkit}[tool]
    figures = {}
    for name, rows in benchmarks.items():
        figures[name] = {key: float(value) for key, value in score(name.partition(" ")[0], rows).items()}
    Path(target).write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
