"""A table of the paper with one's own rows below it, ready to be written in any format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mcbench.leaderboard.frame import frame_of, paper_records, result_records
from mcbench.leaderboard.own import OwnResult
from mcbench.leaderboard.paper import PaperTable
from mcbench.leaderboard.ranking import Indistinguishable, rank
from mcbench.leaderboard.wording import format_interval, format_value, plain
from mcbench.protocol import LABELS, get_protocol

__all__ = ["UNVERIFIED", "Cell", "Line", "Note", "Table", "build_table"]

UNVERIFIED = "†"
"""Stands behind a number that was measured with other weights than the published ones."""

TIED = "≈"
"""Stands behind a number that cannot be told from the best one."""


@dataclass(frozen=True)
class Cell:
    """One number.

    Attributes:
        text: as it is printed, `-` where there is none.
        value: the number; None where there is none.
        bounds: low and high of its 95% interval as numbers; None where there is none.
        interval: the interval as it is printed.
        signs: what stands behind the number: `†` for weights that are not the published ones, `≈` for a number that
            cannot be told from the best.
        mark: `best`, `second` or empty.
        weights: `published`, `random@1` or `custom`; None for metrics without a network, and for the paper's.
    """

    text: str
    value: float | None = None
    bounds: tuple[float, float] | None = None
    interval: str | None = None
    signs: str = ""
    mark: str = ""
    weights: str | None = None


@dataclass(frozen=True)
class Line:
    """One row.

    Attributes:
        name: as it is shown, star included.
        cells: by metric, all of the protocol's, also those that the table has no column for.
        origin: `paper: quoted`, or `sha256 …` of the result's file.
        sha256: of the result's file; None for the paper's rows.
        notes: what must be read before its numbers.
    """

    name: str
    cells: dict[str, Cell]
    origin: str
    sha256: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Note:
    """A note under the table.

    Attributes:
        text: one line.
        of_print: whether it is about the paper's own numbers; where space is dear, those may stand aside.
    """

    text: str
    of_print: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the paper, with or without one's own rows.

    Attributes:
        name, number, title: of the paper's table.
        paper: title of the paper.
        protocol: id of the protocol, one for the whole table.
        metrics: its columns.
        lines: the paper's rows, then one's own.
        notes: what stands below it.
    """

    name: str
    number: int
    title: str
    paper: str
    protocol: str
    metrics: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[Note, ...]

    @property
    def caption(self) -> str:
        """One line: what it is, where from, under which protocol."""
        own = sum(line.sha256 is not None for line in self.lines)
        added = f", with {own} row{'s' if own > 1 else ''} of one's own" if own else ""
        return f"{self.title} (Table {self.number} of “{self.paper}”){added}. Protocol {self.protocol}."


def build_table(
    paper: PaperTable,
    own: Sequence[OwnResult] = (),
    *,
    intervals: bool = False,
    indistinguishable: Indistinguishable | None = None,
) -> Table:
    """The paper's table, with one's own results below its rows.

    Args:
        paper: the table.
        own: results that may stand in it, see `read_own_results`.
        intervals: whether one's own numbers have their 95% intervals; the paper has none.
        indistinguishable: see `rank`.
    """
    records = paper_records(paper)
    for item in own:
        records += result_records(
            item.result,
            source="result",
            claim="measured",
            sha256=item.sha256,
            name=item.label,
            board=paper.name,
            protocols=[paper.protocol],
        )
    ranked = rank(frame_of(records), indistinguishable)
    metrics: tuple[str, ...] = get_protocol(paper.protocol).metrics
    lines = []
    for row in paper.rows:
        cells = _cells(ranked[(ranked["source"] == "paper") & (ranked["name"] == row.name)], paper.protocol, intervals)
        oddities = [f"{LABELS[name]}: {cell.other_unit}" for name, cell in row.cells.items() if cell.other_unit]
        notes = tuple(note for note in (row.note, *oddities) if note)
        every = {name: cells.get(name, Cell("-")) for name in metrics}
        lines.append(Line(row.name, every, f"paper: {row.origin} ({row.origin_reason})", notes=notes))
    for item in own:
        chosen = ranked[ranked["sha256"] == item.sha256]
        cells = _cells(chosen, paper.protocol, intervals)
        every = {name: cells.get(name, Cell("-")) for name in metrics}
        note = plain(item.result.method.note or "")
        notes = (*([note] if note else []), *_remarks(chosen, every, paper.metrics, intervals, item))
        lines.append(Line(item.label, every, f"sha256 {item.sha256}", item.sha256, notes))
    return Table(
        name=paper.name,
        number=paper.number,
        title=paper.title,
        paper=paper.paper,
        protocol=paper.protocol,
        metrics=paper.metrics,
        lines=tuple(lines),
        notes=_notes(paper, lines, intervals),
    )


