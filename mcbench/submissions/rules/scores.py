"""Rules about values: complete, counted right, within range, and the means of their clips."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mcbench.protocol import DISCO_LEGACY, MCBENCH, PROTOCOLS, Protocol
from mcbench.results import ClipScores, MetricResult
from mcbench.submissions.entry import FEATURES, PAIRWISE, Entry
from mcbench.submissions.findings import printable

__all__ = ["across_protocols", "averages", "counts", "in_range", "missing_value", "protocols"]

Broken = Iterator[tuple[str, str]]

GREY_LEVELS = 255.0
PSNR_CAP = 100.0
"""Decibels of identical frames, under both protocols."""
LPIPS_BOUND = 8.1
"""Activations are not negative and of unit length, so that two differ by at most 2; times the largest weight of each
layer's v0.1 head, summed over the layers, that is 6.62 for vgg16 and 8.05 for alexnet."""
DISTANCE_BOUND = 1e12
"""Drawn weights give distances of 1e6 between unlike videos; a number beyond this one is in no unit of ours."""
SHARED = ("fid",)
"""Frames have no stride, so FID is one number under all protocols."""
ROUNDING = 1e-9
"""Part of a mean by which the order of a sum may move it."""


def protocols(entry: Entry) -> Broken:
    """Each protocol has all its metrics, no other one's, and the scores of every clip."""
    stated = entry.submission.result.protocols
    if not stated:
        yield "result.protocols", "there is none"
    names = [clip.name for clip in entry.submission.clips]
    for id, protocol in stated.items():
        if id not in PROTOCOLS:
            yield "result.protocols", f"no protocol is called '{printable(id, 40)}'; there are {', '.join(PROTOCOLS)}"
            continue
        if set(protocol.metrics) != set(PROTOCOLS[id].metrics):
            odd = sorted(set(protocol.metrics) ^ set(PROTOCOLS[id].metrics))
            yield f"result.protocols.{id}.metrics", f"missing, or not of this protocol: {printable(', '.join(odd))}"
        if set(protocol.clips) != set(names):
            odd = sorted(set(protocol.clips) ^ set(names))
            yield f"result.protocols.{id}.clips", f"not those of the records: {printable(', '.join(odd))}"
    for id in entry.submission.left_out:
        if id not in stated:
            yield "left_out", f"the result has no protocol '{printable(id, 40)}'"


def counts(entry: Entry) -> Broken:
    """Videos, frames and windows behind each number follow from the clips."""
    for protocol, stated in entry.protocols:
        frames = entry.pair_frames(protocol)
        for name, scores in stated.clips.items():
            if name in frames and scores.frames != frames[name]:
                where = f"result.protocols.{protocol.id}.clips.{printable(name, 60)}.frames"
                yield where, f"{scores.frames}; there are {frames[name]} that count"
            if any((getattr(scores, score) is None) != (scores.frames == 0) for score in PAIRWISE):
                where = f"result.protocols.{protocol.id}.clips.{printable(name, 60)}"
                yield where, f"a score is there without frames, or not there although {scores.frames} frames count"
        for name, metric in stated.metrics.items():
            expected = _expected_counts(name, protocol, entry)
            seen = {"videos": metric.videos, "frames": metric.frames, "windows": metric.windows}
            if expected is not None and seen != expected:
                wrong = next(key for key in seen if seen[key] != expected[key])
                where = f"result.protocols.{protocol.id}.metrics.{name}.{wrong}"
                yield where, f"{seen[wrong]}; it follows from the clips to be {expected[wrong]}"


def missing_value(entry: Entry) -> Broken:
    """A board has a number in each of its places."""
    for protocol, stated in entry.protocols:
        for name, metric in stated.metrics.items():
            if metric.value is None:
                where = f"result.protocols.{protocol.id}.metrics.{printable(name, 40)}"
                yield where, f"no value: {printable(metric.reason)}"


def in_range(entry: Entry) -> Broken:
    """Every number lies where its unit allows, and within its own interval."""
    for protocol, stated in entry.protocols:
        for name in PAIRWISE:
            for clip, scores in stated.clips.items():
                value = getattr(scores, name)
                if value is not None and not _fits(value, _range(name, protocol)):
                    where = f"result.protocols.{protocol.id}.clips.{printable(clip, 60)}.{name}"
                    yield where, f"{value:.6g}; {_told(_range(name, protocol))}"
        for name, metric in stated.metrics.items():
            if name in PROTOCOLS[protocol.id].metrics:
                where = f"result.protocols.{protocol.id}.metrics.{name}"
                yield from ((where, evidence) for evidence in _metric_faults(metric, _range(name, protocol)))
    for id, metrics in entry.submission.left_out.items():
        for name, left in metrics.items():
            low = 0.0 if name.startswith("f") else -DISTANCE_BOUND
            for clip, value in (left.values or {}).items():
                if not _fits(value, (low, DISTANCE_BOUND)):
                    where = f"left_out.{printable(id, 40)}.{printable(name, 40)}.{printable(clip, 60)}"
                    yield where, f"{value:.6g}; {_told((low, DISTANCE_BOUND))}"


