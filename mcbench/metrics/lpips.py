"""LPIPS: distance of deep activations (Zhang, Isola, Efros, Shechtman and Wang 2018), lpips 0.1.4 with v0.1 heads.

`mcbench@1` runs AlexNet on [-1, 1], the range that the network expects. `disco-legacy@1` runs VGG-16 on [0, 1], as
DisCo's published evaluator does. A clip's value is the mean of its frames' distances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcbench.metrics.frames import check_frames

if TYPE_CHECKING:
    from mcbench.backbones import PairBackbone

__all__ = ["lpips"]

Frames = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


def lpips(prediction: Frames, truth: Frames, backbone: PairBackbone, signed: bool) -> Values:
    """LPIPS of each frame.

    Args:
        prediction: uint8 RGB (T, H, W, 3), at least 32 pixels on each side.
        truth: the same shape.
        backbone: `vgg16` or `alexnet` of `mcbench.backbones`.
        signed: feed [-1, 1] instead of [0, 1].

    Returns:
        (T,) float64, 0 for identical frames.

    Raises:
        ValueError: for another dtype or shape.
    """
    check_frames(prediction, truth)
    parts, step = [], backbone.batch
    for first in range(0, len(truth), step):
        block = slice(first, first + step)
        distances = backbone.distance(
            backbone.activations(prediction[block], signed), backbone.activations(truth[block], signed)
        )
        parts.append(distances.cpu().numpy())
    return np.concatenate(parts).astype(np.float64)
