"""Entries out of what the leaderboard holds: the paper's tables and the submissions."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mcbench.leaderboard import source_of
from mcbench.leaderboard.frame import paper_records, result_records
from mcbench.leaderboard.paper import PaperTable, read_paper_tables
from mcbench.leaderboard.wording import format_value
from mcbench.protocol import LABELS
from mcbench.resources import data_folder
from mcbench.results import Result
from mcbench.site.entries import Entry, Score
from mcbench.submissions import Submission, badge_of, load_submission

__all__ = ["collect", "entries_of_paper", "entry_of_submission"]

_ORIGINS = {
    "own": "the authors' own method",
    "rerun": "measured again by the authors",
    "quoted": "quoted by the authors from elsewhere",
    "unsaid": "the paper does not say who measured it",
}


def collect(folder: Path | None = None) -> list[Entry]:
    """Everything that is on the leaderboard: the paper's rows, then every submission by data set and file name.

    Args:
        folder: of the submissions, `<dataset>/<method>.json`; those that ship with mcbench by default.

    Raises:
        ResultError: if a file is damaged.
    """
    folder = data_folder("leaderboard") / "submissions" if folder is None else folder
    entries = [entry for table in read_paper_tables() for entry in entries_of_paper(table)]
    for path in sorted(folder.glob("*/*.json")):
        submission = load_submission(path)
        entries.append(entry_of_submission(submission, path.read_text(encoding="utf-8")))
    return entries


def entries_of_paper(table: PaperTable) -> list[Entry]:
    """One entry for each row of a table of the paper."""
    records = defaultdict(list)
    for record in paper_records(table):
        records[record["name"]].append(record)
    return [
        Entry(
            method=row.method,
            name=row.name,
            board=table.name,
            dataset=table.dataset,
            badge="paper",
            scores=_scores(records[row.name], None),
            weights={table.protocol: "published"},
            starred=row.starred,
            note=row.note,
            source=f"Table {table.number} of the paper; {_ORIGINS[row.origin]}",
            table_notes=table.notes,
            facts=(
                ("paper", table.paper),
                ("table", f"{table.number}: {table.title}"),
                ("split", table.split),
                *([("citation", row.citation)] if row.citation else []),
                ("origin", row.origin_reason),
            ),
        )
        for row in table.rows
    ]


def entry_of_submission(submission: Submission, document: str) -> Entry:
    """The entry of a submission.

    Args:
        submission: what was submitted.
        document: its file as it is, which the site hands on.
    """
    result = submission.result
    badge = badge_of(submission)
    sha256 = hashlib.sha256(document.encode("utf-8", "surrogatepass")).hexdigest()
    records = result_records(result, source="submission", claim=badge, sha256=sha256)
    star = "*" if result.method.needs_truth else ""
    return Entry(
        method=result.method.name,
        name=f"{result.method.name}{star}",
        board=result.dataset.name,
        dataset=result.dataset.name,
        badge=badge,
        scores=_scores(records, result),
        weights={record["protocol"]: record["weights_set"] for record in records},
        starred=result.method.needs_truth,
        note=result.method.note,
        source=f"submitted as {submission.schema_}",
        sha256=sha256,
        authors=submission.authors,
        links=submission.links,
        facts=tuple(_facts(submission)),
        result=result,
        document=document,
        tested=source_of(submission),
    )


def _facts(submission: Submission) -> Iterator[tuple[str, str]]:
    if submission.license is not None:
        yield "licence of its weights", submission.license
    for protocol, claims in submission.claims.items():
        for metric, value in claims.items():
            stated = format_value(protocol, metric, value)
            yield f"{LABELS.get(metric, metric)} that its publication prints, as of {protocol}", stated
    for record in submission.reproduced:
        if record.content_sha256 == submission.content_sha256:
            largest = f"to {record.largest_difference:.1e} of each number"
            yield "reproduced", f"by {record.by} on {record.date}, mcbench {record.mcbench}, {record.device}, {largest}"


def _scores(records: Iterable[dict[str, Any]], result: Result | None) -> dict[str, dict[str, Score]]:
    scores: dict[str, dict[str, Score]] = defaultdict(dict)
    for record in records:
        protocol, metric = record["protocol"], record["metric"]
        interval = None if record["low"] is None else (record["low"], record["high"])
        detail = result.protocols[protocol].metrics[metric] if result else None
        scores[protocol][metric] = Score(
            record["value"], record["text"], interval, record["remark"], record["comparable"], detail
        )
    return dict(scores)
