"""Measurements in, the numbers of a protocol out. Arithmetic alone: no network and no pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.measurement import Measurement
from mcbench.metrics.kernel_distance import pair_matrix
from mcbench.metrics.l1 import l1_per_area, l1_unit
from mcbench.protocol import Protocol
from mcbench.results import ClipScores, MetricResult, ProtocolResult
from mcbench.statistics import Estimate, frechet_estimate, kernel_estimate, mean_over_videos, pooled_mean, split_half

__all__ = ["apply_protocols", "pairwise_frames"]

Array = npt.NDArray[Any]

_FEATURES: dict[str, str] = {"fid": "inception", "kid": "inception", "fid_vid": "r3d50", "fvd": "i3d", "kvd": "i3d"}
_NOT_THE_USUAL_KID = "over pairs of different videos; not the distance of single samples that other tools print"


def apply_protocols(protocols: Iterable[Protocol], measurements: Sequence[Measurement]) -> dict[str, ProtocolResult]:
    """Every metric of some protocols, by their ids. What two of them share, as FID, is computed once.

    Args:
        protocols: which ones.
        measurements: one a clip, each under a plan that covers all of the protocols.
    """
    shared: dict[tuple[str, int], MetricResult] = {}
    return {protocol.id: _apply(protocol, measurements, shared) for protocol in protocols}


def _apply(
    protocol: Protocol, measurements: Sequence[Measurement], shared: dict[tuple[str, int], MetricResult]
) -> ProtocolResult:
    metrics: dict[str, MetricResult] = {}
    for name in protocol.metrics:
        if name in ("psnr", "ssim", "lpips", "l1"):
            metrics[name] = _pairwise(name, protocol, measurements)
            continue
        # Frames have no stride, so FID is one number in all protocols.
        key = name, protocol.window_stride if _FEATURES[name] != "inception" else 0
        if key not in shared:
            shared[key] = _distribution(name, protocol, measurements)
        metrics[name] = shared[key]
    return ProtocolResult(
        metrics=metrics,
        clips={
            item.clip: ClipScores(
                frames=len(pairwise_frames("l1", protocol, item)),
                **{
                    name: float(values.mean()) if len(values := pairwise_frames(name, protocol, item)) else None
                    for name in ("psnr", "ssim", "lpips", "l1")
                },
            )
            for item in measurements
        },
    )


def pairwise_frames(name: str, protocol: Protocol, item: Measurement) -> npt.NDArray[np.float64]:
    """A pairwise metric of one clip, frame by frame, in the protocol's unit; frames that do not count are left out."""
    if name == "l1":
        error = item.arrays["absolute_error"]
        values = l1_unit(error) if protocol.l1 == "unit" else l1_per_area(error, protocol.size, protocol.size)
    elif name == "psnr":
        values = item.arrays["psnr" if protocol.psnr == "exact" else "psnr_wrapped"]
    elif name == "ssim":
        values = item.arrays["ssim_gaussian" if protocol.ssim == "gaussian-11" else "ssim_uniform"]
    else:
        values = item.arrays[f"lpips/{protocol.lpips_network}"]
    # Of a clip cut short the reference frame may lie beyond the end.
    if protocol.drop_reference and item.reference_frame is not None and item.reference_frame < len(values):
        values = np.delete(values, item.reference_frame)
    return np.asarray(values, np.float64)


def _pairwise(name: str, protocol: Protocol, measurements: Sequence[Measurement]) -> MetricResult:
    videos = [pairwise_frames(name, protocol, item) for item in measurements]
    counted = [values for values in videos if len(values)]
    empty = len(videos) - len(counted)
    if not counted:
        estimate = Estimate(value=None, reason="no clip has a frame beside its reference frame")
    elif protocol.pool == "videos":
        estimate = mean_over_videos([float(values.mean()) for values in counted])
    else:
        estimate = pooled_mean([float(values.sum()) for values in counted], [len(values) for values in counted])
    return MetricResult(
        **asdict(estimate),
        videos=len(counted),
        frames=sum(len(values) for values in counted),
        note=f"{empty} of {len(videos)} clips have no frame beside their reference frame" if empty else None,
        **_weights(protocol.lpips_network if name == "lpips" else None, measurements),
    )


def _distribution(name: str, protocol: Protocol, measurements: Sequence[Measurement]) -> MetricResult:
    backbone = _FEATURES[name]
    is_window = backbone != "inception"
    sides: dict[str, list[Array]] = {}
    for side in ("prediction", "truth"):
        if is_window:
            sides[side] = [item.windows(backbone, side, protocol.window_stride) for item in measurements]
        else:
            sides[side] = [item.arrays[f"{backbone}/{side}"] for item in measurements]
    # A clip shorter than a window has none on either side; it is not dropped from anything it could be part of.
    pairs = [(x, y) for x, y in zip(sides["prediction"], sides["truth"], strict=True) if len(x)]
    short = len(measurements) - len(pairs)
    notes = [_NOT_THE_USUAL_KID] if name in ("kid", "kvd") else []
    if short and pairs:
        notes.append(
            f"{short} of {len(measurements)} clips are shorter than a window of {protocol.window_length} frames"
        )
    estimate = _estimate(name, protocol, pairs)
    half, why_no_half = _split_half(name, [y for _, y in pairs])
    vectors = sum(len(x) for x, _ in pairs)
    return MetricResult(
        **asdict(estimate),
        videos=len(pairs),
        frames=None if is_window else vectors,
        windows=vectors if is_window else None,
        dimension=sides["truth"][0].shape[1],
        split_half=half,
        split_half_reason=why_no_half,
        note="; ".join(notes) or None,
        **_weights(backbone, measurements),
    )


def _estimate(name: str, protocol: Protocol, pairs: Sequence[tuple[Array, Array]]) -> Estimate:
    if not pairs:
        return Estimate(value=None, reason=f"no clip has the {protocol.window_length} frames of a window")
    x, y = [x for x, _ in pairs], [y for _, y in pairs]
    if name in ("kid", "kvd"):
        return kernel_estimate(pair_matrix(x, y))
    return frechet_estimate(x, y)


def _split_half(name: str, truths: Sequence[Array]) -> tuple[float | None, str | None]:
    """Split-half of a Fréchet distance, or why it has none."""
    if name in ("kid", "kvd"):
        return None, None
    distance = split_half(truths)
    if distance is None:
        vectors = sum(map(len, truths))
        return (
            None,
            f"a half by video would have fewer than two of the {vectors} feature vectors (videos: {len(truths)})",
        )
    return distance, None


def _weights(backbone: str | None, measurements: Sequence[Measurement]) -> dict[str, Any]:
    if backbone is None:
        return {}
    (record,) = {item.weights[backbone] for item in measurements}
    return {"backbone": backbone, "weights": record.kind, "weights_sha256": record.sha256}
