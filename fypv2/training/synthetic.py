"""The synthetic training split: drawn people, with exact poses, motion and nearness; every other camera shakes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fypv2.conditions import nearness_from_depth, poses_of_annotations
from fypv2.training.clips import AffineFlow, TrainingClip
from mcbench import Cameras, render_clip, training_clips

__all__ = ["SYNTHETIC_FPS", "synthetic_clips"]

SYNTHETIC_FPS = 25.0
"""Frames a second that the drawn motion is made for."""


def synthetic_clips(
    seed: int,
    count: int | None = None,
    frames: int = 48,
    size: int = 128,
    cameras: Cameras = "mixed",
    *,
    start: int = 0,
) -> Iterator[TrainingClip]:
    """Draws clips; none of them has the seed of a benchmark clip.

    Args:
        seed: of the stream, 0 to 2**32 - 1; streams of different seeds share no clip.
        count: clips from 0 up to this one; without end if None.
        frames: of each clip.
        size: side of the picture in pixels, 64 to 1024.
        cameras: see `training_clips`.
        start: clips that are passed over; the others are the same with and without it.

    Raises:
        UserError: if a number is out of its range.
    """
    for number, spec in enumerate(training_clips(seed, count, frames, size, cameras)):
        if number < start:
            continue
        drawn = list(render_clip(spec))
        yield TrainingClip(
            name=spec.name,
            frames=np.stack([frame.image for frame in drawn]),
            fps=SYNTHETIC_FPS,
            poses=poses_of_annotations(
                np.stack([frame.keypoints for frame in drawn]),
                np.stack([frame.visibility for frame in drawn]),
                (size, size),
            ),
            flow=AffineFlow(np.stack([frame.background_motion for frame in drawn]), (size, size)),
            nearness=np.stack([nearness_from_depth(frame.depth).astype(np.float16) for frame in drawn]),
            masks=np.stack([frame.mask for frame in drawn]),
        )
