"""Rules about standard errors and intervals: they follow from the clips, and from the values without one clip."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mcbench.protocol import Protocol
from mcbench.results import ClipScores, MetricResult
from mcbench.statistics import FEATURE_VIDEOS, mean_over_videos, pooled_mean
from mcbench.submissions.entry import FEATURES, PAIRWISE, Entry
from mcbench.submissions.findings import printable
from mcbench.submissions.schema import LeftOut

__all__ = ["left_out", "spread"]

Broken = Iterator[tuple[str, str]]

ROUNDING = 1e-7
"""Part of a value by which rounding may move its standard error, which is a difference of such values."""
JACKKNIFE_ROUNDING = 1e-3
"""The same, as a part of the standard error, for a Fréchet distance: its values without one video are computed by
another route than the distance itself, to 1e-8 of the traces."""

Spread = tuple[float | None, tuple[float, float] | None]


def spread(entry: Entry) -> Broken:
    """A pairwise metric's standard error and interval follow from the means of its clips."""
    for protocol, stated in entry.protocols:
        for name in PAIRWISE:
            metric = stated.metrics[name]
            counted = [scores for scores in stated.clips.values() if scores.frames]
            expected = _pairwise(name, protocol, counted)
            value = metric.value or 0.0
            yield from _compare(
                f"result.protocols.{protocol.id}.metrics.{name}", metric, expected, ROUNDING * abs(value)
            )


def left_out(entry: Entry) -> Broken:
    """A feature metric has a value without each clip, and its standard error and interval follow from those."""
    for protocol, stated in entry.protocols:
        given = entry.submission.left_out.get(protocol.id, {})
        features = [name for name in protocol.metrics if name in FEATURES]
        if set(given) != set(features):
            odd = ", ".join(sorted(set(given) ^ set(features)))
            yield f"left_out.{protocol.id}", f"missing, or no feature metric of this protocol: {printable(odd)}"
            continue
        for name in features:
            where = f"left_out.{protocol.id}.{name}"
            yield from _feature(where, name, stated.metrics[name], given[name], entry.vectors(name, protocol))


def _pairwise(name: str, protocol: Protocol, counted: list[ClipScores]) -> Spread:
    means = [getattr(scores, name) for scores in counted]
    if protocol.pool == "videos":
        estimate = mean_over_videos(means)
    else:
        frames = [scores.frames for scores in counted]
        estimate = pooled_mean([mean * count for mean, count in zip(means, frames, strict=True)], frames)
    return estimate.std_error, estimate.interval


def _feature(where: str, name: str, metric: MetricResult, given: LeftOut, vectors: dict[str, int]) -> Broken:
    is_kernel = name in ("kid", "kvd")
    smallest = sum(vectors.values()) - max(vectors.values(), default=0)
    computable = len(vectors) >= 3 if is_kernel else smallest >= 2
    if given.values is None:
        if computable:
            yield where, f"no values, although {len(vectors)} videos have features"
        elif metric.std_error is not None or metric.interval is not None:
            yield where, "no values, but a standard error or an interval"
        return
    if set(given.values) != set(vectors):
        odd = ", ".join(sorted(set(given.values) ^ set(vectors)))
        yield where, f"not the clips that have features: {printable(odd)}"
        return
    values = list(given.values.values())
    largest = max(map(abs, [*values, metric.value or 0.0]))
    if is_kernel and metric.value is not None:
        # A mean over pairs of videos is the mean of the same means without one video each.
        mean = math.fsum(values) / len(values)
        if abs(mean - metric.value) > ROUNDING * largest:
            yield where, f"their mean is {mean:.9g}, and not the value {metric.value:.9g}"
    if not is_kernel and metric.value == 0 and any(values):
        yield where, "the distance is 0, and not without each clip"
    expected: Spread = (None, None)
    if len(values) >= FEATURE_VIDEOS and metric.value is not None:
        # The jackknife's standard error is (V - 1) times that of the mean of the values.
        estimate = mean_over_videos(values)
        assert estimate.std_error is not None
        assert estimate.interval is not None
        assert estimate.value is not None
        reach = (len(values) - 1) * (estimate.interval[1] - estimate.value)
        expected = (len(values) - 1) * estimate.std_error, (metric.value - reach, metric.value + reach)
    slack = ROUNDING * largest + (0.0 if is_kernel else JACKKNIFE_ROUNDING * (expected[0] or 0.0))
    yield from _compare(where, metric, expected, slack)


def _compare(where: str, metric: MetricResult, expected: Spread, slack: float) -> Broken:
    std_error, interval = expected
    if (metric.std_error is None, metric.interval is None) != (std_error is None, interval is None):
        said = "a standard error or interval where there is none" if std_error is None else "none where there is one"
        yield where, said
        return
    if std_error is None or interval is None or metric.std_error is None or metric.interval is None:
        if not metric.interval_reason:
            yield where, "no interval, and no reason for that"
        return
    if abs(metric.std_error - std_error) > slack:
        yield where, f"standard error {metric.std_error:.6g}; it follows to be {std_error:.6g}"
    # Student's t of few videos is at most 4.4 for three of them.
    if any(abs(a - b) > 5 * slack for a, b in zip(metric.interval, interval, strict=True)):
        shown = f"{metric.interval[0]:.6g} to {metric.interval[1]:.6g}"
        yield where, f"interval {shown}; it follows to be {interval[0]:.6g} to {interval[1]:.6g}"