def _cells(chosen: pd.DataFrame, protocol: str, intervals: bool) -> dict[str, Cell]:
    cells = {}
    for row in chosen.to_dict("records"):
        name = row["metric"]
        is_paper = row["source"] == "paper"
        value = None if pd.isna(row["value"]) else float(row["value"])
        bounds = None
        if intervals and not pd.isna(row["low"]):
            bounds = float(row["low"]), float(row["high"])
        weights = None if is_paper or pd.isna(row["weights"]) else str(row["weights"])
        # Numbers of other weights compete among themselves at most, and in this column they stand beside the paper's.
        foreign = weights is not None and weights != "published"
        cells[name] = Cell(
            text=row["text"] if is_paper else format_value(protocol, name, value),
            value=value,
            bounds=bounds,
            interval=format_interval(protocol, name, bounds) if bounds else None,
            signs=(UNVERIFIED if foreign and value is not None else "") + (TIED if row["tied"] and not foreign else ""),
            mark="" if foreign else str(row["mark"]),
            weights=weights,
        )
    return cells


def _remarks(
    chosen: pd.DataFrame, cells: dict[str, Cell], columns: Sequence[str], intervals: bool, item: OwnResult
) -> tuple[str, ...]:
    """What is to be said of single numbers of one's own result, each once, behind the metrics that it is about."""
    said: dict[str, list[str]] = {}
    remarks = dict(zip(chosen["metric"], chosen["remark"], strict=True))
    protocol = str(chosen["protocol"].iloc[0])
    measured = item.result.protocols[protocol].metrics
    for name in columns:
        if name not in measured:
            said.setdefault("not in the result", []).append(LABELS[name])
            continue
        if not pd.isna(remarks[name]):
            said.setdefault(plain(remarks[name]), []).append(LABELS[name])
        if intervals and measured[name].value is not None and cells[name].bounds is None:
            why = plain(measured[name].interval_reason or "the result has none")
            said.setdefault(f"no interval: {why}", []).append(LABELS[name])
        if intervals and cells[name].bounds and measured[name].interval_note:
            said.setdefault(f"interval: {plain(measured[name].interval_note or '')}", []).append(LABELS[name])
    return tuple(f"{', '.join(names)}: {text}" for text, names in said.items())


def _notes(paper: PaperTable, lines: Sequence[Line], intervals: bool) -> tuple[Note, ...]:
    notes: list[Note] = []
    cells = [line.cells[name] for line in lines for name in paper.metrics]
    foreign = {cell.weights for cell in cells if UNVERIFIED in cell.signs and cell.weights}
    if foreign:
        kinds = " and ".join(sorted(foreign))
        notes.append(
            Note(
                f"{UNVERIFIED} measured with {kinds} weights, not the published ones: such numbers compare only with"
                " others of the same weights, never with the paper's, and are not ranked here."
            )
        )
    if any(TIED in cell.signs for cell in cells):
        notes.append(
            Note(f"{TIED} cannot be told from the best by a paired test over the videos (5%, Holm-corrected).")
        )
    if intervals:
        notes.append(Note("In brackets: 95% intervals over videos; the paper gives none for its own rows."))
    notes += [Note(f"{line.name}: {note}", of_print=line.sha256 is None) for line in lines for note in line.notes]
    notes.append(Note(_origins(paper), of_print=True))
    return (*notes, *(Note(note, of_print=True) for note in paper.notes))


def _origins(paper: PaperTable) -> str:
    """Which of the paper's rows its authors measured, in one line."""
    said = {
        "own": "The authors' own",
        "rerun": "measured by them",
        "quoted": "quoted from print",
        "unsaid": "one or the other, the paper does not say which",
    }
    parts = []
    for origin, words in said.items():
        names = [row.name for row in paper.rows if row.origin == origin]
        if names:
            parts.append(f"{words}: {', '.join(names)}")
    return "; ".join(parts) + "."
