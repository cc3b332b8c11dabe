"""Is an output up to date? Its record must equal what its job would use now: settings, code, contents of inputs.

Of an artifact the record is its own `provenance.json`; of files of the report it stands beside them, in git. What times
say, or records of Snakemake and DVC, counts for nothing here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pargo.accepted import same_code
from pargo.code import meanings
from pargo.config.base import canonical_json
from pargo.errors import PargoError
from pargo.files import read_json, sha256_file, sha256_text, write_atomic
from pargo.labels import by_label, labels_of, with_labels
from pargo.layout import manifest_path
from pargo.machine import COMPUTING, versions
from pargo.manifest import CODE_DIGITS, PROVENANCE, RUN_RECORD, describe_files, differing, read_provenance
from pargo.no_effect import is_free
from pargo.seen import content

OTHER_CODE = "made by other code"
UNKNOWN = "unknown"  # content of an input that is made anew: it may come out as it was
SHOWN = 3  # settings and files named by a reason
RECORD = ".made"  # no `.json`: beside scores it is none


@dataclass(frozen=True)
class Spec:
    """What makes something: equal specs give equal results.

    Args:
        rule: the stage.
        settings: what the stage reads of the config, as read from JSON.
        code: hash of what its source files mean.
        paths: what it reads: artifacts, files of the report and folders of them.
        chosen: the settings that are not at their defaults, where that is known, or what gives them: it is asked only
            where new settings are all that differs.
        strict: results that differ by rounding differ, and those of other versions of packages.
        known: hashes of inputs that are not here yet, but are going to be restored; `UNKNOWN` of those made anew.
        code_files: source files, where it is to be said which changed.
        local: files and folders of a person that it reads, and that may be gone once they were read.
    """

    rule: str
    settings: Mapping[str, Any]
    code: str
    paths: tuple[Path, ...]
    chosen: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None
    strict: bool = False
    known: Mapping[str, str] = field(default_factory=dict)
    code_files: tuple[str, ...] = ()
    local: tuple[Path, ...] = ()

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Hashes of the contents, by path; empty where there is nothing."""
        names = {name_of(path): path for path in self.paths}
        return {name: self.known.get(name) or content_of(path) for name, path in names.items()}

    @cached_property
    def local_contents(self) -> dict[str, str]:
        """Hashes of a person's files, by path; none when some are gone: then nothing can be made from them."""
        found = {path.as_posix(): content(path) for path in self.local}
        return found if all(found.values()) else {}

    def differences(self, before: Mapping[str, Any]) -> Iterator[Difference]:
        """What of these settings gives another result than those of another time."""
        chosen = self.chosen
        if callable(chosen):
            changed, new = list(self._differences(before, {})), list(self._differences(before, None))
            chosen = None if changed or not new else chosen()
        return self._differences(before, chosen)

    def _differences(self, before: Mapping[str, Any], chosen: Mapping[str, Any] | None) -> Iterator[Difference]:
        labels = labels_of(self.settings)
        given = with_labels(self.rule, before, labels_of(before)), with_labels(self.rule, self.settings, labels)
        if any(self._count(*given, None if chosen is None else with_labels(self.rule, chosen, labels))):
            yield from self._count(before, self.settings, chosen)  # with names, for people

    def _count(self, before: Any, now: Any, chosen: Any) -> Iterator[Difference]:
        for found in differences(before, now, chosen):
            if not is_free(self.rule, found.path, found.before, found.now, self.settings, strict=self.strict):
                yield found


def name_of(path: Path) -> str:
    """How a record names an input: an artifact by its manifest."""
    return (manifest_path(path) if is_artifact(path) else path).as_posix()


def is_artifact(path: Path) -> bool:
    """Is it an artifact, and not a file of one?"""
    return path.name != PROVENANCE and (path.parts[0] == "artifacts" or manifest_path(path).is_file())


def content_of(path: Path) -> str:
    """One hash of an input's content: of an artifact its manifest's, of a folder that of all files; empty for none."""
    if is_artifact(path):
        path = manifest_path(path)
    if path.is_file():
        return sha256_file(path)
    return sha256_text(canonical_json(describe_files(path))) if path.is_dir() else ""


def record_path(output: Path) -> Path:
    """The record of files of the report, beside them: `reports/quick/tables` -> `reports/quick/tables.made`."""
    return output.with_name(output.name + RECORD)


def reported(output: Path) -> list[Path]:
    """The files of the report that an earlier run of a job made; none of an artifact, or where none ran."""
    try:
        names = read_json(record_path(output))["files"]
    except (PargoError, KeyError, TypeError):
        return []
    return [output / name if output.is_dir() else output for name in names]


def as_record(spec: Spec) -> dict[str, Any]:
    """What a record says of what makes something, as it is now."""
    return {"settings": spec.settings, "code": spec.code, "inputs": spec.inputs}


