"""The site's pages, rendered from boards; all of them plain HTML in which every text is escaped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcbench import __version__
from mcbench.leaderboard.wording import format_interval
from mcbench.protocol import HIGHER_IS_BETTER, LABELS, PROTOCOLS, heading
from mcbench.site.bars import Scale, scale_of
from mcbench.site.boards import Board, Row, boards_of
from mcbench.site.downloads import board_to_csv, board_to_json
from mcbench.site.entries import BADGES, Entry
from mcbench.site.publish import site_folder
from mcbench.site.records import lines_of, records_of
from mcbench.site.slugs import slug_of
from mcbench.site.wording import MEANINGS, RANDOM_WEIGHTS, cut, host_of, safe_link
from mcbench.web import SHARED_FILES, SHARED_FOLDER, environment

__all__ = ["write_site"]

_HERE = Path(__file__).resolve().parent
_OWN_FILES = ("site.css", "site.js")
_LINKS_ON_A_BOARD = 3
_LONGEST_NAME, _LONGEST_NOTE = 60, 300
"""Characters of a name and of a note on a board; the downloads have all of both."""


def write_site(entries: Iterable[Entry], out: Path) -> list[Board]:
    """Write the leaderboard as static pages: `index.html`, `boards/`, `methods/`, `assets/`.

    Args:
        entries: everything that was measured; the boards are made of them.
        out: a new or empty folder, or one with an earlier site, which is replaced whole.

    Returns:
        The boards that were written.

    Raises:
        UsageError: if the folder holds anything else.
        ResultError: if it cannot be written.
    """
    known = list(entries)
    boards = boards_of(known)
    with site_folder(out) as folder:
        for name in ("assets", "boards", "methods"):
            (folder / name).mkdir()
        for source, names in ((SHARED_FOLDER, SHARED_FILES), (_HERE / "assets", _OWN_FILES)):
            for name in names:
                (folder / "assets" / name).write_bytes((source / name).read_bytes())
        for path, text in _Pages(boards, known).files():
            # Only a submitted file can hold half a surrogate pair, which has no bytes; pages show its code.
            (folder / path).write_bytes(text.encode("utf-8", "replace"))
    return boards


class _Pages:
    def __init__(self, boards: Sequence[Board], entries: Iterable[Entry]) -> None:
        self._environment = environment(_HERE / "templates")
        self._environment.filters |= {"cut": cut, "safe_link": safe_link, "host": host_of}
        self._environment.globals |= {"generator": f"mcbench {__version__}"}
        self._boards = {slug_of(board.name, board.protocol, board.weights): board for board in boards}
        self._methods: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            self._methods[slug_of(entry.method)].append(entry)
        self._pages = {entries[0].method: slug for slug, entries in self._methods.items()}

    def files(self) -> Iterator[tuple[str, str]]:
        """Every file: its path from the site's top, and its text."""
        template = self._environment.get_template("index.html")
        yield "index.html", template.render(root="assets/", boards=self._overview(), protocols=PROTOCOLS, badges=BADGES)
        template = self._environment.get_template("board.html")
        for slug, board in self._boards.items():
            yield f"boards/{slug}.html", template.render(self._board_page(slug, board))
            yield f"boards/{slug}.csv", board_to_csv(board)
            yield f"boards/{slug}.json", board_to_json(board)
        template = self._environment.get_template("method.html")
        for slug, entries in self._methods.items():
            yield f"methods/{slug}.html", template.render(self._method_page(slug, entries))
            for index, entry in enumerate(entries):
                if entry.document is not None:
                    yield f"methods/{_document_name(slug, index)}", entry.document

    def _overview(self) -> list[dict[str, Any]]:
        cards = []
        for slug, board in self._boards.items():
            first = [
                (metric, next((row for row in board.rows if row.marks.get(metric) == "best"), None))
                for metric in board.metrics
            ]
            noted = {row.entry.name: row.entry.note for _, row in first if row is not None and row.entry.note}
            cards.append(
                {
                    "slug": slug,
                    "name": _name(board.name),
                    "title": _title(board),
                    "dataset": _name(board.dataset) if board.dataset != board.name else "",
                    "summary": PROTOCOLS[board.protocol].summary,
                    "count": len(board.rows),
                    "leaders": [
                        (LABELS[metric], row.scores[metric].text, _name(row.entry.name))
                        for metric, row in first
                        if row is not None
                    ],
                    "unverified": _unverified(board),
                    "notes": [(_name(name), cut(note, _LONGEST_NOTE)) for name, note in noted.items()],
                }
            )
        return cards

    def _board_page(self, slug: str, board: Board) -> dict[str, Any]:
        scales = {
            metric: scale_of(row.scores[metric] for row in board.rows if metric in row.scores)
            for metric in board.metrics
        }
        return {
            "root": "../assets/",
            "slug": slug,
            "title": _title(board),
            "name": _name(board.name),
            "dataset": _name(board.dataset) if board.dataset != board.name else "",
            "summary": PROTOCOLS[board.protocol].summary,
            "unverified": _unverified(board),
            "headline": LABELS[board.headline] if board.headline else "",
            "siblings": [
                (other_slug, _title(other)) for other_slug, other in self._boards.items() if other.name == board.name
            ],
            "kinds": [kind for kind in BADGES if any(row.entry.badge == kind for row in board.rows)],
            "columns": [_column(metric, board, scales[metric]) for metric in board.metrics],
            "rows": [self._row(row, board, scales) for row in board.rows],
            "tied": any(row.tied for row in board.rows),
            "notes": [cut(note) for note in board.notes],
            "fingerprint": board.fingerprint or "",
        }

    def _row(self, row: Row, board: Board, scales: Mapping[str, Scale]) -> dict[str, Any]:
        entry = row.entry
        return {
            "name": _name(entry.name),
            "page": self._pages[entry.method],
            "note": cut(entry.note, _LONGEST_NOTE) if entry.note else "",
            "badge": entry.badge,
            "starred": entry.starred,
            "other_copy": row.other_copy,
            "links": entry.links[:_LINKS_ON_A_BOARD],
            "cells": [_cell(row, board.protocol, metric, scales[metric]) for metric in board.metrics],
        }

    def _method_page(self, slug: str, entries: Sequence[Entry]) -> dict[str, Any]:
        return {
            "root": "../assets/",
            "name": _name(entries[0].method),
            "entries": [
                {
                    "name": _name(entry.name),
                    "board": _name(entry.board),
                    "badge": entry.badge,
                    "meaning": BADGES[entry.badge],
                    "note": cut(entry.note) if entry.note else "",
                    "starred": entry.starred,
                    "source": cut(entry.source) if entry.source else "",
                    "authors": ", ".join(cut(author, 200) for author in entry.authors),
                    "links": entry.links,
                    "document": _document_name(slug, index) if entry.document is not None else "",
                    "tables": [self._table(entry, protocol) for protocol in entry.scores if protocol in PROTOCOLS],
                    "records": records_of(entry),
                }
                for index, entry in enumerate(entries)
            ],
        }

    def _table(self, entry: Entry, protocol: str) -> dict[str, Any]:
        weights = entry.weights.get(protocol, "custom")
        slug = slug_of(entry.board, protocol, weights)
        return {
            "title": f"{protocol} · {weights} weights",
            "board": slug if slug in self._boards else "",
            "lines": lines_of(entry, protocol),
        }


