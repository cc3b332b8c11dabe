"""Files of stages are cut by stage without reading YAML, and read as a whole where they have another form."""

import pytest
import yaml

from pargo.errors import PargoError
from pargo.graph.dvc_stages import dump, lock_with, render_stages
from pargo.graph.stage_text import join, owner, read_params, split, stage_texts, stages_of
from tests.helpers.dvc_jobs import make_job

LOCK = """\
schema: '2.0'
stages:
  micro-a:
    cmd: python -m pargo
      a
    outs:
    - path: x
  quick-a-b:
    cmd: b
"""
OTHER_FORMS = [
    "stages: {micro-a: {cmd: python -m pargo a, outs: [{path: x}]}, quick-a-b: {cmd: b}}\n",
    LOCK + "datasets: []\n",
    LOCK.replace("  quick-a-b:", "  # of a person\n  quick-a-b:"),
    LOCK.replace("  quick-a-b:", "  prepare:\n    cmd: x\n  quick-a-b:"),
    LOCK.replace("  micro-a:", "  'micro-a':"),
    LOCK.replace("stages:\n", "stages:\n\n"),
    LOCK.removesuffix("\n"),
    "".join(f"  {line}\n" if number > 1 else f"{line}\n" for number, line in enumerate(LOCK.splitlines())),
]


def test_a_file_of_ours_is_cut_by_stage() -> None:
    head, stages = split(LOCK) or ("", {})
    assert list(stages) == ["micro-a", "quick-a-b"]
    assert join(head, stages) == LOCK
    written = render_stages("micro", [make_job("features"), make_job()], "")
    assert split(written) is not None
    assert stage_texts(written, "dvc.yaml", dump) == (split(written) or ("", {}))[1]


@pytest.mark.parametrize("text", [LOCK, *OTHER_FORMS])
def test_any_form_gives_the_same_stages(text: str) -> None:
    every = yaml.safe_load(text)["stages"]
    for config in ("micro", "quick", "none"):
        assert stages_of(text, "dvc.lock", config) == {k: v for k, v in every.items() if owner(k) == config}
    again = yaml.safe_load("stages:\n" + "".join(stage_texts(text, "dvc.lock", dump).values()))["stages"]
    assert again == every


def test_what_is_of_others_is_not_read() -> None:
    assert stages_of(LOCK.replace("cmd: b", "cmd: [broken"), "dvc.lock", "micro")["micro-a"]["outs"] == [{"path": "x"}]
    assert stages_of("", "dvc.lock", "micro") == {}
    assert stages_of("schema: '2.0'\nstages:\n", "dvc.lock", "micro") == {}


def test_stages_written_anew_stay_in_their_places() -> None:
    new = {"quick-z": "  quick-z:\n    cmd: z\n", "micro-a": "  micro-a:\n    cmd: new\n"}
    assert lock_with(new, LOCK) == (
        "schema: '2.0'\nstages:\n  micro-a:\n    cmd: new\n  quick-a-b:\n    cmd: b\n  quick-z:\n    cmd: z\n"
    )
    assert lock_with({}, LOCK) == LOCK
    assert yaml.safe_load(lock_with({}, "")) == {"schema": "2.0", "stages": {}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"<<<<<<< ours\n{LOCK}=======\n>>>>>>> theirs\n",
            "dvc.lock: not valid YAML at line 2, perhaps an unfinished merge: resolve it, or `git checkout dvc.lock`",
        ),
        ("- a\n", "dvc.lock: expected a mapping"),
        ("stages: [a]\n", "dvc.lock: stages: expected a mapping"),
        ("a: \x00\n", "dvc.lock: not valid YAML"),
    ],
)
def test_a_broken_file_is_named(text: str, said: str) -> None:
    with pytest.raises(PargoError, match=said):
        stages_of(text, "dvc.lock", "micro")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n<<<<<<< ours\n"a": {}\n', "dvc-params.json: not valid JSON at line 2, perhaps an unfinished merge"),
        ("[]", "dvc-params.json: expected a mapping of mappings: get it back with `git checkout dvc-params.json`"),
        ('{"a": 1}', "dvc-params.json: expected a mapping of mappings"),
    ],
)
def test_a_broken_file_of_settings_is_named(text: str, said: str) -> None:
    with pytest.raises(PargoError, match=said):
        read_params(text, "dvc-params.json")
    assert read_params("", "dvc-params.json") == {}
