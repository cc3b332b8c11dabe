"""The table of downloads says of every row what it is, and a wrong row is refused with its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pargo.config.base import canonical_json
from pargo.config.experiment import load_config
from pargo.errors import ConfigError
from pargo.fetch.table import DATA, Folder, Hub, Img2dataset, known_downloads, not_fetched, read
from pargo.fetch.table import download as version
from pargo.graph.stage_settings import download
from pargo.sources.needed import by_hand, source_downloads

ROWS = known_downloads()


@pytest.mark.parametrize("name", ROWS)
def test_every_row_says_what_it_is(name):
    row = ROWS[name]
    assert row.licence
    assert row.origin
    if row.exact and row.about:
        assert row.exact <= row.about
    if isinstance(row, Img2dataset):
        assert any(isinstance(other, Hub) and other.folder == row.addresses for other in ROWS.values())


def test_the_quick_sources_are_pinned_by_sha256_and_free():
    used = load_config("config/quick.yaml").sources
    assert {ROWS[name].licence for name, source in used.items() if source.kind == "wheel"} <= {"Apache-2.0", "MIT"}


@pytest.mark.parametrize("path", sorted(Path("config").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_the_configs_read_is_what_the_table_brings(path):
    """Every path of a source that names downloads lies in the folder of one of them."""
    config = load_config(path)
    for name, source in config.sources.items():
        rows = source_downloads(source)
        if rows:
            assert not_fetched(source.inputs, rows.values()) == []
            folders = {(DATA / row.folder).as_posix() for row in rows.values() if isinstance(row, Folder)}
            assert set(by_hand(config, name)) == folders


def test_remarks_fetch_nothing_again(monkeypatch):
    config = load_config("config/paper.yaml")
    before = canonical_json(download(config, "instructions"))
    monkeypatch.setitem(
        ROWS, "gqa_images", ROWS["gqa_images"].model_copy(update={"about": 1, "note": "x", "licence": "y"})
    )
    assert canonical_json(download(config, "instructions")) == before
    monkeypatch.setitem(ROWS, "gqa_images", ROWS["gqa_images"].model_copy(update={"unpack": "other"}))
    assert canonical_json(download(config, "instructions")) != before


def test_an_unknown_row_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"'cc4m' is no row of pargo/fetch/downloads\.yaml; choices: cc12m, cc3m"):
        version("cc4m")
    with pytest.raises(ConfigError, match="'easy_vqa' is a package, which the run fetches by itself"):
        version("easy_vqa")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {kind: hub, repository: x, files: [y], folder: z}", "repository"),
        ("a: {kind: hub, repository: x/y, files: [y], folder: ../z}", "below data/"),
        ("a: {kind: hub, repository: x/y, files: [y], folder: /z}", "below data/"),
        ("a: {kind: hub, repository: x/y, files: [], folder: z}", "files"),
        ("a: {kind: hub, repository: x/y, revision: main, files: [y], folder: z}", "revision"),
        ("a: {kind: http, files: {../y: {urls: ['http://h/y']}}, folder: z}", "no names of files"),
        ("a: {kind: http, files: {y: {urls: ['file:///etc/passwd']}}, folder: z}", "urls"),
        ("a: {kind: http, files: {y: {urls: []}}, folder: z}", "urls"),
        ("a: {kind: hub, repository: x/y, files: [y.json], unpack: ., folder: z}", "no archives: y.json"),
        ("a: {kind: ftp}", "kind"),
        ("a: {kind: http", ":1: not valid YAML: expected"),
    ],
)
def test_a_wrong_row_is_refused(tmp_path, text, message):
    path = tmp_path / "downloads.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"downloads\.yaml") as error:
        read(path)
    assert message in str(error.value)


def test_two_downloads_of_one_folder(tmp_path):
    row = "{kind: folder, page: 'https://h/', folder: x}"
    (tmp_path / "v.yaml").write_text(f"a: {row}\nb: {row}\n")
    with pytest.raises(ConfigError, match="the folders of a and b are the same"):
        read(tmp_path / "v.yaml")
    (tmp_path / "v.yaml").write_text(f"a: {row}\nb: {row.replace('x}', 'x/y}')}\n")
    with pytest.raises(ConfigError, match="or one holds the other"):
        read(tmp_path / "v.yaml")
