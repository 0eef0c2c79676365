"""One clip: every check in the order in which faults hide one another, and what each fault costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from mcbench.datasets.base import Clip, FrameSource
from mcbench.doctor.colour import find_tone, lost_range, swapped
from mcbench.doctor.compression import find_compression
from mcbench.doctor.cost import Correction, Pairs, price
from mcbench.doctor.findings import Finding, finding
from mcbench.doctor.look import SIZE, Look, TruthError, look_at, take_frames
from mcbench.doctor.registration import Registration, register
from mcbench.doctor.stills import count_distinct, find_copies, find_repeats
from mcbench.doctor.timing import Timing, find_timing, moving_parts
from mcbench.errors import UserError, VideoError
from mcbench.geometry import check_aspect
from mcbench.video import FrameFolder, open_frames

__all__ = ["examine", "examine_path"]

Frame = npt.NDArray[np.uint8]

FPS_TOLERANCE = 0.01
"""29.97 is 30; 24 is not 25."""
LOSSLESS_CONTAINERS = {"png", "gif"}
EDGE = 0.4
"""Pixels at the picture's edge below which a scale is none,"""
SMALL_BESIDE = 0.25
"""or this part of the shift."""


def examine_path(
    clip: Clip, path: Path, fps: float | None, on_frame: Callable[[], None] = lambda: None
) -> list[Finding]:
    """Everything that is wrong with the prediction of a clip.

    Args:
        clip: the truth.
        path: its prediction, a folder of frames or a video.
        fps: frames a second of the truth, None where nobody knows.
        on_frame: called after each frame of the prediction.
    """
    try:
        source = open_frames(path)
        sizes = _sizes(source) if isinstance(source, FrameFolder) else {}
        if len(sizes) > 1:
            listed = ", ".join(f"{count} of {width} x {height}" for (width, height), count in sizes.items())
            return [finding("mixed-sizes", clip.name, f"frames of {len(sizes)} sizes: {listed}")]
        return examine(clip, source, fps, on_frame)
    except TruthError as error:
        return [finding("truth-unreadable", clip.name, str(error))]
    except (UserError, OSError) as error:
        what, _, remedy = str(error).rpartition("; ")
        return [finding("unreadable", clip.name, what or remedy, remedy if what else None)]


def examine(
    clip: Clip, source: FrameSource, fps: float | None = None, on_frame: Callable[[], None] = lambda: None
) -> list[Finding]:
    """As `examine_path`, of frames that can be opened.

    Raises:
        VideoError: if the prediction does not decode.
        TruthError: if the truth does not.
    """
    found = _about_files(clip, source, fps)
    if any(item.code == "aspect" for item in found):
        return found
    look = look_at(clip, source, on_frame)
    found += [finding("converted", clip.name, f"{text}, without loss") for text in sorted(source.conversions)]
    black = lost_range(look.values, look.truth_samples)
    if black is not None:
        return [*found, finding("value-range", clip.name, *black)]
    traces = find_compression(look.raw_prediction, look.raw_truth)
    if traces is not None:
        found.append(finding("compression", clip.name, traces))
    reference = clip.reference_frame if clip.reference_source is None else None
    copies = find_copies(clip.name, look, reference)
    again = find_repeats(clip.name, look)
    found += _about_content(clip, look)
    if any(item.code == "frame-expansion" for item in found):
        again = [item for item in again if item.code == "single-frame"]
    return found + copies + again


def _sizes(source: FrameFolder) -> dict[tuple[int, int], int]:
    """Frames by width and height, as the files' heads say; a file that has none is left to the decoder."""
    sizes: dict[tuple[int, int], int] = {}
    for file in source.files:
        try:
            with Image.open(file) as image:
                sizes[image.size] = sizes.get(image.size, 0) + 1
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            continue
    return sizes


def _about_files(clip: Clip, source: FrameSource, fps: float | None) -> list[Finding]:
    """What is known before more than a frame is decoded."""
    size = source.size
    try:
        wanted = clip.source.size
    except (UserError, OSError) as error:
        raise TruthError(str(error)) from error
    found = []
    if source.frames != clip.frames:
        count = "1 frame" if source.frames == 1 else f"{source.frames} frames"
        found.append(finding("frame-count", clip.name, f"{count} where the truth has {clip.frames}"))
    if source.fps is not None and fps is not None and abs(source.fps / fps - 1) > FPS_TOLERANCE:
        found.append(finding("fps", clip.name, f"{source.fps:.4g} frames a second where the truth has {fps:.4g}"))
    if not set(source.container.split("/")) <= LOSSLESS_CONTAINERS:
        found.append(finding("lossy-container", clip.name, f"stored as {source.container}"))
    try:
        check_aspect(size, wanted, "it")
    except VideoError as error:
        found.append(finding("aspect", clip.name, str(error).partition("; ")[0].removeprefix("it: ")))
    return found


