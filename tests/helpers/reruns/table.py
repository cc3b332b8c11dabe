"""The contract of reruns: all cases, and the page for readers that is written from them."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from tests.helpers.reruns import code_cases, config_cases, file_cases

DOCUMENT = Path(__file__).parents[3] / "docs/reruns.md"
CASES = [*config_cases.cases(), *code_cases.cases(), *file_cases.cases()]
HEAD = """# What runs again

A job runs when its settings, its code or the contents of its inputs differ from those that made its output. Code counts
by meaning: comments and formatting do not. Names of jobs are those of `pargo status`; `*` stands for any part. The jobs
listed run. Jobs that read their output run after them, but only if it comes out different. What was made before is
restored, and not made again. `pargo why JOB` says why a job would run.

Each line is a test (`tests/workflow/test_reruns.py`): the change is made alone on a finished run of
`config/micro.yaml`, and exactly these jobs would run. This page is written from the tests:
`python -m tests.helpers.reruns`.

Names of arms, datasets, sources and configs are labels: another name makes nothing anew but what shows it. Known
reruns: the sources of the vision tower and of the language model are in a trained model by name; another order of the
names of several datasets is another order of their samples; and a `max_length` that cuts nothing is not known to. Known
gap: the default of a setting that was added after something was made, and changed later still, does not make that anew:
write the value into the config, which does.
"""


def document() -> str:
    """The page; changes with the same outcome share a line."""
    titles = {case.section: f"{case.section[0].upper()}{case.section[1:]}" for case in CASES}
    contents = [
        f"- [{title}](#{re.sub('[^a-z0-9 -]', '', title.lower()).replace(' ', '-')})" for title in titles.values()
    ]
    lines = [HEAD, *contents, ""]
    for section, cases in groupby(CASES, key=lambda case: case.section):
        lines.append(f"## {titles[section]}\n\n| change | runs | is restored |\n|---|---|---|")
        rows: dict[tuple[str, str], list[str]] = {}
        for case in cases:
            text = f"{case.change} ({case.note})" if case.note else case.change
            text = re.sub(r"`(?!pargo/)([\w/]+\.(?:py|j2|html\.j2))`", r"`pargo/\1`", text)
            rows.setdefault((_names(case.would), _names(case.restorable)), []).append(text)
        lines += [
            f"| {'; '.join(texts)} | {would or 'nothing'} | {restored} |" for (would, restored), texts in rows.items()
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _names(patterns: str) -> str:
    return ", ".join(f"`{pattern}`" for pattern in patterns.split())
