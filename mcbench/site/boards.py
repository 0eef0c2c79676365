"""Boards: the entries of one data set under one protocol and one set of weights, best and second best marked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mcbench.datasets.synthetic import synthetic_names
from mcbench.leaderboard import rank, tests_between
from mcbench.protocol import HIGHER_IS_BETTER, PROTOCOLS
from mcbench.site.entries import Entry, Score

__all__ = ["Board", "Row", "boards_of"]

_HEADLINES = ("fvd", "fid_vid", "fid", "lpips")
"""A board opens sorted by the first of these that it has: FVD is what the field leads with."""


@dataclass(frozen=True)
class Row:
    """One entry on a board.

    Attributes:
        entry: whose numbers they are.
        scores: by metric; a metric that it lacks is not there.
        marks: `best` or `second` by metric, where it is that.
        tied: metrics in which it is not the best and a paired test over the videos cannot tell it from the best.
        other_copy: whether it was measured on other frames than most of the board: another copy of the data set.
    """

    entry: Entry
    scores: Mapping[str, Score]
    marks: Mapping[str, str]
    tied: frozenset[str]
    other_copy: bool

    @property
    def competes(self) -> bool:
        """Whether it can have a place: starred methods saw the truth, and other frames are other data."""
        return not (self.entry.starred or self.other_copy)


@dataclass(frozen=True)
class Board:
    """One data set, one protocol, one set of weights; numbers of two boards never share a column.

    Attributes:
        name: of the data set, or of a table of the paper that stands apart.
        dataset: that it stands on.
        protocol: its id.
        weights: `published` or `random@1`.
        metrics: those that some row has, in the protocol's order.
        headline: the metric by which the rows are sorted, best first; rows without it come last.
        rows: in that order.
        notes: what must be read before its numbers.
        fingerprint: of the data set's frames, as most rows have it; None where none is known.
    """

    name: str
    dataset: str
    protocol: str
    weights: str
    metrics: tuple[str, ...]
    headline: str | None
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    fingerprint: str | None


def boards_of(entries: Iterable[Entry]) -> list[Board]:
    """All boards of some entries: in the order in which their names come, then the protocols' own, then by weights.

    Entries under `custom` weights stand on no board, and those under `random@1` on those of drawn data alone, where
    everybody has the same frames and weights.
    """
    grouped: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    places: dict[str, int] = {}
    for entry in entries:
        places.setdefault(entry.board, len(places))
        for protocol, weights in entry.weights.items():
            drawn = entry.dataset in synthetic_names()
            if protocol in PROTOCOLS and (weights == "published" or (weights == "random@1" and drawn)):
                grouped[entry.board, protocol, weights].append(entry)
    order = {id: index for index, id in enumerate(PROTOCOLS)}
    keys = sorted(grouped, key=lambda key: (places[key[0]], order[key[1]], key[2]))
    return [_board(*key, grouped[key]) for key in keys]


def _board(name: str, protocol: str, weights: str, entries: Sequence[Entry]) -> Board:
    counts = Counter(entry.result.dataset.fingerprint for entry in entries if entry.result is not None)
    fingerprint = min(counts, key=lambda one: (-counts[one], one)) if counts else None
    others = [entry.result is not None and entry.result.dataset.fingerprint != fingerprint for entry in entries]
    marks, tied = _marks(protocol, entries, others)
    present = {metric for entry in entries for metric in entry.scores.get(protocol, {})}
    metrics = tuple(metric for metric in PROTOCOLS[protocol].metrics if metric in present)
    headline = next((metric for metric in _HEADLINES if metric in metrics), None)
    rows = [
        Row(entry, entry.scores.get(protocol, {}), marks[index], frozenset(tied[index]), others[index])
        for index, entry in enumerate(entries)
    ]
    return Board(
        name=name,
        dataset=entries[0].dataset,
        protocol=protocol,
        weights=weights,
        metrics=metrics,
        headline=headline,
        rows=tuple(sorted(rows, key=lambda row: _order(row, headline))),
        notes=tuple(dict.fromkeys(note for entry in entries for note in entry.table_notes)),
        fingerprint=fingerprint,
    )


def _marks(
    protocol: str, entries: Sequence[Entry], others: Sequence[bool]
) -> tuple[list[dict[str, str]], list[set[str]]]:
    """For each entry its marks by metric, and the metrics in which it cannot be told from the best."""
    records: list[dict[str, Any]] = [
        {
            "row": index,
            "board": "",
            "protocol": protocol,
            "metric": metric,
            "weights": "",
            "value": score.value,
            "starred": entry.starred or others[index],
            "comparable": score.comparable,
            "sha256": entry.sha256,
        }
        for index, entry in enumerate(entries)
        for metric, score in entry.scores.get(protocol, {}).items()
    ]
    marks: list[dict[str, str]] = [{} for _ in entries]
    tied: list[set[str]] = [set() for _ in entries]
    if records:
        kinds = {"value": "float64", "starred": "bool", "comparable": "bool", "weights": "string"}
        sources = {entry.sha256: entry.tested for entry in entries if entry.sha256 and entry.tested}
        ranked = rank(pd.DataFrame.from_records(records).astype(kinds), tests_between(sources))
        marked = ranked[ranked["mark"] != ""]
        for index, metric, mark in zip(marked["row"], marked["metric"], marked["mark"], strict=True):
            marks[int(index)][str(metric)] = str(mark)
        equal = ranked[ranked["tied"]]
        for index, metric in zip(equal["row"], equal["metric"], strict=True):
            tied[int(index)].add(str(metric))
    return marks, tied


def _order(row: Row, metric: str | None) -> tuple[bool, float, str]:
    value = row.scores[metric].value if metric is not None and metric in row.scores else None
    if value is None:
        return True, 0.0, row.entry.name
    return False, -value if metric in HIGHER_IS_BETTER else value, row.entry.name
