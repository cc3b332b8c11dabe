"""Keys of pools as webdataset tells them: any key becomes one id, and comes back from it; what is left out is said."""

from __future__ import annotations

import io
import json
import re
import tarfile
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.captions import build, filter
from pargo.config.captions import Captions
from pargo.config.quality import Quality
from pargo.config.selection import Selection
from pargo.config.sources.image_shards import ImageShardsSource
from pargo.data.selection import fingerprint, select
from pargo.errors import InputError
from pargo.report import captions as report
from pargo.sources import download
from pargo.sources.importers import image_shards, left_out
from pargo.sources.importers.image_key import escape, split_name, unescape
from pargo.sources.scenes import draw_scene, encode_png, render
from tests.sources.test_image_shards import bring, files, jpeg, one_process, write_tar  # noqa: F401

KEYS = (
    "photo 3",
    "a/1",
    "a_1",
    "A_1",
    "a%2F1",
    "100%",
    unicodedata.normalize("NFC", "café"),
    unicodedata.normalize("NFD", "café"),
    "写真 7",
    "รูปภาพ",
    "a.b/c",
    "dir/sub dir/x",
    "tab\tand\nline",
    "'quoted' \"twice\"",
    "x" * 900,
    "000000042",
)


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_every_key_makes_a_sample_and_comes_back_from_its_id(tmp_path, format):
    write_tar(tmp_path / "a/00 0.tar", [file for place, key in enumerate(KEYS) for file in files(key, place)], format)
    shards, counts, broken = bring(tmp_path, max_broken=0.0)
    assert (counts["samples"], counts["passed_over"], broken) == (len(KEYS), 0, [])
    assert all(re.fullmatch("a-00%200-[A-Za-z0-9%_-]+", identifier) for identifier in shards.ids)
    assert tuple(unescape(identifier.removeprefix("a-00%200-")) for identifier in shards.ids) == KEYS
    for place, identifier in enumerate(shards.ids):
        assert shards.read(identifier) == jpeg(place)
        assert shards.record(identifier)["file"] == f"00 0.tar/{KEYS[place]}"


def test_ordinary_keys_are_their_own_ids():
    for key in ("000000042", "IMG_0001", "a-b_C"):
        assert escape(key) == key
    assert escape("a/1 é.") == "a%2F1%20%C3%A9%2E"


def test_bytes_that_are_no_text_keep_their_sample(tmp_path):
    key = b"caf\xe9".decode(errors="surrogateescape")  # as Latin-1 writes it
    write_tar(tmp_path / "a/0.tar", [(f"{key}.jpg", jpeg(1))], tarfile.GNU_FORMAT)
    shards, _, _ = bring(tmp_path)
    assert shards.ids == ["a-0-caf%E9"]
    assert unescape("caf%E9") == key
    assert shards.record("a-0-caf%E9")["file"] == "0.tar/caf\\xe9"


@given(st.text(st.characters(codec="utf-8") | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)))
def test_escape_has_an_inverse(text):
    try:
        text.encode(errors="surrogateescape").decode()
        assert unescape(escape(text)) == text
    except UnicodeDecodeError:  # as a header holds it, some of its lone surrogates make one character
        assert unescape(escape(text)) == text.encode(errors="surrogateescape").decode(errors="surrogateescape")
    assert re.fullmatch("[A-Za-z0-9%_-]*", escape(text))


def in_tar(names: list[str]) -> list[str]:
    """The names as a tar gives them back."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        return archive.getnames()


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from("./_%- aA"), min_size=1)


@given(st.lists(NAMES.map(lambda name: f"{name}.jpg"), min_size=1))
def test_keys_of_a_real_tar_make_different_ids(names):
    keys = {parts[0] for name in in_tar(names) if (parts := split_name(name))}
    assert len({escape(key) for key in keys}) == len(keys)
    assert {unescape(escape(key)) for key in keys} == keys


def in_its_words(name: str) -> tuple[str, str] | None:
    """webdataset's convention, told another way: the shortest key before a dot after which no folder comes."""
    for place, character in enumerate(name):
        if character == "." and "/" not in name[place:] and place:
            key = name[:place]
            last = key.rpartition("/")[2]
            if "." not in last and (last or "." not in key):
                return key, name[place + 1 :].lower()
            return None
    return None


