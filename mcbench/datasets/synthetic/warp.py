"""The room as a shaken camera sees it: bilinear sampling in integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcbench.datasets.synthetic.camera import Affine, invert_affine
from mcbench.datasets.synthetic.raster import Floats
from mcbench.datasets.synthetic.room import Backdrop

__all__ = ["Warper"]

_BITS = 5
"""Sub-pixel steps of the sampling: 1/32 of a pixel."""


class Warper:
    """Samples a backdrop that was painted with a margin."""

    def __init__(self, backdrop: Backdrop, size: int, margin: int) -> None:
        self._size, self._margin = size, margin
        self._side = backdrop.depth.shape[0]
        rgb = np.clip(backdrop.colour + np.float32(0.5), 0.0, 255.0).astype(np.uint64)
        # Three channels in one number, 20 bits each: one multiplication weighs all three.
        self._packed = (rgb[..., 0] | (rgb[..., 1] << np.uint64(20)) | (rgb[..., 2] << np.uint64(40))).reshape(-1)
        self._depth, self._floor = backdrop.depth.reshape(-1), backdrop.floor.reshape(-1)

    def at(self, warp: Affine) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
        """Colour (H, W, 3), depth (H, W) and floor (H, W) of the room under that map of the picture."""
        a, b, c, d, e, f = invert_affine(warp)
        size, one = self._size, 1 << _BITS
        grid = np.arange(size, dtype=np.float64)
        x = (grid * a + (c + self._margin))[None, :] + (grid * b)[:, None]
        y = (grid * d + (f + self._margin))[None, :] + (grid * e)[:, None]
        limit = (self._side - 1) * one - 1
        xi = np.clip(np.floor(x * one + 0.5).astype(np.int64), 0, limit)
        yi = np.clip(np.floor(y * one + 0.5).astype(np.int64), 0, limit)
        fx, fy = (xi & (one - 1)).astype(np.uint64), (yi & (one - 1)).astype(np.uint64)
        at = (yi >> _BITS) * self._side + (xi >> _BITS)
        gx, gy, packed = np.uint64(one) - fx, np.uint64(one) - fy, self._packed
        total = packed[at] * (gx * gy) + packed[at + 1] * (fx * gy)
        total += packed[at + self._side] * (gx * fy) + packed[at + self._side + 1] * (fx * fy)
        colour = np.empty((size, size, 3), np.float32)
        for channel in range(3):
            value = ((total >> np.uint64(20 * channel)) & np.uint64(0xFFFFF)) + np.uint64(1 << (2 * _BITS - 1))
            colour[..., channel] = value >> np.uint64(2 * _BITS)
        nearest = ((yi + one // 2) >> _BITS) * self._side + ((xi + one // 2) >> _BITS)
        return colour, self._depth[nearest], self._floor[nearest]
