"""A board as a file for spreadsheets and for programs."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from mcbench.leaderboard.escaping import csv_text
from mcbench.site.boards import Board, Row
from mcbench.site.entries import Score

__all__ = ["BOARD_SCHEMA", "board_document", "board_to_csv", "board_to_json"]

BOARD_SCHEMA = "mcbench.board/1"


def board_document(board: Board) -> dict[str, Any]:
    """The board as JSON holds it: `schema`, `board`, `dataset`, `protocol`, `weights`, `fingerprint`,
    `notes`, `metrics`, `rows`.

    A row has `method`, `name`, `badge`, `starred`, `competes`, `note`, `source`, `sha256`, `authors`, `links` and
    `metrics`: by name `value`, `text`, `interval` (95%, or null), `mark` (`best`, `second` or null), `tied` (whether a
    paired test cannot tell it from the best) and `remark`.
    """
    return {
        "schema": BOARD_SCHEMA,
        "board": board.name,
        "dataset": board.dataset,
        "protocol": board.protocol,
        "weights": board.weights,
        "fingerprint": board.fingerprint,
        "notes": list(board.notes),
        "metrics": list(board.metrics),
        "rows": [_row_document(row, board) for row in board.rows],
    }


def _row_document(row: Row, board: Board) -> dict[str, Any]:
    entry = row.entry
    return {
        "method": entry.method,
        "name": entry.name,
        "badge": entry.badge,
        "starred": entry.starred,
        "competes": row.competes,
        "note": entry.note,
        "source": entry.source,
        "sha256": entry.sha256,
        "authors": list(entry.authors),
        "links": list(entry.links),
        "metrics": {
            name: {
                "value": score.value,
                "text": score.text,
                "interval": list(score.interval) if score.interval else None,
                "mark": row.marks.get(name),
                "tied": name in row.tied,
                "remark": score.remark,
            }
            for name, score in row.scores.items()
            if name in board.metrics
        },
    }


def board_to_json(board: Board) -> str:
    """One document; characters beyond ASCII are escaped, so that it is the same in every encoding."""
    return json.dumps(board_document(board), allow_nan=False) + "\n"


def board_to_csv(board: Board) -> str:
    """One line a row: `method,name,badge,starred,note`, then for each metric its value, low and high; RFC 4180.

    A text that a spreadsheet would run as a formula begins with an apostrophe instead.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    head = [part for name in board.metrics for part in (name, f"{name}_low", f"{name}_high")]
    writer.writerow(["method", "name", "badge", "starred", "note", *head])
    for row in board.rows:
        entry = row.entry
        texts = [csv_text(entry.method), csv_text(entry.name), entry.badge, "yes" if entry.starred else "no"]
        numbers = [number for name in board.metrics for number in _numbers(row.scores.get(name))]
        writer.writerow([*texts, csv_text(entry.note or ""), *("" if item is None else repr(item) for item in numbers)])
    return stream.getvalue()


def _numbers(score: Score | None) -> tuple[float | None, float | None, float | None]:
    if score is None:
        return None, None, None
    low, high = score.interval or (None, None)
    return score.value, low, high
