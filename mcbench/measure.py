"""One clip: frames in, a Measurement out.

A clip is decoded once, in blocks. Each block's frames are cropped and resized once, as uint8, and the same arrays go
to every metric of every protocol asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.datasets.base import Clip, FrameSource
from mcbench.errors import PredictionError, WeightsError
from mcbench.features import FeatureCache, Networks, PairDistances, Side
from mcbench.geometry import check_aspect, to_square_labels
from mcbench.measurement import Measurement, Plan
from mcbench.metrics.l1 import absolute_error
from mcbench.metrics.masked import background_motion, l1_characters
from mcbench.metrics.psnr import psnr, psnr_wrapped
from mcbench.metrics.ssim import ssim_gaussian, ssim_uniform

__all__ = ["check_prediction", "measure_clip"]

Array = npt.NDArray[Any]
Frames = npt.NDArray[np.uint8]

BLOCK = 32
"""Frames in flight from each side. A multiple of 16, so that windows at stride 16 lie within one block."""

PAIRWISE: dict[str, Callable[[Frames, Frames], npt.NDArray[np.float64]]] = {
    "absolute_error": absolute_error,
    "psnr": psnr,
    "psnr_wrapped": psnr_wrapped,
    "ssim_uniform": ssim_uniform,
    "ssim_gaussian": ssim_gaussian,
}


def check_prediction(clip: Clip, prediction: FrameSource, where: str) -> None:
    """Hold what can be known of a prediction without decoding it against its truth.

    Raises:
        PredictionError: if the counts differ; both stand in the message.
        VideoError: if the aspect ratio is another.
    """
    if prediction.frames != clip.frames:
        more = "more" if prediction.frames > clip.frames else "fewer"
        raise PredictionError(
            f"{where}: {prediction.frames} frames, {more} than the {clip.frames} of its truth;"
            " every frame needs its counterpart"
        )
    check_aspect(prediction.size, clip.source.size, where)


def measure_clip(
    clip: Clip,
    prediction: FrameSource,
    plan: Plan,
    networks: Networks,
    cache: FeatureCache,
    on_frames: Callable[[int], None] = lambda count: None,
) -> Measurement:
    """Measure a prediction against its truth.

    Args:
        clip: the truth; its first `clip.frames` frames count.
        prediction: as many frames.
        plan: what to measure.
        networks: the backbones.
        cache: features of the truth, kept by content. The prediction looks there too, but leaves nothing behind.
        on_frames: called with the number of frame pairs done since the last call.

    Raises:
        PredictionError, VideoError: if the two do not go together or do not decode.
        WeightsError: if a network gives something that is not a number.
    """
    check_prediction(clip, prediction, f"clip '{clip.name}'")
    # Before the frames are read: files that change meanwhile are then measured again next time.
    prediction_files, truth_files = prediction.digest(), clip.source.digest()
    truth_side = Side(plan, networks, cache, keep=True)
    prediction_side = Side(plan, networks, cache, keep=False)
    distances = {network: PairDistances(network, signed, plan, networks) for network, signed in plan.lpips}
    scores: dict[str, list[Array]] = {}
    masked = plan.masked and clip.annotations is not None
    last: tuple[Frames, Frames, Frames] | None = None
    start = 0

    def keep(name: str, values: Array) -> None:
        scores.setdefault(name, []).append(np.asarray(values))

    for truths, predictions in zip(_blocks(clip.source, clip.frames), _blocks(prediction, clip.frames), strict=True):
        t, p = truth_side.add(truths), prediction_side.add(predictions)
        for name in plan.pairwise:
            keep(name, PAIRWISE[name](p, t))
        labels: Frames | None = None
        if masked and clip.annotations is not None:
            raw = clip.annotations.masks(start, start + len(t))
            labels = np.stack([to_square_labels(mask, plan.size) for mask in raw])
        for network, pair in distances.items():
            values, on_characters = pair.add(p, t, prediction_side.digests, truth_side.digests, labels)
            keep(f"lpips/{network}", values)
            if on_characters is not None:
                keep("lpips_characters", on_characters[0])
                keep("lpips_characters/valid", on_characters[1])
        if labels is not None:
            values, valid = l1_characters(p, t, labels)
            keep("l1_characters", values)
            keep("l1_characters/valid", valid)
            if last is None:
                keep("background_motion", np.zeros(1))
                keep("background_motion/valid", np.zeros(1, bool))
                moving = (p, t, labels)
            else:
                moving = (
                    np.concatenate([last[0], p]), np.concatenate([last[1], t]), np.concatenate([last[2], labels])
                )  # fmt: skip
            if len(moving[0]) > 1:
                values, valid = background_motion(*moving)
                keep("background_motion", values)
                keep("background_motion/valid", valid)
            last = (p[-1:], t[-1:], labels[-1:])
        start += len(t)
        on_frames(len(t))

    arrays = {name: np.concatenate(blocks) for name, blocks in scores.items()}
    arrays |= truth_side.features("truth") | prediction_side.features("prediction")
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise WeightsError(f"clip '{clip.name}': {name} holds NaN or infinity; the weights are damaged")
    return Measurement(
        clip=clip.name,
        frames=clip.frames,
        plan=plan,
        prediction=_about(prediction, prediction_files, prediction_side),
        truth=_about(clip.source, truth_files, truth_side),
        reference_frame=clip.reference_frame,
        weights={name: networks.record(name) for name in plan.backbones},
        arrays=arrays,
    )


def _blocks(source: FrameSource, frames: int) -> Iterator[list[Frames]]:
    reader = itertools.islice(source.read(), frames)
    while block := list(itertools.islice(reader, BLOCK)):
        yield block


def _about(source: FrameSource, files: str, side: Side) -> dict[str, Any]:
    return {
        "frames": side.decoded_digest,
        "files": files,
        "container": source.container,
        "size": list(source.size),
        "fps": source.fps,
        "conversions": sorted(source.conversions),
    }