def _name(text: str) -> str:
    """A name that can be read and followed, whatever was given as one."""
    return cut(text, _LONGEST_NAME).strip() or "(no name)"


def _title(board: Board) -> str:
    return board.protocol if board.weights == "published" else f"{board.protocol} · {board.weights}"


def _unverified(board: Board) -> str:
    """What must be known of numbers under other weights than the published ones; empty under those."""
    return RANDOM_WEIGHTS if board.weights != "published" else ""


def _document_name(slug: str, index: int) -> str:
    return f"{slug}.{index + 1}.json"


def _column(metric: str, board: Board, scale: Scale) -> dict[str, Any]:
    higher = metric in HIGHER_IS_BETTER
    order = "descending" if higher else "ascending"
    bars = "; the bars' scale is logarithmic" if scale.logarithmic else ""
    return {
        "heading": heading(metric),
        "higher": higher,
        "title": f"{MEANINGS[metric]}{bars}",
        "sorted": order if metric == board.headline else "",
    }


@dataclass(frozen=True)
class _Cell:
    value: str
    text: str
    mark: str = ""
    tied: bool = False
    interval: str = ""
    path: str = ""
    odd: str = ""


def _cell(row: Row, protocol: str, metric: str, scale: Scale) -> _Cell:
    score = row.scores.get(metric)
    if score is None:
        return _Cell("", "-")
    odd = cut(score.remark, _LONGEST_NOTE) if score.remark and (score.value is None or not score.comparable) else ""
    return _Cell(
        # What is in another unit than its column sorts last, as what is not there.
        value=f"{score.value:.9g}" if score.value is not None and score.comparable else "",
        text=score.text,
        mark=row.marks.get(metric, ""),
        tied=metric in row.tied,
        interval=format_interval(protocol, metric, score.interval) if score.interval else "",
        path=scale.path(score) if score.comparable else "",
        odd=odd,
    )
