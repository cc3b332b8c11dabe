"""What README, CONTRIBUTING and docs/ name exists: files, headings, commands, options, targets of make."""

from __future__ import annotations

import fnmatch
import re
import shlex
from pathlib import PurePosixPath
from posixpath import normpath

import click
import pytest

from pargo.code import ROOT
from pargo.commands.application import app
from pargo.commands.names import MODULES
from pargo.config.jobs import Jobs, Resources, load_jobs
from tests.helpers.documents import DOCUMENTS, parse, project_files, read

ROOMS = ("pargo/", "tests/", "bench/", "config/", "docs/", "workflow/", "reports/", "findings/", ".ci/")
MADE = ("reports/<", "config/versions.lock.json", "config/yours.yaml", "workflow/profiles/mine")  # by a run or a reader
OTHERS = ("calculation.py",)  # of MME


def links(document: str) -> list[str]:
    return [link for link in read(document).links if "://" not in link]


def wrong_links(document: str, found: list[str]) -> list[str]:
    wrong = []
    for link in found:
        path, _, anchor = link.partition("#")
        target = normpath((PurePosixPath(document).parent / path).as_posix()) if path else document
        if target not in project_files() or (anchor and anchor not in read(target).anchors):
            wrong.append(link)
    return wrong


def named_paths(code: list[str]) -> list[str]:
    """Of code in backticks what looks like a path of the project, or like the name of one of its modules."""
    words = [word.strip("'\"`,;:()") for text in code for word in text.split()]
    paths = [word for word in words if word.startswith(ROOMS) and not word.startswith(MADE)]
    modules = [word for word in words if re.fullmatch(r"[a-z_]+\.(py|smk)", word) and word not in OTHERS]
    return paths + modules


def is_there(path: str) -> bool:
    """Is it a file or folder, or a pattern (`<name>`, `*`) of one? A bare name may be in any folder."""
    pattern = re.sub(r"<[^>]*>", "*", path.rstrip("/"))
    names = project_files() if "/" in path else {PurePosixPath(name).name for name in project_files()}
    return bool(fnmatch.filter(names, pattern))


def calls(document: str) -> list[str]:
    """Command lines of `pargo` in blocks of shell and in backticks."""
    page = read(document)
    lines = [line for language, text in page.blocks if language == "sh" for line in text.splitlines()]
    return [line for line in lines + page.code if re.match(r"(\.venv/bin/)?pargo [a-z]", line)]


def wrong_call(line: str) -> str:
    """Why the command line has no such command or option; empty if it has."""
    words = shlex.split(line.replace("'", ""), comments=True)[1:]
    command: click.Command = app
    while words and isinstance(command, click.Group):
        if not re.fullmatch(r"[a-z][a-z-]*", words[0]):  # `COMMAND`, `<stage>`
            return ""
        found = command.get_command(click.Context(command), words.pop(0))
        if found is None:
            return f"{line}: no such command"
        command = found
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    unknown = [word for word in words if re.match(r"--?[a-z]", word) and word not in known]
    return f"{line}: no option {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    assert wrong_links(document, links(document)) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_are_named_exist(document):
    assert [path for path in named_paths(read(document).code) if not is_there(path)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_options_exist(document):
    assert [wrong for line in calls(document) if (wrong := wrong_call(line))] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_targets_of_make_exist(document):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    page = read(document)
    text = "\n".join([*page.code, *(block for language, block in page.blocks if language == "sh")])
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", text)) <= targets


def test_configs_and_addresses_in_comments_of_configs():
    for path in (ROOT / "config").glob("*.yaml"):
        for name in re.findall(r"\bdocs/[a-z]+\.md", path.read_text(encoding="utf-8")):
            assert name in project_files(), path


def test_findings_name_existing_files():
    for script in (ROOT / "findings").glob("*.sh"):
        head = [line for line in script.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        paths = re.findall(rf"(?:{'|'.join(map(re.escape, ROOMS))})[\w./-]+", "\n".join(head))
        assert [path for path in paths if not is_there(path)] == [], script


def test_every_document_is_in_the_list_of_the_readme():
    documents = {name for name in DOCUMENTS if name.startswith("docs/")}
    assert documents <= {link.partition("#")[0] for link in links("README.md")}


def test_every_command_for_people_is_in_the_list_of_commands():
    written = " ".join(read("docs/commands.md").code)
    for name in MODULES:
        assert re.search(rf"\b{name}\b", written), name


def test_every_field_of_a_jobs_file_is_told_and_the_example_is_one(tmp_path):
    written = {*read("docs/cluster.md").code}
    assert {*Resources.model_fields, *Jobs.model_fields} <= written
    [example] = [text for language, text in read("docs/cluster.md").blocks if language == "yaml"]
    (tmp_path / "jobs.yaml").write_text(example)
    jobs = load_jobs(tmp_path / "jobs.yaml")
    assert (jobs.of("finetune").gpus_per_node, jobs.of("pretrain").gpus_per_node) == (8, 1)


def test_contents_lists_are_complete_and_in_order():
    for document in DOCUMENTS:
        if not document.startswith("docs/"):
            continue
        page = read(document)
        listed = [link[1:] for link in page.links if link.startswith("#")]
        pairs = zip(page.headings, page.anchors, strict=True)
        sections = [anchor for (level, _), anchor in pairs if level == 2]
        assert listed == (sections if listed or len(sections) > 2 else []), document


def test_the_checks_find_what_is_wrong():
    page = parse("# A b's *c*\n[x](no.md) [y](README.md#nowhere) `pargo/none.py` `pargo/<x>.md` `nowhere.py`\n")
    assert page.anchors == ["a-bs-c"]
    assert wrong_links("README.md", page.links) == ["no.md", "README.md#nowhere"]
    assert [path for path in named_paths(page.code) if not is_there(path)] == [
        "pargo/none.py",
        "pargo/<x>.md",
        "nowhere.py",
    ]
    assert "no such command" in wrong_call("pargo reproduse")
    assert "no option --cofnig" in wrong_call(".venv/bin/pargo versions status --cofnig x  # --comment")
    assert wrong_call("pargo versions status --config x") == ""
