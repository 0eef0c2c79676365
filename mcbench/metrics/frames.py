"""What every pairwise metric asks of its frames."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["check_frames", "check_masks"]

Frames = npt.NDArray[np.uint8]


def check_frames(prediction: Frames, truth: Frames) -> None:
    """Hold two clips against what the pairwise metrics need: uint8, (T, H, W, 3) with nothing empty, alike in shape.

    Raises:
        ValueError: naming what differs.
    """
    for name, frames in (("prediction", prediction), ("truth", truth)):
        if frames.dtype != np.uint8:
            raise ValueError(f"the {name} must be uint8 in [0, 255], not {frames.dtype}")
        if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
            raise ValueError(f"the {name} must have the shape (frames, height, width, 3), not {frames.shape}")
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction and truth must have one shape, not {prediction.shape} and {truth.shape}")


def check_masks(masks: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    """Hold instance masks against the (T, H, W) of their frames.

    Raises:
        ValueError: if they are not uint8 of that shape.
    """
    if masks.dtype != np.uint8 or masks.shape != shape:
        raise ValueError(f"masks must be uint8 of the shape {shape}, not {masks.dtype} of {masks.shape}")
