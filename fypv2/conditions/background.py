"""The background map, which the optical flow guider sees: how far the background moves (the paper's Eq. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["FLOW_SCALE", "background_flow", "background_map", "motion_between"]

FLOW_SCALE = 20 / 512
"""Flow that counts as full, as a share of the picture's width. The paper's text has lost how flow is scaled; a fixed
scale keeps one motion one value in every frame and at every resolution."""


def background_map(
    regions: npt.NDArray[np.bool_], flow: npt.NDArray[np.floating] | None = None, scale: float = FLOW_SCALE
) -> npt.NDArray[np.float32]:
    """Eq. 3: B = M + (1 - M) * clip(|F| / s, 0, 1), with M where any character may be.

    Args:
        regions: bool (T, K, H, W), of `character_regions`.
        flow: float (T, H, W, 2), in pixels of that size, between each frame and the one before it; 0 where there is
            none before. None means no motion, as at inference: B = M, and the background is told to stay.
        scale: s, as a share of the picture's width, above 0 and at most 1.

    Returns:
        float32 (T, H, W) in [0, 1]: 1 in every region; outside, 0 where the background stands still.

    Raises:
        ValueError: for shapes that do not fit, or a scale out of its range.
    """
    inside: npt.NDArray[np.bool_] = np.asarray(regions.any(axis=1))
    if flow is None:
        return inside.astype(np.float32)
    if flow.shape != (*inside.shape, 2):
        raise ValueError(f"flow of shape {flow.shape} for regions of {regions.shape}; give (T, H, W, 2)")
    if not 0 < scale <= 1:
        raise ValueError(f"a flow scale of {scale}; give a share of the picture's width, above 0 and at most 1")
    length = np.hypot(flow[..., 0], flow[..., 1])
    moved = np.minimum(length / np.float32(scale * inside.shape[2]), 1)
    return np.where(inside, np.float32(1), moved).astype(np.float32)


def background_flow(
    background_motion: npt.NDArray[np.floating], size: tuple[int, int], masks: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.float32]:
    """The exact flow of a background whose motion is affine: from each pixel of v_i to its place in v_{i-1}.

    Args:
        background_motion: (T, 2, 3), of `mcbench.Annotations` or `motion_between`: from frame i - 1 to frame i.
        size: height and width in pixels.
        masks: (T, H, W), 0 for background. Where given, the flow is 0 on the characters, whose motion is not known.

    Returns:
        float32 (T, H, W, 2), x then y, in pixels. It also covers background that was hidden in the frame before.

    Raises:
        ValueError: for masks of another shape.
    """
    height, width = size
    if masks is not None and masks.shape != (len(background_motion), height, width):
        raise ValueError(f"masks of shape {masks.shape} for {len(background_motion)} frames of {width} x {height}")
    x, y = np.arange(width)[None, :], np.arange(height)[:, None]
    flow = np.empty((len(background_motion), height, width, 2), np.float32)
    for i, motion in enumerate(background_motion.astype(np.float64)):
        linear = np.linalg.inv(motion[:, :2])
        shift = -linear @ motion[:, 2]
        for axis in range(2):
            source = linear[axis, 0] * x + linear[axis, 1] * y + shift[axis]
            flow[i, ..., axis] = source - (x if axis == 0 else y)
        if masks is not None:
            flow[i][masks[i] != 0] = 0
    return flow


def motion_between(background_motion: npt.NDArray[np.floating], frames: Sequence[int]) -> npt.NDArray[np.float64]:
    """The background's motion from each chosen frame to the next chosen one, for clips that are read with a stride.

    Args:
        background_motion: (T, 2, 3), from every frame i - 1 to frame i.
        frames: rising indices into T.

    Returns:
        float64 (n, 2, 3): identity for the first chosen frame, then from the chosen one before to this one.

    Raises:
        ValueError: if the frames do not rise.
    """
    if any(later <= earlier for earlier, later in pairwise(frames)):
        raise ValueError(f"frames {list(frames)} do not rise")
    motions = np.tile(np.eye(2, 3), (len(frames), 1, 1))
    for n, (earlier, later) in enumerate(pairwise(frames), start=1):
        whole = np.eye(3)
        for step in background_motion[earlier + 1 : later + 1]:
            whole = np.vstack((step, (0.0, 0.0, 1.0))) @ whole
        motions[n] = whole[:2]
    return motions
