"""Rules about a submission among others: its file, its seal, its neighbours, and who reproduced it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone

from mcbench.submissions.entry import Entry
from mcbench.submissions.findings import printable
from mcbench.submissions.schema import content_digest
from mcbench.submissions.text import fault_of_name, looks_like

__all__ = ["content_hash", "duplicate", "look_alike", "path", "reproduced", "reproduced_by_author", "same_truth"]

Broken = Iterator[tuple[str, str]]

TOLERANCE = 1e-4
"""Part of a number by which two machines may differ."""


def content_hash(entry: Entry) -> Broken:
    """The seal fits what was sealed. It catches accidents; a liar seals anew."""
    computed = content_digest(entry.document)
    if entry.submission.content_sha256 != computed:
        yield "content_sha256", f"{entry.submission.content_sha256[:12]}; the content's is {computed[:12]}"


def path(entry: Entry) -> Broken:
    """A file lies under its data set's name, and is called after its method."""
    result = entry.submission.result
    place = entry.path.absolute()
    if (place.parent.name, place.name) != (result.dataset.name, f"{result.method.name}.json"):
        wanted = f"{printable(ascii(result.dataset.name)[1:-1], 60)}/{printable(ascii(result.method.name)[1:-1], 60)}"
        yield "", f"it is {printable(f'{place.parent.name}/{place.name}')}; its content says {wanted}.json"


def look_alike(entry: Entry) -> Broken:
    """No two methods of a board have names that a reader takes for one another."""
    name = entry.submission.result.method.name
    for other in entry.others.values():
        theirs = other.result.method.name
        if theirs != name and looks_like(theirs) == looks_like(name):
            yield (
                "result.method.name",
                f"'{printable(ascii(name)[1:-1])}' looks like '{printable(ascii(theirs)[1:-1])}'",
            )


def duplicate(entry: Entry) -> Broken:
    """The same frames are on a board once."""
    digest = entry.submission.result.predictions.digest
    for file, other in entry.others.items():
        if other.result.predictions.digest == digest:
            yield "result.predictions.digest", f"{printable(file, 80)} has the same predictions"


def same_truth(entry: Entry) -> Broken:
    """All rows of a board were measured on the same frames, so that what depends on the truth alone agrees."""
    mine = entry.submission.result
    for file, other in entry.others.items():
        a, b = (result.dataset.fingerprint for result in (mine, other.result))
        if a != b:
            yield "result.dataset.fingerprint", f"{a[:12]}; that of {printable(file, 80)} is {b[:12]}"
            continue
        for id, protocol in mine.protocols.items():
            for name, metric in protocol.metrics.items():
                theirs = other.result.protocols[id].metrics.get(name) if id in other.result.protocols else None
                if theirs is None or theirs.weights_sha256 != metric.weights_sha256:
                    continue
                half, other_half = metric.split_half, theirs.split_half
                if half is None or other_half is None or math.isclose(half, other_half, rel_tol=TOLERANCE):
                    continue
                where = f"result.protocols.{printable(id, 40)}.metrics.{printable(name, 40)}.split_half"
                yield where, f"{half:.6g}; that of {printable(file, 80)} is {other_half:.6g}"


def reproduced(entry: Entry) -> Broken:
    """A record of reproduction is of this very content, and says what the tool writes."""
    for index, record in enumerate(entry.submission.reproduced):
        where = f"reproduced.{index}"
        if record.content_sha256 != entry.submission.content_sha256:
            yield where, f"it is of {record.content_sha256[:12]}, not of {entry.submission.content_sha256[:12]}"
        if not 0 <= record.largest_difference <= TOLERANCE:
            yield f"{where}.largest_difference", f"{record.largest_difference:.3g}; at most {TOLERANCE:g}"
        if why := fault_of_name(record.by):
            yield f"{where}.by", f"{printable(ascii(record.by))}: {why}"
        if not _is_past_day(record.date):
            yield f"{where}.date", f"'{printable(record.date, 40)}' is no past day"


def reproduced_by_author(entry: Entry) -> Broken:
    """A reproduction says more where it is somebody else's."""
    by = [record.by for record in entry.submission.reproduced]
    if by and set(by) <= set(entry.submission.authors):
        yield "reproduced", f"by {printable(', '.join(by))} alone"


def _is_past_day(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return False
    try:
        return date.fromisoformat(text) <= (datetime.now(timezone.utc) + timedelta(days=1)).date()
    except ValueError:
        return False