def _about_content(clip: Clip, look: Look) -> list[Finding]:
    """Place, colour and time, and what each costs."""
    place = register(look.prediction_samples, look.truth_samples, _stretches(clip))
    correction = Correction(geometry=place)
    laid = [correction.lay(frame) for frame in look.prediction_samples]
    correlation = swapped(laid, look.truth_samples)
    correction = Correction(geometry=place, swap=correlation is not None)
    tone = find_tone([correction.colours(frame) for frame in laid], look.truth_samples)
    correction = Correction(place, correlation is not None, tone)
    thumbs = np.stack([correction.lay(correction.colours(frame)) for frame in look.prediction])
    timing = find_timing(moving_parts(thumbs), moving_parts(look.truth))
    correction = Correction(place, correlation is not None, tone, timing is not None)

    evidence: dict[str, tuple[str, str, str | None]] = {}
    if place is not None and place.mirror:
        evidence["mirror"] = "flip", _MIRRORED[place.mirror], None
    if place is not None and place.displaced:
        evidence["place"] = (*_placed(place), None)
    if correlation is not None:
        text = f"red minus blue correlates {correlation:+.2f} with the truth's"
        evidence["swap"] = "channel-swap", text, None
    if tone is not None:
        evidence["tone"] = "value-range", tone.name, tone.remedy
    if timing is not None:
        text = f"{timing.what} ({1 - timing.left:.0%} less difference in what moves)"
        evidence["time"] = timing.code, text, None
    costs = price(_pairs(clip, look, timing), correction, list(evidence)) if evidence else {}
    found = [
        finding(code, clip.name, f"{text}; {costs[part]}" if part in costs else text, remedy)
        for part, (code, text, remedy) in evidence.items()
    ]
    if timing is None or timing.code != "frame-expansion":
        found += _expanded(clip.name, look)
    return found


def _expanded(clip: str, look: Look) -> list[Finding]:
    """Frames repeated until there are more than the truth has: told by counting, whatever moves."""
    (total, distinct), (frames, own) = count_distinct(look)
    if total <= frames or distinct > 1.1 * frames or total / distinct < 1.2 * frames / own:
        return []
    return [finding("frame-expansion", clip, f"of {total} frames only {distinct} differ from the one before")]


_MIRRORED = {
    "horizontal": "mirrored left to right",
    "vertical": "upside down",
    "both": "turned by 180 degrees",
}


def _placed(place: Registration) -> tuple[str, str]:
    """Code and words for what a registration says beyond mirroring."""
    across, down = place.scale
    matrix = place.unmirrored
    centre = (SIZE - 1) / 2
    x, y = matrix @ (centre, centre, 1) - centre
    words = f"{x:+.1f} pixels across, {y:+.1f} down at {SIZE} x {SIZE}"
    edge = max(abs(across - 1), abs(down - 1)) * SIZE / 2
    if edge < max(EDGE, SMALL_BESIDE * float(np.hypot(x, y))):
        return "shift", f"moved by {words}"
    if min(across, down) > 1 - EDGE / SIZE:
        return "crop", f"shows {1 / across:.1%} x {1 / down:.1%} of the truth's picture, its centre {words}"
    return "scale", f"scaled to {across:.1%} x {down:.1%} of the truth, its centre {words}"


def _stretches(clip: Clip) -> list[tuple[float, float]]:
    """What a truth that is not square becomes if it is stretched or padded into a square, not cropped."""
    height, width = clip.source.size
    if height == width:
        return []
    side = min(height, width)
    return [(side / width, side / height), (side / max(height, width),) * 2]


def _pairs(clip: Clip, look: Look, timing: Timing | None) -> Pairs:
    """The sampled frames that have a counterpart, with the truths that they are compared with and those they show."""
    if timing is None:
        return Pairs(look.prediction_samples, look.truth_samples, look.truth_samples)
    kept = [k for k, index in enumerate(look.samples) if timing.frames[index] >= 0]
    shown = [int(timing.frames[look.samples[k]]) for k in kept]
    try:
        truths = take_frames(clip.source, set(shown))
    except (UserError, OSError) as error:
        raise TruthError(str(error)) from error
    return Pairs(
        [look.prediction_samples[k] for k in kept], [look.truth_samples[k] for k in kept], [truths[i] for i in shown]
    )