def averages(entry: Entry) -> Broken:
    """Pairwise metrics are the means of their clips: over frames in one protocol, over videos in the other."""
    for protocol, stated in entry.protocols:
        for name in PAIRWISE:
            counted = [scores for scores in stated.clips.values() if scores.frames]
            value, mean = stated.metrics[name].value, _mean(name, protocol, counted)
            if value is not None and mean is not None and not math.isclose(value, mean, rel_tol=ROUNDING):
                where = f"result.protocols.{protocol.id}.metrics.{name}.value"
                yield where, f"{value:.9g}; the mean over the {protocol.pool} is {mean:.9g}"


def across_protocols(entry: Entry) -> Broken:
    """What two protocols measure alike agrees: FID, and the mean absolute error of each clip."""
    stated = entry.submission.result.protocols
    if not {DISCO_LEGACY.id, MCBENCH.id} <= set(stated):
        return
    legacy, own = stated[DISCO_LEGACY.id], stated[MCBENCH.id]
    for name in SHARED:
        left = [entry.submission.left_out.get(id, {}).get(name) for id in (DISCO_LEGACY.id, MCBENCH.id)]
        if legacy.metrics[name] != own.metrics[name] or left[0] != left[1]:
            yield f"result.protocols.{MCBENCH.id}.metrics.{name}", f"not that of {DISCO_LEGACY.id}"
    for name, scores in own.clips.items():
        other = legacy.clips[name]
        if scores.l1 is None or other.l1 is None:
            continue
        # One protocol has the reference frame too, whose error lies between 0 and 1.
        whole = other.frames * other.l1 * DISCO_LEGACY.size**2 / GREY_LEVELS
        rest = whole - scores.frames * scores.l1
        slack = ROUNDING * max(1.0, whole)
        if not -slack <= rest <= other.frames - scores.frames + slack:
            where = f"result.protocols.{MCBENCH.id}.clips.{printable(name, 60)}.l1"
            yield where, f"{scores.l1:.6g}; {DISCO_LEGACY.id} has {other.l1:.6g} for the same frames"


def _expected_counts(name: str, protocol: Protocol, entry: Entry) -> dict[str, int | None] | None:
    if name in PAIRWISE:
        frames = [count for count in entry.pair_frames(protocol).values() if count > 0]
        return {"videos": len(frames), "frames": sum(frames), "windows": None}
    if name not in FEATURES:
        return None
    vectors = entry.vectors(name, protocol)
    total = sum(vectors.values())
    is_window = FEATURES[name][0] != "inception"
    return {"videos": len(vectors), "frames": None if is_window else total, "windows": total if is_window else None}


def _range(name: str, protocol: Protocol) -> tuple[float, float]:
    if name == "l1":
        return 0.0, 1.0 if protocol.l1 == "unit" else GREY_LEVELS / protocol.size**2
    if name == "psnr":
        # Squares modulo 256 have a mean of at most 255.
        return (0.0 if protocol.psnr == "exact" else 10 * math.log10(GREY_LEVELS)), PSNR_CAP
    if name == "ssim":
        return -1.0, 1.0
    if name == "lpips":
        return 0.0, LPIPS_BOUND
    return (-DISTANCE_BOUND if name in ("kid", "kvd") else 0.0), DISTANCE_BOUND


def _metric_faults(metric: MetricResult, bounds: tuple[float, float]) -> Iterator[str]:
    if metric.value is None:
        return
    if not _fits(metric.value, bounds):
        yield f"{metric.value:.6g}; {_told(bounds)}"
    if metric.std_error is not None and not _fits(metric.std_error, (0.0, DISTANCE_BOUND)):
        yield f"a standard error of {metric.std_error:.6g}"
    if metric.split_half is not None and not _fits(metric.split_half, (0.0, DISTANCE_BOUND)):
        yield f"a split-half distance of {metric.split_half:.6g}"
    if metric.interval is not None and not metric.interval[0] <= metric.value <= metric.interval[1]:
        yield f"{metric.value:.6g} is not in its interval {metric.interval[0]:.6g} to {metric.interval[1]:.6g}"


def _mean(name: str, protocol: Protocol, counted: list[ClipScores]) -> float | None:
    values = [(getattr(scores, name), scores.frames if protocol.pool == "frames" else 1) for scores in counted]
    if not values:
        return None
    return math.fsum(value * weight for value, weight in values) / sum(weight for _, weight in values)


def _fits(value: float, bounds: tuple[float, float]) -> bool:
    slack = ROUNDING * min(bounds[1], PSNR_CAP)  # a mean of capped values may exceed the cap by rounding
    return bounds[0] <= value <= bounds[1] + slack


def _told(bounds: tuple[float, float]) -> str:
    return f"it lies from {bounds[0]:.6g} to {bounds[1]:.6g}"