def write_record(output: Path, record: Mapping[str, Any]) -> None:
    """Say what made a file or folder of the report.

    Args:
        output: the file or folder.
        record: of `as_record`, from before it was made.
    """
    whole = {**record, "files": _files(output)}
    write_atomic(record_path(output), json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def record_of(output: Path, files: Sequence[Path] = ()) -> dict[str, Any]:
    """What made something: `settings`, `code`, `inputs`, and `files` where it is of the report.

    Raises:
        PargoError: there is no record, or it is broken.
    """
    found = dict(read_json(record_path(output)) if files else read_provenance(output))
    if lacking := {"settings", "code", "inputs"} - found.keys():
        raise PargoError(f"the record of {output} lacks {some(sorted(lacking))}")
    return found


def reason_to_remake(output: Path, spec: Spec, files: Iterable[Path] = (), target: Path | None = None) -> str:
    """Why something is not what its job would make, in words; empty when it is.

    Args:
        output: an artifact, or a file or folder of the report.
        spec: what would make it now.
        files: of the report; none of an artifact.
        target: where the job would make it, if not there: changes of code are accepted for that.
    """
    files = list(files)
    if lines := _missing(output, files):
        return lines
    try:
        record = record_of(output, files)
        changed = _edited(record["files"], _files(output)) if files else differing(output)
    except (PargoError, KeyError, TypeError, ValueError, AttributeError):
        return f"{record_path(output) if files else output / PROVENANCE} is missing or broken"
    if changed:
        return f"{output} is not as it was made: {some(changed)}"
    return _made_otherwise(output, spec, record, target or output, of_report=bool(files))


def is_made_by(output: Path, spec: Spec, target: Path) -> bool:
    """Does the record of an artifact say that it is what a job would make at `target`? Its files are not looked at."""
    try:
        return not _made_otherwise(output, spec, record_of(output), target, of_report=False)
    except (PargoError, KeyError, TypeError, ValueError, AttributeError):
        return False


def _made_otherwise(output: Path, spec: Spec, record: Mapping[str, Any], target: Path, *, of_report: bool) -> str:
    """What differs between a record and what would make it now, in words; empty when nothing does."""
    settings, code, inputs = record["settings"], record["code"], record["inputs"]
    if lines := some(spec.differences(settings)):
        return f"made with other settings: {lines}"
    if code != spec.code and code not in same_code(target, spec.code):
        return f"{OTHER_CODE}{_changed_code(output, spec.code_files)}"
    if spec.strict and not of_report and (others := other_versions(output)):
        return f"computed with {some(others)}"
    before, now = inputs, spec.inputs
    if not of_report:  # which shows the names
        before, now = by_label(inputs, labels_of(settings)), by_label(spec.inputs, labels_of(spec.settings))
    others = sorted(name for name in {*before, *now} if now.get(name) not in (before.get(name), UNKNOWN))
    if others:
        return f"an input changed: {some(others)}"
    read = record.get("local") or {}  # an older record names none
    edited = sorted(name for name, now in spec.local_contents.items() if read.get(name, now) != now)
    return f"{'a file' if len(edited) == 1 else 'files'} of yours changed: {some(edited)}" if edited else ""


class Difference(NamedTuple):
    """A value that differs: where in the settings, what it was, and what it is now."""

    path: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.path}: {json.dumps(self.before)}, now {json.dumps(self.now)}"


def differences(before: Any, now: Any, chosen: Any = None, path: str = "") -> Iterator[Difference]:
    """Every value that differs.

    Args:
        before, now: settings as read from JSON.
        chosen: those of `now` that are not at their defaults: a field that is new, and that nobody chose, is no
            difference. All are chosen where it is None.
        path: where in the settings they are.
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted({*before, *now}):
            if key in before or chosen is None or key in chosen:
                inner = chosen.get(key, {}) if isinstance(chosen, Mapping) else None
                yield from differences(before.get(key), now.get(key), inner, f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        inner = chosen if isinstance(chosen, list) and len(chosen) == len(now) else [chosen] * len(now)
        for number, (old, new, of) in enumerate(zip(before, now, inner, strict=True)):
            yield from differences(old, new, of, f"{path}[{number}]")
    elif before != now:
        yield Difference(path, before, now)


def other_versions(directory: Path) -> list[str]:
    """Packages that computed an artifact in another version than is here: `torch 2.13.0, now 2.14.1`."""
    try:
        then = read_json(directory / RUN_RECORD)["versions"]
    except (PargoError, KeyError, TypeError):
        return []
    now = versions()
    changed = [name for name in COMPUTING if name in then and then[name] != now.get(name)]
    return [f"{name} {then[name]}, now {now.get(name, 'none')}" for name in changed]


def some(texts: Iterable[object]) -> str:
    """The first ones, and how many more there are."""
    every = [str(text) for text in texts]
    more = f", and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more


def _changed_code(output: Path, files: Iterable[str]) -> str:
    """Source files that meant something else when an artifact was made, as `: a.py, b.py`; empty if not known."""
    try:
        then = read_json(output / RUN_RECORD)["code"]
        now = {path: text[:CODE_DIGITS] for path, text in meanings(map(Path, files)).items()}
        changed = sorted(path for path in {*then, *now} if then.get(path) != now.get(path))
    except (PargoError, KeyError, TypeError, AttributeError, OSError):
        return ""
    return f": {some(changed)}" if changed and now else ""


def _missing(output: Path, files: list[Path]) -> str:
    if files:
        gone = [path.as_posix() for path in files if not path.is_file()]
        return f"{some(gone)} {'is' if len(gone) == 1 else 'are'} not here" if gone else ""
    if not output.is_dir():
        return f"{output} is not here"
    return "" if manifest_path(output).is_file() else f"{manifest_path(output)} is missing"


def _files(output: Path) -> dict[str, dict[str, Any]]:
    if output.is_dir():
        return describe_files(output)
    return {output.name: {"sha256": sha256_file(output), "size": output.stat().st_size}}


def _edited(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    found = [f"{name}: missing" for name in before if name not in now]
    found += [f"{name}: changed" for name, entry in now.items() if name in before and before[name] != entry]
    return found + [f"{name}: not in its record" for name in now if name not in before]
