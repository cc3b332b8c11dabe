"""Stage `caption`: one caption for each selected image, by one job or several that share the images.

Results are on disk as they come (`pargo.captions.records`): a job that is killed goes on with the next image. What is
good enough to train on, the stage `filter` decides.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from pargo.answers import answer_files, shared, shared_folder
from pargo.captions.engines import caption_modules, make_engine
from pargo.captions.records import KEY, RecordFile, read_rows
from pargo.captions.samples import Failure, read_samples
from pargo.code import code_hash, import_closure
from pargo.config.base import Settings, canonical_json
from pargo.config.captions import Captions
from pargo.config.engines import engine_class, engine_modules
from pargo.data.shards import Shards
from pargo.errors import PargoError
from pargo.files import sha256_file, sha256_text
from pargo.layout import manifest_path
from pargo.manifest import describe_files, publish
from pargo.progress import track

RECORDS = "records.jsonl"
SELECTED = "selected.parquet"


class CaptionSettings(Settings, hide_input_in_errors=True):
    """What the stage `caption` reads of a config."""

    split: Literal["train", "test"]
    captions: Captions


def run(
    settings: CaptionSettings,
    source: Path,
    selection: Path,
    output: Path,
    run_directory: Path,
    shards: Sequence[Path] = (),
) -> None:
    """Write `captions.jsonl` (see `pargo.captions.samples.Caption`), `failures.jsonl` (`id`, `reason`, `kind`), both in
    the order of the selection, and `statistics.json`.

    Args:
        source: artifact with the images and their records.
        selection: artifact that says which of them.
        output: artifact to publish.
        run_directory: keeps the results so far, where no jobs made them.
        shards: run directories of the jobs that did, in order (`caption_shard`).

    Raises:
        PargoError: more images stayed without a caption than `max_failures` allows (all results are kept), or the
            engine cannot go on.
    """
    selected, counts = _selected(selection), Counter[str]()
    inputs, code = [source, selection], import_closure(*caption_modules(settings.captions.engine.kind))
    local = settings.captions.local_files
    with publish(output, settings=settings, inputs=inputs, code=code, local=local) as directory:
        if not shards:
            _caption(settings, source, selected, run_directory)
            shards = [run_directory]
        places = [{name: (place, size) for name, place, size in read_rows(shard / RECORDS)} for shard in shards]
        with (
            (directory / "captions.jsonl").open("w", encoding="utf-8") as captions,
            (directory / "failures.jsonl").open("w", encoding="utf-8") as failures,
        ):
            for row in _in_order(selected, shards, places):
                is_failure = "kind" in row
                counts[row["reason"].partition(":")[0] if is_failure else ""] += 1
                print(json.dumps(row, ensure_ascii=False), file=failures if is_failure else captions)
        captioned = counts.pop("", 0)
        failed = sum(counts.values())
        if failed > settings.captions.max_failures * (captioned + failed):
            first = counts.most_common(1)[0]
            raise PargoError(
                f"{failed} of {captioned + failed} images have no caption, {first[1]} of them because: {first[0]}; "
                f"max_failures allows {settings.captions.max_failures:.2%}. All results are kept: run again to "
                "ask for what the server did not answer"
            )
        numbers = {"images": captioned + failed, "captions": captioned, "failures": dict(sorted(counts.items()))}
        (directory / "statistics.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


def caption_shard(settings: CaptionSettings, source: Path, selection: Path, shard: int, run_directory: Path) -> None:
    """Caption one of `num_shards` parts of the selection into `records.jsonl` of the run directory.

    Raises:
        PargoError: the engine cannot go on; what is done is kept.
    """
    number = settings.captions.num_shards
    ids = [name for name in _selected(selection) if _part(name, number) == shard]
    _caption(settings, source, ids, run_directory)


def _part(name: str, number: int) -> int:
    """Which of the parts an image is in: it stays there whatever else is selected."""
    return int(sha256_text(name)[:8], 16) % number


def _caption(settings: CaptionSettings, source: Path, ids: Sequence[str], run_directory: Path) -> None:
    """What was sent before is not sent again: by this job, by those that shared the images otherwise, or elsewhere."""
    images, spec = Shards(source / settings.split), _spec(settings, source)
    folder = shared_folder(run_directory, spec) if settings.captions.engine.has_model else None
    with RecordFile(run_directory / RECORDS, spec) as records, shared(records.path, folder):
        keys = {}
        for name in ids:
            try:
                keys[name] = _key(settings, images, name)
            except PargoError as error:
                if name not in records.finished:  # a caption does not go when the storage does
                    records.add(Failure(name, str(error), "unavailable"), "")
        for other in (*_others(run_directory), *answer_files(folder)):
            if waiting := {name: key for name, key in keys.items() if records.finished.get(name) != key}:
                records.adopt(other, spec, waiting)
        waiting = {name: key for name, key in keys.items() if records.finished.get(name) != key}
        if not waiting:
            return
        if len(waiting) < len(ids):
            print(f"going on after {len(ids) - len(waiting)} of {len(ids)} images", flush=True)
        engine, problems = make_engine(settings.captions), 0
        title = f"Captioning {source.name} {settings.split}"
        for result in track(engine.caption(read_samples(images, waiting)), title, total=len(waiting)):
            records.add(result, keys[result.id])
            if isinstance(result, Failure):
                problems += 1
                if problems <= 10:  # the rest is in the artifact
                    print(f"{result.id}: {result.reason}", flush=True)


def _key(settings: CaptionSettings, images: Shards, name: str) -> str:
    """Hash of an image and of what a model is sent with it."""
    engine, record = settings.captions.engine, images.record(name)  # read in any case: a damaged one is found here
    request = engine_class(engine.kind).request(engine, name, record)
    return sha256_text(canonical_json([images.sha256(name).hex(), request]))[:32]


def _others(run_directory: Path) -> list[Path]:
    """Files of results of the same dataset: those of all parts, and that of one job alone."""
    folders = (run_directory, run_directory.parent)
    pattern = f"{Path(RECORDS).stem}*{Path(RECORDS).suffix}"  # also those that were set aside
    found = {path for folder in folders for path in (*folder.glob(pattern), *folder.glob(f"*/{pattern}"))}
    return sorted(path for path in found - {run_directory / RECORDS} if path.is_file())


def _selected(selection: Path) -> list[str]:
    path = selection / SELECTED
    if not path.is_file():
        raise PargoError(f"{path} does not exist: the stage `select` has not run")
    return pq.read_table(path, columns=["id"])["id"].to_pylist()


def _spec(settings: CaptionSettings, source: Path) -> str:
    """Hash of all that the caption of an image depends on, beside what is sent for it: the key of a line has that.

    Not of the selection: one more image is one more question. Not
    of the code of an engine with a model: what was asked is in its settings, and a million captions are not asked again
    for a comment. So the file stays when the artifact is made. An engine without a model reads the whole records.
    """
    engine = settings.captions.engine
    if not engine.has_model:
        images, code = sha256_file(manifest_path(source)), code_hash(import_closure(*engine_modules(engine.kind)))
        return sha256_text(canonical_json([engine, settings.split, images, code]))
    asked = engine.model_dump(exclude={*engine.how, *engine.in_request})
    weights = None if engine.weights is None else describe_files(engine.weights)
    return sha256_text(canonical_json([asked, weights]))


def _in_order(
    ids: Sequence[str], shards: Sequence[Path], places: Sequence[dict[str, tuple[int, int]]]
) -> Iterator[dict[str, Any]]:
    """The results of all images, read from the files one by one.

    Raises:
        PargoError: an image has none.
    """
    files = [(shard / RECORDS).open("rb") for shard in shards]
    try:
        for name in ids:
            part = _part(name, len(shards))
            if name not in places[part]:
                raise PargoError(f"image {name!r} has neither a caption nor a failure; run the stage again")
            place, size = places[part][name]
            files[part].seek(place)
            row = json.loads(files[part].read(size))
            row.pop(KEY, None)
            yield row
    finally:
        for file in files:
            file.close()
