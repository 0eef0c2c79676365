"""Drawn conditions as the guiders take them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fypv2.conditions import ConditionMaps

__all__ = ["as_input", "condition_tensors"]


def condition_tensors(maps: ConditionMaps) -> dict[str, Tensor]:
    """Conditions of one clip by the names of `fypv2.config.GUIDERS`.

    Returns:
        (1, 3, T, H, W) each, `reference_pose` with T = 1. Drawings stay uint8, since a clip's would take gigabytes in
        float: divide by 255 what goes to a guider (`as_input`). The flow map is one channel, shown three times.
    """
    return {
        "pose": _drawing(maps.pose),
        "flow": torch.from_numpy(np.ascontiguousarray(maps.background))[None, None].expand(-1, 3, -1, -1, -1),
        "depth": _drawing(maps.depth_order),
        "reference_pose": _drawing(maps.reference_pose[None]),
    }


def as_input(condition: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A part of a condition in [0, 1], where and as the guiders compute."""
    moved = condition.to(device)
    return (moved / 255).to(dtype) if moved.dtype == torch.uint8 else moved.to(dtype)


def _drawing(frames: npt.NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(3, 0, 1, 2)))[None]
