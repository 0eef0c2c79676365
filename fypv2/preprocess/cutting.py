"""A video to scenes of the wanted size, rate and length, while it streams by: one scene is in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from fypv2.conditions import crop_box
from fypv2.preprocess.probing import BadVideoError, Footage, reason_of
from fypv2.preprocess.scenes import SceneDetector
from mcbench import UserError

__all__ = ["CutSettings", "Scene", "cut", "frame_step", "target_size"]

MOST_ENLARGED = 2.0
"""A picture that would have to grow more holds too little of what the model is to learn."""
LEAST_COLOUR = 2.0
"""Mean difference between the strongest and the weakest channel, in grey levels: grey footage has 0."""


@dataclass(frozen=True)
class CutSettings:
    """What a clip is.

    Attributes:
        size: height and width in pixels: the largest centred crop of that ratio, resized.
        keep_aspect: no crop: the shorter side becomes the smaller of `size`, both sides multiples of 8.
        fps: the wanted rate. Every n-th frame is kept, n = round(rate / fps), at least 1; none is ever made up.
        assumed_fps: rate of footage that does not say it.
        min_frames: a shorter scene is left out.
        max_frames: a longer scene becomes several clips.
    """

    size: tuple[int, int]
    keep_aspect: bool = False
    fps: float = 25.0
    assumed_fps: float = 25.0
    min_frames: int = 16
    max_frames: int = 128


@dataclass(frozen=True)
class Scene:
    """Consecutive kept frames without a cut.

    Attributes:
        first_frame: index of the first one in the video.
        step: the video's frames from one kept frame to the next.
        frames: uint8 (T, H, W, 3), RGB.
        reason: why it is no clip; empty for one that may be.
    """

    first_frame: int
    step: int
    frames: npt.NDArray[np.uint8]
    reason: str = ""


def frame_step(fps: float, settings: CutSettings) -> int:
    """n, of which every n-th frame is kept."""
    return max(1, math.floor(fps / settings.fps + 0.5))


def target_size(size: tuple[int, int], settings: CutSettings) -> tuple[int, int]:
    """Height and width of the clips of a video of that size.

    Raises:
        BadVideoError: if it is too small.
    """
    height, width = settings.size
    if settings.keep_aspect:
        scale = min(settings.size) / min(size)
        height, width = (max(8, 8 * round(side * scale / 8)) for side in size)
    _, _, crop_height, crop_width = crop_box(size, height, width)
    if max(height / crop_height, width / crop_width) > MOST_ENLARGED:
        raise BadVideoError(
            f"too small: {size[1]} x {size[0]} pixels for clips of {width} x {height}; it would grow more than"
            f" {MOST_ENLARGED:g} times"
        )
    return height, width


def cut(footage: Footage, settings: CutSettings) -> Iterator[Scene]:
    """Cuts a video.

    Raises:
        BadVideoError: if it breaks off or is too small. The scenes before a fault have been given by then, but not the
            one in which it lies.
    """
    step = frame_step(footage.fps or settings.assumed_fps, settings)
    height, width = target_size(footage.size, settings)
    detector = SceneDetector()
    held: list[npt.NDArray[np.uint8]] = []
    first = 0

    def scene() -> Scene:
        frames = np.stack(held)
        reason = ""
        if len(held) < settings.min_frames:
            reason = f"shorter than {settings.min_frames} frames"
        elif _colour(frames) < LEAST_COLOUR:
            reason = "no colour"
        return Scene(first, step, frames, reason)

    for index, frame in enumerate(_frames(footage)):
        if index % step:
            continue
        picture = _crop_resize(frame, height, width)
        if (detector.is_cut(picture) and held) or len(held) == settings.max_frames:
            yield scene()
            held.clear()
        if not held:
            first = index
        held.append(picture)
    if held:
        yield scene()


def _frames(footage: Footage) -> Iterator[npt.NDArray[np.uint8]]:
    try:
        yield from footage.source.read()
    except UserError as error:
        raise BadVideoError(reason_of(error, footage.path)) from error
    # As in `open_footage`: no file may end the run.
    except Exception as error:
        raise BadVideoError(f"unreadable ({type(error).__name__}: {reason_of(error, footage.path)})") from error


def _crop_resize(frame: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    top, left, crop_height, crop_width = crop_box((frame.shape[0], frame.shape[1]), height, width)
    crop = np.ascontiguousarray(frame[top : top + crop_height, left : left + crop_width])
    if (crop_height, crop_width) == (height, width):
        return crop
    return np.asarray(Image.fromarray(crop).resize((width, height), Image.Resampling.BILINEAR))


def _colour(frames: npt.NDArray[np.uint8]) -> float:
    """Strongest minus weakest channel, on a sparse grid of pixels."""
    few = frames[:: max(1, len(frames) // 8), ::4, ::4].astype(np.int16)
    return float((few.max(-1) - few.min(-1)).mean())
