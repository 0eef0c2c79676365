"""What a comparison needs of one result: each metric, video by video.

Pairwise metrics need nothing but the result: it holds every clip's mean. Feature metrics are distances of whole sets;
their video by video is the distance without each video, which needs the measurements that lie beside a result in its
run folder, and so do the variants on masks. They are used only if they are the ones that the result was made from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.compare.evidence import PAIRWISE, is_behind
from mcbench.datasets.manifest import fingerprint
from mcbench.errors import ResultError
from mcbench.measurement import Measurement, read_measurement
from mcbench.metrics.frechet import frechet_distance, frechet_leave_one_out
from mcbench.metrics.kernel_distance import kernel_distance, pair_matrix
from mcbench.protocol import PROTOCOLS, Protocol
from mcbench.results import ClipScores, MetricResult, ProtocolResult, Result, read_result
from mcbench.statistics import FEATURE_VIDEOS, inconclusive, kernel_leave_one_out

__all__ = [
    "MASKED",
    "FeatureScores",
    "PairwiseScores",
    "Source",
    "leave_one_out",
    "read_source",
    "scores_of",
]

Vector = npt.NDArray[np.float64]
Features = npt.NDArray[Any]

MASKED = ("l1_characters", "lpips_characters", "background_motion")
"""Metrics on a part of the frame, of clips with instance masks (`mcbench.metrics.masked`)."""
KERNEL = ("kid", "kvd")

LARGEST = 1e100
"""No score is near it, and sums of squares of scores below it are finite."""


@dataclass(frozen=True)
class PairwiseScores:
    """A metric that each video has by itself.

    Attributes:
        videos: names, sorted; only those that have a value.
        means: (V,) mean over the frames that count. Of `background_motion` its absolute value: 0 is right, and to be
            compared is how far from it a method is.
        frames: (V,) number of these frames.
    """

    videos: tuple[str, ...]
    means: Vector
    frames: Vector


@dataclass(frozen=True)
class FeatureScores:
    """A distance of whole sets.

    Attributes:
        value: the distance, None where there is none.
        videos: names of the videos that have features, sorted.
        left_out: (V,) the distance without each of them; None where it cannot be given.
        reason: why `value` or `left_out` is None.
    """

    value: float | None
    videos: tuple[str, ...] = ()
    left_out: Vector | None = None
    reason: str | None = None


Scores = Mapping[str, PairwiseScores | FeatureScores]


@dataclass(frozen=True)
class Source:
    """A result, and where it came from.

    Attributes:
        result: the result.
        place: the path as it was given; None for a `Result` without a file.
        folder: its run folder; None where it has none.
        features: feature metrics by protocol id and name, where they are known without measurements, as a submission
            knows them.
    """

    result: Result
    place: str | None = None
    folder: Path | None = None
    features: Mapping[str, Mapping[str, FeatureScores]] = field(default_factory=dict)


def read_source(given: Path | str | Result) -> Source:
    """A result, from a run folder, a `result.json` or memory.

    Raises:
        ResultError: if it cannot be read, is not finished, or does not hold all of its clips.
    """
    if isinstance(given, Result):
        source = Source(given)
    else:
        path = Path(given)
        if (path / "run.json").is_file() and not (path / "result.json").exists():
            raise ResultError(f"{path}: this run has no result yet; the command that began it takes it up again")
        folder = path if path.is_dir() else path.parent
        source = Source(read_result(path), str(given), folder if (folder / "measurements").is_dir() else None)
    where = source.place or source.result.method.name
    for id, protocol in source.result.protocols.items():
        if len(protocol.clips) != source.result.dataset.clips:
            raise ResultError(
                f"{where}: a partial run, {len(protocol.clips)} of {source.result.dataset.clips} clips under {id};"
                " measure all of them"
            )
        for name, clip in protocol.clips.items():
            _check_clip(clip, f"{where}: clip '{name}' under {id}")
    return source


def scores_of(source: Source, protocols: Iterable[str]) -> dict[str, Scores]:
    """Every metric of a result, video by video, by protocol id and name.

    Args:
        source: from `read_source`.
        protocols: ids in `PROTOCOLS` that the result has.

    Raises:
        ResultError: if the result's totals do not follow from its clips or from its measurements.
    """
    measurements, why_none = _measurements_of(source)
    shared: dict[tuple[str, int], FeatureScores] = {}
    where = source.place or source.result.method.name
    found: dict[str, Scores] = {}
    for id in protocols:
        protocol, stated = PROTOCOLS[id], source.result.protocols[id]
        scores: dict[str, PairwiseScores | FeatureScores] = {}
        for name in protocol.metrics:
            metric = stated.metrics.get(name)
            if metric is None:
                scores[name] = FeatureScores(None, reason=f"{source.result.method.name} has no {name}")
            elif name in PAIRWISE:
                scores[name] = _pairwise(name, protocol, stated, metric, where)
            elif name in source.features.get(id, ()):
                scores[name] = source.features[id][name]
            else:
                key = name, protocol.window_stride if metric.frames is None else 0
                if key not in shared:
                    shared[key] = _feature(name, protocol, metric, measurements, why_none, where)
                scores[name] = shared[key]
        if protocol.drop_reference and measurements is not None:
            scores |= _masked(protocol, measurements)
        found[id] = scores
    return found


def leave_one_out(name: str, protocol: Protocol, backbone: str, measurements: Sequence[Measurement]) -> FeatureScores:
    """A feature metric from measurements, and without each video in turn.

    Args:
        name: `fid`, `fid_vid`, `fvd`, `kid` or `kvd`.
        protocol: whose windows count.
        backbone: the network under the metric.
        measurements: one a clip, each under a plan that covers the protocol.

    Returns:
        Scores with `left_out` of (V,) for the V clips that have features, in the order of their names; None, with the
        reason, under `FEATURE_VIDEOS` of them.
    """
    pairs = []
    for item in sorted(measurements, key=lambda item: item.clip):
        if backbone == "inception":
            x, y = item.arrays[f"{backbone}/prediction"], item.arrays[f"{backbone}/truth"]
        else:
            x, y = (item.windows(backbone, side, protocol.window_stride) for side in ("prediction", "truth"))
        if len(x):
            pairs.append((item.clip, x, y))
    videos, x_videos, y_videos = (tuple(column) for column in zip(*pairs, strict=True)) if pairs else ((), (), ())
    few = inconclusive(len(videos), FEATURE_VIDEOS) if len(videos) < FEATURE_VIDEOS else None
    try:
        if name in KERNEL:
            h = pair_matrix(x_videos, y_videos)
            left_out = None if few else kernel_leave_one_out(h)
            return FeatureScores(kernel_distance(h), videos, left_out, few)
        value = frechet_distance(np.concatenate(x_videos), np.concatenate(y_videos))
    except ValueError as error:
        return FeatureScores(None, videos, reason=str(error))
    if few:
        return FeatureScores(value, videos, reason=few)
    try:
        return FeatureScores(value, videos, frechet_leave_one_out(x_videos, y_videos))
    except ValueError as error:
        return FeatureScores(value, videos, reason=f"without one of the videos, {error}")


def _check_clip(clip: ClipScores, where: str) -> None:
    values = [getattr(clip, name) for name in PAIRWISE]
    if any((value is None) != (clip.frames == 0) for value in values) or clip.frames < 0:
        raise ResultError(f"{where}: {clip.frames} frames do not go with its scores; the file was changed by hand")
    if any(abs(value) > LARGEST for value in values if value is not None) or clip.frames > LARGEST:
        raise ResultError(f"{where}: a score beyond {LARGEST:g}; the file was changed by hand")


def _pairwise(
    name: str, protocol: Protocol, stated: ProtocolResult, metric: MetricResult, where: str
) -> PairwiseScores:
    counted = sorted((clip, item) for clip, item in stated.clips.items() if item.frames)
    means = np.array([getattr(item, name) for _, item in counted], dtype=np.float64)
    frames = np.array([item.frames for _, item in counted], dtype=np.float64)
    if len(means):
        total = float(np.average(means, weights=frames if protocol.pool == "frames" else None))
        _check_total(name, metric.value, total, f"{where}: under {protocol.id}", "clips")
    return PairwiseScores(tuple(clip for clip, _ in counted), means, frames)


def _masked(protocol: Protocol, measurements: Sequence[Measurement]) -> dict[str, PairwiseScores]:
    found = {}
    for name in MASKED:
        rows = []
        for item in measurements:
            if name not in item.arrays:
                continue
            keep = item.arrays[f"{name}/valid"].astype(bool)
            if item.reference_frame is not None and item.reference_frame < len(keep):
                keep[item.reference_frame] = False
            if keep.any():
                mean = float(item.arrays[name][keep].mean(dtype=np.float64))
                rows.append((item.clip, abs(mean) if name == "background_motion" else mean, int(keep.sum())))
        if rows:
            clips, means, frames = zip(*sorted(rows), strict=True)
            found[name] = PairwiseScores(clips, np.array(means, np.float64), np.array(frames, np.float64))
    return found


def _feature(
    name: str,
    protocol: Protocol,
    metric: MetricResult,
    measurements: Sequence[Measurement] | None,
    why_none: str | None,
    where: str,
) -> FeatureScores:
    if metric.value is None:
        return FeatureScores(None, reason=metric.reason)
    if measurements is None or metric.backbone is None:
        return FeatureScores(metric.value, reason=why_none or "the result does not name the network")
    scores = leave_one_out(name, protocol, metric.backbone, measurements)
    _check_total(name, metric.value, scores.value, f"{where}: under {protocol.id}", "measurements")
    return scores


def _check_total(name: str, stated: float | None, found: float | None, where: str, of: str) -> None:
    """Hold a total against what it is made from; other machines and releases round a little differently."""
    if stated is None or found is None or not math.isclose(stated, found, rel_tol=1e-5, abs_tol=1e-9):
        raise ResultError(
            f"{where}, {name} is {stated} but its {of} give {found}; make the result anew with the command of its run"
        )


def _measurements_of(source: Source) -> tuple[list[Measurement] | None, str | None]:
    """The measurements that a result was made from, in the order of its clips; or None and why."""
    result = source.result
    if source.folder is None:
        return None, f"{result.method.name} has no measurements beside its result; give its run folder"
    files = {file.name for file in (source.folder / "measurements").iterdir()}
    found = []
    clips = next(iter(result.protocols.values())).clips if result.protocols else {}
    for clip in clips:
        # A clip of which another case was measured first has the beginning of its digest behind its name.
        names = sorted(file for file in files if re.fullmatch(re.escape(clip) + r"(\.[0-9a-f]{8})?\.safetensors", file))
        candidates = (read_measurement(source.folder / "measurements" / name) for name in names)
        known = next(
            (item for item in candidates if item is not None and item.clip == clip and is_behind(item, result)), None
        )
        if known is None:
            what = "is damaged or is not the one that its result was made from" if names else "is missing"
            return None, f"{result.method.name}: the measurement of clip '{clip}' {what}; run its command again"
        found.append(known)
    rows = ((item.clip, item.frames, item.reference_frame, item.truth["frames"]) for item in found)
    if fingerprint(rows) != result.dataset.fingerprint:
        return (
            None,
            f"{result.method.name}: its measurements are of other truths than its result; run its command again",
        )
    return found, None
