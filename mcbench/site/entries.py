"""What stands on a board before it is ranked: an entry for each row of the paper and each submission."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mcbench.compare import Source
from mcbench.results import MetricResult, Result

__all__ = ["BADGES", "Badge", "Entry", "Score"]

Badge = Literal["reproduced", "claimed", "paper"]

BADGES: Mapping[Badge, str] = {
    "reproduced": "measured again from its frames by others than its authors",
    "claimed": "submitted and its file checked; its frames were measured by its authors alone",
    "paper": "printed in the paper: no frames and no intervals are known",
}
"""What each badge says of a number, the surest first."""


@dataclass(frozen=True)
class Score:
    """One metric of one entry.

    Attributes:
        value: the number in the unit of its protocol; None where there is none.
        text: the number as it is shown.
        interval: its 95% interval, low and high.
        remark: what must be read before this number: why it is missing or odd.
        comparable: False for a number in another unit than its column's, which has no place.
        detail: the whole measurement, where there is one.
    """

    value: float | None
    text: str
    interval: tuple[float, float] | None = None
    remark: str | None = None
    comparable: bool = True
    detail: MetricResult | None = None


@dataclass(frozen=True)
class Entry:
    """What one source says of one method. Any text may be hostile.

    Attributes:
        method: the method's id; entries that share it share a page.
        name: as it is shown, star included.
        board: the name of the data set, or of a table of the paper that stands apart.
        dataset: the name of the data set.
        badge: how sure its numbers are.
        scores: by protocol, then metric.
        weights: by protocol: `published`, `random@1` or `custom`, of all its networks together.
        starred: whether the method was shown the truth: listed, without a place.
        note: what must be read before the method's numbers.
        source: where its numbers come from, in words.
        sha256: of the file that they stand in.
        table_notes: what must be read before any number of the printed table that it stands in.
        authors: who submitted it.
        links: what its authors point to; anything but http and https is shown as text.
        facts: further facts by label, such as the licence.
        result: the measurement, where there is one.
        document: the submitted file as it is, to be handed on.
        tested: its scores video by video, by which paired tests tell it from others; None where they are not known.
    """

    method: str
    name: str
    board: str
    dataset: str
    badge: Badge
    scores: Mapping[str, Mapping[str, Score]]
    weights: Mapping[str, str]
    starred: bool = False
    note: str | None = None
    source: str | None = None
    sha256: str | None = None
    table_notes: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    result: Result | None = None
    document: str | None = None
    tested: Source | None = None
