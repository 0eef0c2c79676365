"""What a board cannot tell from its best: the tests of the best against each other row, corrected for all of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from mcbench.compare.pairs import CLAIM, compare_scores
from mcbench.compare.scores import Scores, Source, scores_of
from mcbench.errors import ResultError
from mcbench.statistics import holm

__all__ = ["untold"]


def untold(
    sources: Mapping[Any, Source], protocol: str, claims: Sequence[tuple[Hashable, Hashable, str]]
) -> list[bool]:
    """For each claim that one row is better than another: whether it may not be made.

    Holm (1979) over all claims, so that the chance of any false one on a board is at most 1 - `LEVEL`. A board of N
    rows has N - 1 claims a metric, and not the N (N - 1) / 2 of `compare_results`.

    Args:
        sources: the rows' results by key.
        protocol: id of the protocol that the board stands under.
        claims: key of the better row, key of the other, metric.

    Returns:
        True where the corrected test fails to tell the two apart, or where there is no test: too few videos, no scores
        without each video, different clips. False for rows that are not among the sources.
    """
    scores: dict[Hashable, Scores | None] = {}
    p_values: list[float | None] = []
    for best, other, metric in claims:
        for key in (best, other):
            if key in sources and key not in scores:
                scores[key] = _scores(sources[key], protocol)
        p_values.append(_p_value(scores.get(best), scores.get(other), protocol, metric))
    return [
        best in sources and other in sources and (p is None or p > CLAIM)
        for (best, other, _), p in zip(claims, holm(p_values), strict=True)
    ]


def _scores(source: Source, protocol: str) -> Scores | None:
    try:
        return scores_of(source, [protocol])[protocol]
    except ResultError:  # its totals do not follow from its clips: nothing follows from them either
        return None


def _p_value(best: Scores | None, other: Scores | None, protocol: str, metric: str) -> float | None:
    if best is None or other is None:
        return None
    try:
        return compare_scores("the best", "another", protocol, metric, best, other).p_value
    except ResultError:  # measured on different clips
        return None
