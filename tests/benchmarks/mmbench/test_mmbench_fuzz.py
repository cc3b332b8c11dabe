"""Whatever bytes the files hold: a score or a PargoError, nothing else."""

import io
import random
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pargo.benchmarks.mmbench.dataset import import_files
from pargo.benchmarks.scores.score import score_files
from pargo.errors import PargoError
from tests.helpers.mmbench_official import encode, make_rows, picture, write_table

PIECES = [
    b"\t",
    b"\n",
    b"\r",
    b'"',
    b",",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"A",
    b"index",
    b"1.0",
    b"1000001",
    b"nan",
    b"<",
    b">",
]
PIECES += ["猫".encode(), b"", b"-", b"1e9", b"\xed\xa0\x80", b"\x1a", b"PK", b"&#0;", b"inf"]


def mutate(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.choice([1, 1, 2, 5])):
        start = rng.randrange(len(data) + 1)
        stop = min(len(data), start + rng.choice([0, 1, 2, 30]))
        piece = rng.choice([*PIECES, rng.randbytes(3), data[start:stop] * 2])
        data = data[:start] + piece + data[stop:]
    return data


def mutate_member(rng: random.Random, data: bytes) -> bytes:
    """One file of a zip archive mutated, which stays a valid archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as target:
        chosen = rng.choice([*source.namelist(), *["xl/worksheets/sheet1.xml"] * 5])
        for name in source.namelist():
            target.writestr(name, mutate(rng, source.read(name)) if name == chosen else source.read(name))
    return buffer.getvalue()


def make_table(tmp_path, name: str, **columns) -> bytes:
    rows = make_rows(
        random.Random(2), {"ocr": ("CP", 2), "色": ("AR", 1)}, [2, 3, 2], lambda rng, options, label: label
    )
    return write_table([{**row, **columns} for row in rows], tmp_path / name).read_bytes()


@pytest.mark.parametrize(("name", "cases"), [("t.tsv", 1200), ("t.csv", 500), ("t.xlsx", 250)])
def test_score(tmp_path, name, cases):
    rng, path, data = random.Random(name), tmp_path / name, make_table(tmp_path, name)
    scored = 0
    for case in range(cases):
        changes = [mutate, mutate_member] if name == "t.xlsx" else [mutate]
        path.write_bytes(rng.randbytes(rng.randrange(300)) if case % 10 == 0 else rng.choice(changes)(rng, data))
        try:
            record = score_files("mmbench", [path], samples=3)
        except PargoError:
            continue
        scored += 1
        assert 0 <= record.headline.value <= 1
    assert 0 < scored < cases


@pytest.mark.parametrize(("name", "cases"), [("t.tsv", 400), ("t.parquet", 200)])
def test_import(tmp_path, name, cases):
    rng, path = random.Random(name), tmp_path / name
    if name == "t.tsv":
        data = make_table(tmp_path, name, image=encode(picture(1)))
    else:
        rows = make_rows(random.Random(2), {"ocr": ("CP", 2)}, [2, 3])
        rows = [{**row, "image": {"bytes": picture(1), "path": "a"}} for row in rows]
        pq.write_table(pa.Table.from_pylist(rows), path, compression="NONE")
        data = path.read_bytes()
    imported = 0
    for case in range(cases):
        path.write_bytes(rng.randbytes(rng.randrange(300)) if case % 10 == 0 else mutate(rng, data))
        try:
            import_files([path], tmp_path / "out")
        except PargoError:
            continue
        imported += 1
    assert 0 < imported < cases
