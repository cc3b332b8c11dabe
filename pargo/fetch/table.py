"""The table of downloads: what is fetched from elsewhere, and what makes sure that it is the right thing.

The rows are in `downloads.yaml`. To use another package, repository or archive, add one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from pargo.config.base import Name, Positive, Settings
from pargo.config.language_shape import LanguageShape
from pargo.config.words import explain_all
from pargo.config.yaml_file import read_yaml
from pargo.errors import ConfigError
from pargo.fetch.names import leads_out

DATA = Path("data")  # folder of the project that downloads' folders are in
TABLE = Path(__file__).with_name("downloads.yaml")
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
REMARKS = {"licence", "gate", "note", "size", "about"}  # say nothing about which files are fetched

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Url = Annotated[str, Field(pattern=r"^https?://")]


class TableRow(Settings):
    """What the rows of all kinds in the table say.

    Attributes:
        licence: as the owner states it.
        gate: what the owner asks before the files may be had.
        size: bytes to be fetched.
        about: bytes to be fetched where not known exactly: as the owner rounds them, or reckoned as the note says.
    """

    licence: str = ""
    gate: str = ""
    note: str = ""
    size: Positive | None = None
    about: Positive | None = None

    @property
    def exact(self) -> int | None:
        """Bytes to be fetched, where they are known exactly."""
        return self.size

    @property
    def bytes(self) -> int | None:
        """Bytes to be fetched: exactly, else about how many; None where nobody knows."""
        return self.exact or self.about

    @property
    def origin(self) -> str:
        """Where the files come from, in words."""
        raise NotImplementedError

    @property
    def pinned(self) -> str:
        """What is fixed, in words."""
        return "-"


class Wheel(TableRow):
    """A package of the Python index; its data files are used, its code never."""

    kind: Literal["wheel"]
    package: str
    version: str
    sha256: Sha256
    size: Positive
    importer: str = Field(description="a module of `pargo.sources.wheels`")
    # no settings of the import, which reads the files: changes of them repeat nothing
    annotated: bool = Field(False, exclude=True, description="records of its images hold annotations")
    shape: LanguageShape | None = Field(None, exclude=True, description="of a language model, for `pargo plan`")

    @property
    def origin(self) -> str:
        return f"package index: {self.package} {self.version}"

    @property
    def pinned(self) -> str:
        return f"sha256 {self.sha256[:12]}"


class Download(TableRow):
    """Files for a folder below `data/`, which appears when it is complete."""

    folder: str

    @field_validator("folder")
    @classmethod
    def _inside(cls, folder: str) -> str:
        if leads_out(folder):
            raise ValueError("expected a folder below data/")
        return folder


class Archives(Download):
    """Files that may be archives."""

    files: Any
    unpack: str | None = Field(
        None, description="the files are archives: of what they hold together, this folder is kept; `.` keeps all"
    )

    @model_validator(mode="after")
    def _all_archives(self) -> Self:
        if self.unpack is not None and (others := [name for name in self.files if not name.endswith(ARCHIVES)]):
            raise ValueError(f"unpack: no archives: {', '.join(others)}; known are {', '.join(ARCHIVES)}")
        return self


class Hub(Archives):
    """A snapshot of a repository of the Hugging Face hub, checked against the hashes that belong to its commit."""

    kind: Literal["hub"]
    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    type: Literal["model", "dataset"] = "dataset"
    revision: Commit | None = Field(
        None, description="without one, the newest at the first fetch, which the lock file keeps"
    )
    files: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="names or patterns")

    @property
    def origin(self) -> str:
        return f"hub: {self.repository}"

    @property
    def pinned(self) -> str:
        return f"commit {self.revision[:12]}" if self.revision else "fixed at first fetch"

    @property
    def page(self) -> str:
        return f"https://huggingface.co/{'datasets/' if self.type == 'dataset' else ''}{self.repository}"


class HttpFile(Settings):
    """One file; what is not known of it is kept in the lock file at the first fetch."""

    urls: Annotated[tuple[Url, ...], Field(min_length=1)] = Field(description="mirrors, tried in this order")
    size: Positive | None = None
    sha256: Sha256 | None = None
    md5: Md5 | None = None


class Http(Archives):
    """Files by name, each with its addresses."""

    kind: Literal["http"]
    files: Annotated[dict[str, HttpFile], Field(min_length=1)]

    @model_validator(mode="after")
    def _names(self) -> Http:
        if wrong := [name for name in self.files if Path(name).name != name or name.startswith(".")]:
            raise ValueError(f"no names of files: {', '.join(wrong)}")
        return self

    @property
    def origin(self) -> str:
        hosts = dict.fromkeys(file.urls[0].split("/")[2] for file in self.files.values())
        return f"http: {', '.join(hosts)}"

    @property
    def exact(self) -> int | None:
        sizes = [file.size for file in self.files.values()]
        return sum(filter(None, sizes)) if all(sizes) else self.size

    @property
    def pinned(self) -> str:
        parts = []
        for file in self.files.values():
            hashes = [f"sha256 {file.sha256[:12]}"] if file.sha256 else [f"md5 {file.md5[:12]}"] if file.md5 else []
            parts += hashes or ["fixed at first fetch"]
        return "\n".join(dict.fromkeys(parts))


class Img2dataset(Download):
    """Images of a list of addresses, fetched by the tool img2dataset into tar files."""

    kind: Literal["img2dataset"]
    addresses: str = Field(description="folder below data/ of the list, parquet files, an earlier download")
    url_column: str = "url"
    caption_column: str = "caption"
    columns: tuple[str, ...] = Field((), description="further columns that every sample's JSON keeps")
    image_size: Positive = Field(512, description="pixels of the shorter side; larger images are made smaller")
    min_side: Positive = Field(200, description="pixels of the shorter side; smaller images are left out")

    @property
    def origin(self) -> str:
        return f"img2dataset: addresses in data/{self.addresses}"


class Folder(Download):
    """What somebody has to fetch, since no program may or can."""

    kind: Literal["folder"]
    page: Url = Field(description="where it is to be had")

    @property
    def origin(self) -> str:
        return f"by hand: {self.page.split('/')[2]}"


AnyDownload = Annotated[Hub | Http | Img2dataset | Folder, Field(discriminator="kind")]
Row = Annotated[Wheel | AnyDownload, Field(discriminator="kind")]
AnyRow = TypeVar("AnyRow", bound=TableRow)


@cache
def known_downloads() -> dict[str, Row]:
    """The table: rows by name."""
    return read(TABLE)


def read(path: Path) -> dict[str, Row]:
    """A table's rows by name.

    Raises:
        ConfigError: a row is wrong, which the message names, or two downloads have one folder, or one in the other's.
    """
    try:
        data = read_yaml(path, "table")
        text = json.dumps(data)  # of JSON's kinds: a list may be a tuple
        rows = TypeAdapter(dict[Name, Row]).validate_json(text)
    except ValidationError as error:
        schema = TypeAdapter(dict[Name, Row]).json_schema()
        raise ConfigError(f"{path}: {explain_all(error, schema, data=data, in_yaml=True)}") from None
    folders: dict[Path, str] = {}
    for name, row in rows.items():
        if not isinstance(row, Download):
            continue
        for folder, other in folders.items():
            if folder.is_relative_to(row.folder) or Path(row.folder).is_relative_to(folder):
                raise ConfigError(f"{path}: the folders of {other} and {name} are the same, or one holds the other")
        folders[Path(row.folder)] = name
    return rows


def download(name: str) -> AnyDownload:
    """A row that is fetched into a folder.

    Raises:
        ConfigError: there is none.
    """
    row = known_downloads().get(name)
    if row is None or isinstance(row, Wheel):
        known = sorted(name for name, row in known_downloads().items() if not isinstance(row, Wheel))
        problem = "is a package, which the run fetches by itself" if row else f"is no row of pargo/fetch/{TABLE.name}"
        raise ConfigError(f"download {name!r} {problem}; choices: {', '.join(known)}")
    return row


def wheel(name: str) -> Wheel:
    """The table's row of a package of the Python index.

    Raises:
        ConfigError: there is none.
    """
    row = known_downloads().get(name)
    if not isinstance(row, Wheel):
        known = sorted(name for name, row in known_downloads().items() if isinstance(row, Wheel))
        raise ConfigError(f"sources.{name}: no package of pargo/fetch/{TABLE.name}; choices: {', '.join(known)}")
    return row


def without_remarks(row: AnyRow) -> AnyRow:
    """What decides which files are fetched: a better remark fetches and imports nothing again."""
    dropped = REMARKS - {"size"} if isinstance(row, Wheel) else REMARKS  # a wheel is checked against its size
    return row.model_copy(update={name: TableRow.model_fields[name].default for name in dropped})


def not_fetched(paths: Iterable[str], rows: Iterable[AnyDownload]) -> list[str]:
    """Paths that no download brings: neither inside the folder of one, nor around it."""
    folders = [DATA / row.folder for row in rows if not isinstance(row, Folder)]
    return [
        path
        for path in paths
        if not any(Path(path).is_relative_to(folder) or folder.is_relative_to(path) for folder in folders)
    ]