def differs(name: str) -> bool:
    """One of the documented differences, or what webdataset passes over before it splits names."""
    return name.startswith(("./", "__")) or name.rpartition("/")[2].startswith("._")


@given(NAMES)
def test_names_split_as_webdataset_splits_them(name):
    assert differs(name) or split_name(name) == in_its_words(name)


@given(st.lists(NAMES))
def test_names_split_as_the_real_webdataset_splits_them(names):
    iterators = pytest.importorskip("webdataset.tariterators", reason="webdataset is not installed")
    for name in names:
        key, suffix = iterators.base_plus_ext(name)
        assert differs(name) or split_name(name) == (None if key is None else (key, suffix.lower()))


def test_names_with_dots_are_keys_where_no_file_has_the_shorter_one(tmp_path):
    keys = ["photo.1", "x", "photo.2", "photo.10", "IMG.2024.05 b", "d.r/v1.2", "Photo.A", "Photo.a", "y"]
    write_tar(tmp_path / "a/0.tar", [file for place, key in enumerate(keys) for file in files(key, place)])
    shards, counts, broken = bring(tmp_path, max_broken=0.0)
    assert ([unescape(identifier.removeprefix("a-0-")) for identifier in shards.ids], broken) == (keys, [])
    assert counts["other_files"] == {}
    assert [shards.read(identifier) for identifier in shards.ids] == [jpeg(place) for place in range(len(keys))]
    assert all(shards.record(identifier)["alt_text"] for identifier in shards.ids)


def test_a_part_of_a_sample_is_no_sample(tmp_path):
    write_tar(tmp_path / "a/0.tar", [("1.image.jpg", jpeg(1)), ("1.meta.json", b"{}")])
    shards, counts, broken = bring(tmp_path, max_broken=0.0)
    assert (shards.ids, broken, counts["other_files"]) == (["a-0-1"], [], {"meta.json": 1})


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("photo 3.jpg", ("photo 3", "jpg")),
        ("a.b.c.jpg", ("a", "b.c.jpg")),
        ("a.b/c.d.JPG", ("a.b/c", "d.jpg")),
        ("./x.jpg", ("x", "jpg")),
        ("README", None),
        (".x.jpg", None),
        ("dir/.x.jpg", ("dir/", "x.jpg")),
        ("d.r/.x.jpg", None),
        ("dir/._a.jpg", None),
        ("__info__", None),
        ("__meta__/a.jpg", None),
        ("a.", ("a", "")),
        ("a..jpg", ("a", ".jpg")),
    ],
)
def test_names(name, parts):
    assert split_name(name) == parts


def test_the_only_image_may_have_a_long_suffix_with_its_own_json_and_text(tmp_path):
    plain = [("a.b.c.jpg", jpeg(1)), ("a.b.c.txt", b"own"), ("a.txt", b"the key's"), ("a.json", b'{"url": "u"}')]
    mask = [("k.jpg", jpeg(2)), ("k.mask.png", b"no"), ("k.txt", b"K")]
    write_tar(tmp_path / "a/0.tar", [*plain, *mask, ("README", b""), ("m/._k.jpg", b"")])
    shards, counts, broken = bring(tmp_path, max_broken=0.0)
    assert (shards.ids, broken) == (["a-0-a", "a-0-k"], [])
    assert shards.record("a-0-a") == {
        "id": "a-0-a",
        "conversation": [],
        "alt_text": "own",
        "origin": "a",
        "file": "0.tar/a",
        "url": "u",
    }
    assert (shards.read("a-0-k"), shards.record("a-0-k")["alt_text"]) == (jpeg(2), "K")
    assert counts["other_files"] == {"txt": 1, "mask.png": 1}
    assert counts["passed_over"] == 2


