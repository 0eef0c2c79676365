"""Who is in front, read off the poses, for clips whose depth was not estimated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fypv2.conditions import Poses, character_regions, nearness_from_poses

__all__ = ["nearness_maps"]


def nearness_maps(poses: Poses) -> npt.NDArray[np.float16]:
    """Maps under which `depth_ranks` ranks the characters as `nearness_from_poses` does.

    Each character's region has its value, the nearer one on top; the background is 0.

    Args:
        poses: of T frames.

    Returns:
        float16 (T, H, W), larger is nearer; in pixels, and comparable within a frame alone.
    """
    maps = np.zeros((poses.frames, *poses.size), np.float16)
    for i in range(poses.frames):
        frame = poses.frame(i)
        values, regions = nearness_from_poses(frame), character_regions(frame)[0]
        for k in np.argsort(values, kind="stable"):
            if np.isfinite(values[k]):
                maps[i][regions[k]] = values[k]
    return maps
