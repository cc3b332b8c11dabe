"""Artifacts are published whole or not at all, and their manifests hold content only."""

import json
from pathlib import Path

import pytest

from pargo.errors import PargoError
from pargo.files import sha256_file, write_atomic
from pargo.layout import manifest_path
from pargo.manifest import RUN_RECORD, publish, read_manifest, read_provenance, verify


def make(directory, text="content", **options):
    with publish(directory, settings={"b": 1, "a": (2,)}, **options) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "file.txt").write_text(text)


def test_manifest_lists_files_and_provenance_the_rest(tmp_path):
    make(tmp_path / "first")
    make(tmp_path / "second", inputs=[tmp_path / "first"])
    assert read_manifest(tmp_path / "second")["files"]["sub/file.txt"]["size"] == len("content")
    made = read_provenance(tmp_path / "second")
    assert made["settings"] == {"a": [2], "b": 1}
    assert made["hardware"]
    assert made["inputs"] == {
        manifest_path(tmp_path / "first").as_posix(): sha256_file(manifest_path(tmp_path / "first"))
    }


def test_equal_content_gives_equal_manifests_however_it_was_made(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / "b", inputs=[tmp_path / "a"], code=[Path("pargo/manifest.py")])
    assert read_provenance(tmp_path / "a") != read_provenance(tmp_path / "b")
    assert manifest_path(tmp_path / "a").read_bytes() == manifest_path(tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a" / RUN_RECORD).read_text())["versions"]


def test_failure_publishes_nothing_and_keeps_the_old_artifact(tmp_path):
    make(tmp_path / "a", "old")

    def fail():
        with publish(tmp_path / "a", settings={}) as temporary:
            (temporary / "half").write_text("half")
            raise RuntimeError("stage failed")

    with pytest.raises(RuntimeError, match="stage failed"):
        fail()
    assert (tmp_path / "a" / "sub" / "file.txt").read_text() == "old"
    verify(tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.manifest.json"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "sub/file.txt").write_text("other"), "sub/file.txt: changed"),
        (lambda d: (d / "sub/file.txt").unlink(), "sub/file.txt: missing"),
        (lambda d: (d / "new").write_text(""), "new: not in the manifest"),
    ],
)
def test_verify_names_what_differs(tmp_path, damage, message):
    make(tmp_path / "a")
    verify(tmp_path / "a")
    damage(tmp_path / "a")
    with pytest.raises(PargoError, match=message):
        verify(tmp_path / "a")


def test_missing_manifest_says_which_stage_output_is_absent(tmp_path):
    with pytest.raises(PargoError, match="has not run"):
        read_manifest(tmp_path / "nothing")


def test_atomic_write_leaves_no_temporary_file(tmp_path):
    write_atomic(tmp_path / "deep" / "file", "one")
    write_atomic(tmp_path / "deep" / "file", b"two")
    assert (tmp_path / "deep" / "file").read_text() == "two"
    assert len(list((tmp_path / "deep").iterdir())) == 1
