"""A number in a table: never a bare float, but a value with its interval, its status and the files it came from."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Literal

Status = Literal["published", "measured", "computed", "unknown"]
Unit = Literal[
    "count",
    "parameters",
    "flops",
    "seconds",
    "points",
    "percent",
    "difference",
    "percent_difference",
    "nats",
    "p",
    "rate",
    "times",
]

# what each status means, in the words the page and the captions use
STATUSES: dict[Status, str] = {
    "published": "stated by the paper, for its own models and data; not checked here",
    "measured": "measured here, by this configuration; leads to its result file",
    "computed": "follows from the settings or from how the score is defined; nothing was trained for it",
    "unknown": "nobody here knows: the paper's number is not available, or nothing in this configuration measures it",
}
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
NOTHING = "\N{EM DASH}"
MAX_DIGITS = 6  # of the ends of an interval
SMALLEST_P = 0.001  # that is written


@dataclass(frozen=True)
class Cell:
    """One number.

    Attributes:
        value: in base units (a share, not per cent); None when unknown.
        unit: how it is written; differences carry their sign.
        interval: 95 % interval in the units of the value, or None where there is none.
        n: images it is an average over (the unit of resampling), or None.
        seeds: training seeds in it; `seed_values` the value of each, where the value is their mean.
        files: result files it was read from, relative to the project root; empty for published and unknown.
        where: what in these files it is of, as keys with dots: `tasks.count.score`.
        formula: how it follows from what is there, in words.
    """

    value: float | None
    unit: Unit
    status: Status
    interval: tuple[float, float] | None = None
    n: int | None = None
    seeds: tuple[int, ...] = ()
    seed_values: tuple[float, ...] = ()
    files: tuple[str, ...] = ()
    where: str = ""
    formula: str = ""
    note: str = ""
    digits: int = 1

    def __post_init__(self) -> None:
        if (self.value is None) != (self.status == "unknown"):
            raise ValueError(f"a cell has a value unless its status is unknown, got {self.value!r}, {self.status!r}")
        if self.status == "measured" and not self.files:
            raise ValueError("a measured cell must name its result file")

    @property
    def known(self) -> float:
        """The value, for drawing; ValueError when it is unknown."""
        if self.value is None:
            raise ValueError(f"the value of {self} is unknown")
        return self.value

    @property
    def text(self) -> str:
        """The value as written, e.g. `412.5`, `+12.5`, `1.23 M`, without its interval."""
        return NOTHING if self.value is None else self.write(self.value)

    @property
    def interval_text(self) -> str:
        """`[380, 442]`, or nothing."""
        return f"[{self.ends[0]}, {self.ends[1]}]" if self.ends else ""

    @property
    def ends(self) -> tuple[str, str] | None:
        """The ends of the interval as written; those of points have no decimals.

        An end that is not zero is never written as zero: readers see from it whether an interval excludes zero.
        """
        if self.interval is None:
            return None
        percent = self.unit.startswith("percent")
        digits, scale = self.digits if percent or self.unit == "nats" else 0, 100 if percent else 1
        while digits < MAX_DIGITS and any(end and not rounded(end, digits, scale) for end in self.interval):
            digits += 1
        return self.write(self.interval[0], digits), self.write(self.interval[1], digits)

    def write(self, value: float, digits: int | None = None) -> str:
        """A value in this cell's unit, with as many decimals as asked for."""
        digits = self.digits if digits is None else digits
        if self.unit == "count":
            return f"{int(value):,}"
        if self.unit == "times":
            return f"{int(value):,} {TIMES}"
        if self.unit == "parameters":
            return _si(value, (("B", 1e9), ("M", 1e6), ("k", 1e3)))
        if self.unit == "flops":
            return _si(value, (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)))
        if self.unit == "seconds":
            return _duration(value)
        if self.unit == "p":
            return f"{rounded(value, 3):f}" if value >= SMALLEST_P else f"< {SMALLEST_P}"
        number = rounded(value, digits, 100 if self.unit.startswith("percent") else 1)
        sign = "+" if self.unit.endswith("difference") and number > 0 else ""
        return sign + f"{number:f}".replace("-", MINUS)


def _si(value: float, steps: tuple[tuple[str, float], ...]) -> str:
    for letter, size in steps:
        if (number := rounded(value / size, 2)) >= 1:
            return f"{number} {letter}"
    return f"{int(value)}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{rounded(seconds, 0)} s"
    if seconds < 3600:
        return f"{rounded(seconds / 60, 1)} min"
    return f"{rounded(seconds / 3600, 1)} h"


def rounded(value: float, digits: int, scale: int = 1) -> Decimal:
    """`scale` times a value with so many decimals, half away from zero; zero has no sign.

    Of the shortest decimal number that means this value, as csv files show it: 0.125 is rounded to 0.13, and so is
    1.005 to 1.01, though the binary number next to it is a little smaller.
    """
    with localcontext(prec=60):
        number = (Decimal(repr(float(value))) * scale).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return number if number else abs(number)


@dataclass(frozen=True)
class Column:
    """A column of numbers; `group` is a heading shared by its neighbours, `title` must be enough without it.

    One that stands `aside` is left out where there is little room.
    """

    key: str
    title: str
    group: str = ""
    short: str = ""
    aside: bool = False


@dataclass(frozen=True)
class Row:
    """`kind` sets a block of rows apart (arm, baseline, a claim); `texts` are the cells that hold words.

    A row of `one_seed` of several is left out where there is little room. What `needs_no_image` is no arm's.
    """

    key: str
    kind: str
    texts: dict[str, str]
    cells: dict[str, Cell]
    one_seed: bool = False
    needs_no_image: bool = False


@dataclass(frozen=True)
class Table:
    """Words first (`heads`: key -> title), numbers after (`columns`).

    `block` names heads whose texts are the same in neighbouring rows: narrow layouts write them once, above them; they
    leave out those in `aside`.
    """

    name: str
    caption: str
    heads: dict[str, str]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    block: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = {column.key for column in self.columns}
        for row in self.rows:
            if row.texts.keys() != self.heads.keys() or not row.cells.keys() <= known:
                raise ValueError(f"table {self.name}: row {row.key} does not fit the columns")

    def block_title(self, row: Row) -> str:
        """What stands above the block that a row begins."""
        return ": ".join(text for key in self.block if (text := row.texts[key]))
