"""Wrong arguments of all commands: exit code 2, one line in our words, and nothing slow is loaded to say it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from pargo.code import ROOT
from tests.helpers.wrong_arguments import cases, make_files

# of torch, pydantic, Python and PyYAML; what a person who writes YAML need not know
FOREIGN = (
    "Traceback",
    "weights_only",
    "pydantic",
    "Input should",
    "tuple",
    "dictionary",
    "dict",
    "NoneType",
    "Errno",
    "iterable",
    "validation error",
    "Value error",
    "while parsing",
    "<unicode string>",
)
SLOW = ("torch", "transformers", "snakemake", "dvc", "submitit", "timm")
# all calls in one process: each command is started as `pargo` starts it
CODE = f"""
import contextlib, io, json, sys
from pargo.cli import main
results = []
for arguments in json.load(sys.stdin):
    sys.argv = ["pargo", *arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            code = None
        except SystemExit as error:
            code = error.code
        except BaseException as error:
            code = repr(error)
    results.append([code, out.getvalue(), err.getvalue(), sorted({SLOW!r} & sys.modules.keys())])
print(json.dumps(results))
""".replace(f"{SLOW!r}", f"set({SLOW!r})")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    make_files(folder)
    asked = cases(folder)
    before = {path.name for path in ROOT.iterdir()}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        input=json.dumps([arguments for arguments, _ in asked]),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in ROOT.iterdir()} == before, "a wrong call left something"
    return [
        (arguments, says, *outcome) for (arguments, says), outcome in zip(asked, json.loads(done.stdout), strict=True)
    ]


def test_the_exit_code_is_2_and_the_error_one_line_that_says_what_is_wrong(outcomes):
    wrong = []
    for arguments, says, code, _, error, _ in outcomes:
        if code != 2 or says not in error or not error.startswith("error: ") or error.count("\n") != 1:
            wrong.append((arguments, says, code, error))
    assert not wrong, "\n".join(map(str, wrong))


def test_no_words_of_the_libraries_are_in_the_errors(outcomes):
    for arguments, _, _, out, error, _ in outcomes:
        found = [word for word in FOREIGN if re.search(rf"(?<!\w){word}(?!\w)", out + error)]
        assert not found, (arguments, error)


def test_nothing_slow_was_loaded(outcomes):
    for arguments, _, _, _, _, loaded in outcomes:
        assert not loaded, arguments


def test_every_command_is_tried(outcomes):
    import click

    from pargo.commands.application import app

    def paths(command, path=()):
        if not isinstance(command, click.Group):
            yield path
            return
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from paths(command.get_command(context, name), (*path, name))

    tried = [arguments for arguments, *_ in outcomes]
    for path in paths(app):
        if path != ("jobs",):  # takes no argument
            assert any(tuple(arguments[: len(path)]) == path for arguments in tried), path
