"""The camera: a pinhole that looks slightly down into the room, and the shake of the training split."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mcbench.datasets.synthetic.arithmetic import Array, Random, cosine, sine

__all__ = ["IDENTITY", "Affine", "Camera", "Shake", "compose_affine", "invert_affine"]

Affine = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): x' = a x + b y + c, y' = d x + e y + f."""

IDENTITY: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def compose_affine(outer: Affine, inner: Affine) -> Affine:
    """The map that applies `inner` first."""
    a, b, c, d, e, f = outer
    p, q, r, s, t, u = inner
    return (a * p + b * s, a * q + b * t, a * r + b * u + c, d * p + e * s, d * q + e * t, d * r + e * u + f)


def invert_affine(m: Affine) -> Affine:
    """The inverse map."""
    a, b, c, d, e, f = m
    det = a * e - b * d
    p, q, s, t = e / det, -b / det, -d / det, a / det
    return (p, q, -(p * c + q * f), s, t, -(s * c + t * f))


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at (0, height, distance) in metres that looks towards -z and down.

    The world has x to the right, y up, z towards the camera; the floor is y = 0 and the dancers are around the origin.

    Attributes:
        focal: focal length in pixels.
        centre: where the optical axis meets the picture, in pixels; the centre of the top left pixel is (0, 0).
        height: of the camera above the floor, metres.
        distance: from the camera to the plane z = 0, metres.
        pitch: how far it looks down, in turns.
        warp: a similarity of the picture (roll, zoom, shift) applied last: what a shaken camera adds.
    """

    focal: float
    centre: float
    height: float
    distance: float
    pitch: float
    warp: Affine = IDENTITY

    @property
    def basis(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """The picture's up direction and the direction from the scene to the camera, unit vectors of the world."""
        s, c = float(sine(self.pitch)), float(cosine(self.pitch))
        return (0.0, c, -s), (0.0, s, c)

    def shaken(self, warp: Affine) -> Camera:
        """The same camera with another picture warp."""
        return replace(self, warp=warp)

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pictures and depths of world points.

        Args:
            points: (..., 3), metres.

        Returns:
            (..., 2) pixels, x then y, and (...) metres along the optical axis.
        """
        up, back = self.basis
        x = points[..., 0]
        y = points[..., 1] - self.height
        z = points[..., 2] - self.distance
        depth = np.maximum(-(y * back[1] + z * back[2]), 0.05)
        u = self.centre + self.focal * x / depth
        v = self.centre - self.focal * (y * up[1] + z * up[2]) / depth
        a, b, c, d, e, f = self.warp
        return np.stack((a * u + b * v + c, d * u + e * v + f), -1), np.asarray(depth)


def _at(waves: list[tuple[float, float, float]], frame: int) -> float:
    # Not sum(), which rounds otherwise from Python 3.12 on.
    total = 0.0
    for amplitude, frequency, phase in waves:
        total += amplitude * (float(sine(frequency * frame + phase)) - float(sine(phase)))
    return total


class Shake:
    """A hand-held camera: shift, roll and zoom as sums of slow sine waves, zero at frame 0."""

    MARGIN = 0.125
    """How much wider than the picture, on each side and as a share of its size, the background must be painted."""

    def __init__(self, random: Random, size: int) -> None:
        """Args: random: its source; size: side of the picture in pixels."""
        self._centre = (size - 1) / 2

        def waves(amplitude: float) -> list[tuple[float, float, float]]:
            parts = ((0.0117, 0.6), (0.031, 0.28), (0.083, 0.12))
            return [
                (amplitude * s * random.uniform(0.6, 1.0), f * random.uniform(0.75, 1.3), random.uniform())
                for f, s in parts
            ]

        self._x = waves(0.036 * size)
        self._y = waves(0.026 * size)
        self._roll = waves(0.0042)
        self._zoom = waves(0.022)

    def at(self, frame: int) -> Affine:
        """The affine map from the picture of the camera at rest to the picture of that frame, pixels."""
        if frame == 0:
            return IDENTITY
        x, y, roll, zoom = (_at(waves, frame) for waves in (self._x, self._y, self._roll, self._zoom))
        scale = 1.0 + zoom
        c, s = scale * float(cosine(roll)), scale * float(sine(roll))
        m = self._centre
        return (c, -s, m + x - c * m + s * m, s, c, m + y - s * m - c * m)
