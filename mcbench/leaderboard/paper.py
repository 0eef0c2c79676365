"""The paper's Tables 1 to 4 as they were printed: `leaderboard/paper/*.json`, schema `mcbench.paper-table/1`.

A number is kept as its printed text and as its value. What is odd in print stays as printed, with a note beside it.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mcbench.errors import ResultError, UsageError, nearest
from mcbench.protocol import PROTOCOLS, MetricName
from mcbench.resources import data_folder

__all__ = ["TABLES", "Origin", "PaperCell", "PaperRow", "PaperTable", "read_paper_table", "read_paper_tables"]

TABLES = ("tiktok", "ted-talks", "multi-character", "ablation")
"""Names of Tables 1, 2, 3 and 4."""

MISSING = "-"
"""What the paper prints where it has no number."""

Origin = Literal["own", "rerun", "quoted", "unsaid"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PaperCell(_Record):
    """One printed number."""

    text: str
    """As printed, such as `0.73E-04`; `-` where there is none."""

    value: Annotated[float, Field(allow_inf_nan=False)] | None
    """The number; null where there is none."""

    other_unit: str | None = None
    """Why the number is not on the scale of its column, where it is not: it is shown, and not ranked."""

    @model_validator(mode="after")
    def _text_and_value_agree(self) -> PaperCell:
        if self.value != (None if self.text == MISSING else float(self.text)):
            raise ValueError(f"the text is {self.text} and the value {self.value}")
        return self


class PaperRow(_Record):
    """One method, as one row has it."""

    method: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    """Method id."""

    name: str
    """The paper's name for it, without the citation; a star is part of it."""

    citation: str | None = None
    """The citation behind the name; null for the authors' own."""

    origin: Origin
    """`own`, the authors' method or a variant of it; `rerun`, measured again by the authors; `quoted`, taken from
    print; `unsaid`, where nothing tells which of the two."""

    origin_reason: str
    """What says so; the paper gives a rule, not a list, so that some of it is inferred."""

    starred: bool = False
    """Whether the method was driven by the truth itself: shown, and not ranked."""

    note: str | None = None
    """What is odd about the row."""

    cells: dict[MetricName, PaperCell]
    """By metric, in the order of the columns."""


class PaperTable(_Record):
    """One table."""

    schema_: Literal["mcbench.paper-table/1"] = Field(alias="schema")
    """Name and version of this schema."""

    name: Literal["tiktok", "ted-talks", "multi-character", "ablation"]
    """What `mcbench table` calls it."""

    number: Annotated[int, Field(ge=1, le=4)]
    """Its number in the paper."""

    title: str
    """What it shows."""

    paper: str
    """Title of the paper."""

    dataset: str
    """Name of the data set that it stands on."""

    split: str
    """The split of that data set."""

    protocol: str
    """Id of the protocol whose numbers compare with it."""

    metrics: tuple[MetricName, ...]
    """Its columns, in their order."""

    notes: tuple[str, ...]
    """What must be known to read it, and where the paper's text and its numbers disagree."""

    rows: tuple[PaperRow, ...]
    """In the order of print."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _every_cell_is_there(self) -> PaperTable:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"no protocol is called '{self.protocol}'")
        for row in self.rows:
            if tuple(row.cells) != self.metrics:
                raise ValueError(f"the row {row.name} has the columns {', '.join(row.cells)}")
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names):
            raise ValueError("a name is there twice")
        return self


@cache
def read_paper_table(name: str) -> PaperTable:
    """One of the paper's tables.

    Args:
        name: one of `TABLES`.

    Raises:
        UsageError: if there is no such table.
        ResultError: if its file is missing or damaged.
    """
    if name not in TABLES:
        raise UsageError(f"the paper has no table '{name}'{nearest(name, TABLES)}; there are {', '.join(TABLES)}")
    path = data_folder("leaderboard") / "paper" / f"{name}.json"
    try:
        table = PaperTable.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ResultError(f"{path}: cannot be read ({error}); install mcbench again") from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "document"
        raise ResultError(f"{path}: not a table of the paper: {place}: {fault['msg']}; install mcbench again") from None
    if table.name != name:
        raise ResultError(f"{path}: holds the table '{table.name}'; install mcbench again")
    return table


def read_paper_tables() -> tuple[PaperTable, ...]:
    """All four, in the order of the paper."""
    return tuple(read_paper_table(name) for name in TABLES)
