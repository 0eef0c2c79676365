"""The numbers of several results, arranged so that no column mixes what does not compare.

A column is one metric under one protocol and one set of weights: FID of the published network and FID of `random@1`
stand side by side, never one below the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcbench.compare.evidence import PAIRWISE
from mcbench.leaderboard.wording import format_interval, format_value
from mcbench.protocol import HIGHER_IS_BETTER, LABELS, PROTOCOLS
from mcbench.report.sources import Run
from mcbench.results import MetricResult

__all__ = ["Cell", "Column", "Row", "Table", "clip_table", "protocols_of", "rank_metric", "remarks", "summary_table"]


@dataclass(frozen=True)
class Column:
    """A metric under one set of weights.

    Attributes:
        metric: its name.
        weights: SHA-256 of its network's weights, None for metrics without a network.
        kind: `published`, `random@1` or `custom`, None as above.
        network: its name, None as above.
    """

    metric: str
    weights: str | None
    kind: str | None
    network: str | None

    @property
    def label(self) -> str:
        """Name and arrow."""
        return f"{LABELS.get(self.metric, self.metric)} {'↑' if self.higher_is_better else '↓'}"

    @property
    def higher_is_better(self) -> bool:
        """Which end is best."""
        return self.metric in HIGHER_IS_BETTER


@dataclass(frozen=True)
class Cell:
    """A number as text, exactly, and what stands below it."""

    text: str = "–"
    value: float | None = None
    below: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A method, or a clip of a method: index of the run, clip if it is one, frames that count, and the cells."""

    run: int
    cells: list[Cell]
    clip: str | None = None
    frames: int | None = None


@dataclass(frozen=True)
class Table:
    """Columns and rows."""

    columns: list[Column]
    rows: list[Row]

    @property
    def has_best(self) -> bool:
        """Whether some value is marked as the best of its column."""
        return any(cell.best for row in self.rows for cell in row.cells)


def protocols_of(runs: Sequence[Run]) -> list[str]:
    """Ids of the protocols that some run was measured under: the one that is right first, the field's after it."""
    known = list(reversed(PROTOCOLS))
    found = {id for run in runs for id in run.result.protocols}
    return [*(id for id in known if id in found), *sorted(found - set(known))]


def summary_table(runs: Sequence[Run], protocol: str) -> Table:
    """All metrics of all runs under one protocol. The best value of a column is marked among the methods that were
    not shown the truth, where there are two or more of them."""
    columns = _columns(runs, protocol)
    rows = [
        Row(index, [_cell(run, protocol, column) for column in columns])
        for index, run in enumerate(runs)
        if protocol in run.result.protocols
    ]
    for place, column in enumerate(columns):
        values = {
            row.cells[place].value
            for row in rows
            if not runs[row.run].result.method.needs_truth and row.cells[place].value is not None
        }
        if len(values) < 2:
            continue
        best = max(values) if column.higher_is_better else min(values)  # type: ignore[type-var]
        for row in rows:
            cell = row.cells[place]
            if cell.value == best and not runs[row.run].result.method.needs_truth:
                row.cells[place] = Cell(cell.text, cell.value, cell.below, best=True)
    return Table(columns, rows)


def clip_table(runs: Sequence[Run], protocol: str, only: str | None = None) -> Table:
    """The pairwise metrics of every clip and run under one protocol, the worst one by `rank_metric` first.

    Args:
        runs: the runs.
        protocol: id.
        only: this clip alone.
    """
    columns = [column for column in _columns(runs, protocol) if column.metric in PAIRWISE]
    rows = []
    for index, run in enumerate(runs):
        known = run.result.protocols.get(protocol)
        for name, scores in known.clips.items() if known else ():
            if only not in (None, name):
                continue
            values = [getattr(scores, column.metric) if _is_of(run, protocol, column) else None for column in columns]
            cells = [
                Cell(format_value(protocol, column.metric, value), value)
                for column, value in zip(columns, values, strict=True)
            ]
            rows.append(Row(index, cells, name, scores.frames))
    ranked = rank_metric(runs, protocol)
    place = next((number for number, column in enumerate(columns) if column.metric == ranked), None)
    if place is not None:
        sign = 1 if columns[place].higher_is_better else -1

        def key(row: Row) -> tuple[bool, float]:
            value = row.cells[place].value
            return value is None, 0.0 if value is None else sign * value

        rows.sort(key=key)
    return Table(columns, rows)


def rank_metric(runs: Sequence[Run], protocol: str) -> str:
    """What says which frames and clips are worst: LPIPS of the published weights, which is nearest to what people
    see; SSIM where LPIPS has other weights or several, since it then says little, or compares nothing."""
    lpips = [column for column in _columns(runs, protocol) if column.metric == "lpips"]
    return "lpips" if [column.kind for column in lpips] == ["published"] else "ssim"


def remarks(runs: Sequence[Run], protocol: str) -> list[str]:
    """Reasons and notes under the numbers, each once, behind the methods and metrics that they are about."""
    said: dict[str, dict[str, None]] = {}

    def say(text: str | None, what: str) -> None:
        if text:
            said.setdefault(text, {})[what] = None

    for run in runs:
        known = run.result.protocols.get(protocol)
        for name, metric in known.metrics.items() if known else ():
            label = LABELS.get(name, name)
            what = f"{label} of {run.label}" if len(runs) > 1 else label
            say(metric.reason, what)
            say(f"no interval: {metric.interval_reason}" if metric.interval_reason else None, label)
            say(metric.interval_note, label)
            say(metric.note, label)
    return [f"{', '.join(whats)}: {text}" for text, whats in said.items()]


def _columns(runs: Sequence[Run], protocol: str) -> list[Column]:
    order = PROTOCOLS[protocol].metrics if protocol in PROTOCOLS else ()
    found: dict[Column, None] = {}
    for run in runs:
        known = run.result.protocols.get(protocol)
        for name, metric in known.metrics.items() if known else ():
            found[_column(name, metric)] = None
    ranks: dict[str, int] = {name: rank for rank, name in enumerate(order)}
    return sorted(found, key=lambda column: ranks.get(column.metric, len(ranks)))


def _column(name: str, metric: MetricResult) -> Column:
    return Column(name, metric.weights_sha256, metric.weights, metric.backbone)


def _is_of(run: Run, protocol: str, column: Column) -> bool:
    metric = run.result.protocols[protocol].metrics.get(column.metric)
    return metric is not None and _column(column.metric, metric) == column


def _cell(run: Run, protocol: str, column: Column) -> Cell:
    if not _is_of(run, protocol, column):
        return Cell()
    metric = run.result.protocols[protocol].metrics[column.metric]
    below = ""
    if metric.interval:
        below = format_interval(protocol, column.metric, metric.interval)
    return Cell(format_value(protocol, column.metric, metric.value), metric.value, below)