def test_more_broken_samples_than_the_limit_end_the_import_and_nothing_is_read_again(tmp_path, monkeypatch):
    write_tar(tmp_path / "a/0.tar", [*files("x"), *files("y"), *files("z"), ("no.txt", b""), ("w.jpg", b"")])
    why = r"1 x image is empty, e\.g\. 'w' in 0\.tar; 1 x no image, e\.g\. 'no' in 0\.tar"
    with pytest.raises(InputError, match=rf"2 of 5 samples cannot be used; max_broken allows 39\.00%\. {why}"):
        bring(tmp_path, max_broken=0.39)
    monkeypatch.setattr(image_shards, "_index_all", None)
    _, counts, _ = bring(tmp_path, max_broken=0.4)
    assert counts["broken"] == {"no image": 1, "image is empty": 1}
    assert ImageShardsSource(kind="image_shards", shards={"a": "a"}).max_broken == 0.01


def test_what_was_left_out_is_on_the_screen(tmp_path, capsys):
    write_tar(tmp_path / "a/0.tar", [*files("x"), *files("y"), ("no.txt", b""), ("README", b"")])
    bring(tmp_path)
    assert capsys.readouterr().err.splitlines() == [
        "import: 2 samples, 1 broken",
        "import: 1 x files without a key (webdataset passes them over), e.g. 'README'",
        "import: 1 x no image, e.g. 'no' in 0.tar",
    ]


def test_where_nothing_was_left_out_the_number_is_said(tmp_path, capsys):
    write_tar(tmp_path / "a/0.tar", files("x"))
    bring(tmp_path)
    assert capsys.readouterr().err == "import: 1 samples, 0 broken\n"


def test_a_hopeless_pool_ends_before_all_tars_are_read_by_processes(tmp_path, monkeypatch):
    for number in range(2):
        write_tar(tmp_path / f"a/{number}.tar", [("x.txt", b""), ("y.txt", b"")])
    monkeypatch.setattr(left_out, "HOPELESS", 2)
    with pytest.raises(InputError, match=r"no sample in 1 tars can be used. 2 x no image, e\.g\. 'x' in [01]\.tar"):
        bring(tmp_path)


def test_later_stages_take_such_ids_as_any_other(tmp_path):
    """A pool through all stages of a caption set, to its card."""
    for place, key in enumerate(KEYS):
        image = encode_png(render(draw_scene(0, place), 224))
        write_tar(tmp_path / f"a/{place}.tar", [(f"{key}.png", image), (f"{key}.txt", b"A red square on a table.")])
    write_tar(tmp_path / "a/z.tar", [("no image.txt", b"")])
    pool = ImageShardsSource(kind="image_shards", shards={"a": str(tmp_path / "a")}, max_broken=0.1)
    source, prints, chosen, raw, kept = (tmp_path / name for name in ("source", "prints", "chosen", "raw", "kept"))
    download.run(download.DownloadSettings(id="pool", source=pool), source)
    fingerprint.run(fingerprint.FingerprintSettings(split="train"), source, prints, tmp_path / "run")
    selection = Selection(near_duplicate_distance=None)
    select.run(select.SelectSettings(source="images", split="train", selection=selection), prints, {}, chosen)
    captions = Captions(engine="conversation")
    build.run(build.CaptionSettings(split="train", captions=captions), source, chosen, raw, tmp_path / "captioning")
    rows = [json.loads(line) for line in (raw / "captions.jsonl").read_text().splitlines()]
    assert sorted(unescape(row["id"].split("-", 2)[2]) for row in rows) == sorted(KEYS)
    texts = [json.dumps(row | {"caption": f"A red square, number {place}."}) for place, row in enumerate(rows)]
    (raw / "captions.jsonl").write_text("\n".join(texts) + "\n")  # as an engine for pools would say
    quality = filter.FilterSettings(split="train", quality=Quality(exact_duplicates=True))
    filter.run(quality, raw, source, kept)
    assert json.loads((kept / "statistics.json").read_text())["num_captions"] == len(KEYS)
    settings = {"config": "paper", "dataset": "pargocap", "split": "train", "captions": captions}
    report.run(report.CaptionsReportSettings(**settings), kept, chosen, source, tmp_path / "report")
    card = (tmp_path / "report/README.md").read_text()
    assert "Samples that the import of the source left out: 1 (no image 1)." in card
