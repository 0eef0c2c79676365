"""Arithmetic that gives the same bits on every machine.

Only elementwise IEEE operations (+ - * / sqrt, comparisons, rounding) are used: library sines, powers, matrix products
and float reductions differ in their last bits between machines, and one bit can flip a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array",
    "Ints",
    "Random",
    "cosine",
    "cross",
    "dot",
    "ease",
    "hash01",
    "length",
    "mix",
    "sine",
    "turns_of",
    "unit",
]

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
T = TypeVar("T")

_TAU = 6.283185307179586
# Taylor series of sin(a)/a in a^2 up to a^14: below 1e-11 on [-pi/2, pi/2].
_SINE = (
    -1.0 / 1307674368000.0,
    1.0 / 6227020800.0,
    -1.0 / 39916800.0,
    1.0 / 362880.0,
    -1.0 / 5040.0,
    1.0 / 120.0,
    -1.0 / 6.0,
    1.0,
)


def sine(turns: npt.ArrayLike) -> Array:
    """Sine of an angle in turns (1 turn is 360 degrees), elementwise, accurate to 1e-11."""
    x = np.asarray(turns, np.float64)
    x = x - np.rint(x)
    x = np.where(np.abs(x) > 0.25, np.where(x > 0, 0.5, -0.5) - x, x)
    angle = x * _TAU
    square = angle * angle
    series = np.full_like(angle, _SINE[0])
    for coefficient in _SINE[1:]:
        series = series * square + coefficient
    return np.asarray(series * angle)


def cosine(turns: npt.ArrayLike) -> Array:
    """Cosine of an angle in turns, elementwise, accurate to 1e-11."""
    return sine(np.asarray(turns, np.float64) + 0.25)


def turns_of(x: npt.ArrayLike, z: npt.ArrayLike) -> Array:
    """The angle in turns, in [-0.5, 0.5], whose sine is along `x` and whose cosine is along `z`; accurate to 1e-9."""
    x, z = np.asarray(x, np.float64), np.asarray(z, np.float64)
    radius = np.maximum(np.sqrt(x * x + z * z), 1e-12)
    s, c = x / radius, z / radius
    steep = np.abs(s) > np.abs(c)
    ratio = np.where(steep, c, s) / np.where(steep, s, np.where(c == 0, 1.0, c))
    # atan(r)/tau by a two-term fit, then two Newton steps on the exact sine and cosine.
    angle = ratio * (0.125 + 0.0434 * (1.0 - np.abs(ratio)))
    angle = np.where(
        steep, np.where(s > 0, 0.25, -0.25) - angle, np.where(c > 0, angle, np.where(s >= 0, 0.5, -0.5) + angle)
    )
    for _ in range(2):
        angle = angle + (s * cosine(angle) - c * sine(angle)) / _TAU
    return np.asarray(angle)


def ease(x: npt.ArrayLike) -> Array:
    """Perlin's quintic step: 0 below 0, 1 above 1, with vanishing first and second derivatives at both."""
    x = np.clip(np.asarray(x, np.float64), 0.0, 1.0)
    return np.asarray(x * x * x * (x * (x * 6.0 - 15.0) + 10.0))


def mix(a: Array, b: Array, weight: Array | float) -> Array:
    """Linear interpolation, `a` at weight 0 and `b` at weight 1."""
    return np.asarray(a + (b - a) * weight)


def dot(a: Array, b: Array) -> Array:
    """Dot product of (..., 3) vectors, with a last axis of one kept."""
    product = a * b
    return np.asarray(product[..., 0:1] + product[..., 1:2] + product[..., 2:3])


def cross(a: Array, b: Array) -> Array:
    """Cross product of (..., 3) vectors."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack((ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx), -1)


def length(a: Array) -> Array:
    """Length of (..., 3) vectors, with a last axis of one kept."""
    return np.asarray(np.sqrt(dot(a, a)))


def unit(a: Array) -> Array:
    """(..., 3) vectors scaled to length 1."""
    return np.asarray(a / np.maximum(length(a), 1e-9))


def hash01(x: Ints, y: Ints | int, seed: int) -> npt.NDArray[np.float32]:
    """A fixed pseudo-random number in [0, 1) for every integer cell (x, y)."""
    modulus = np.int64(0xFFFFFFFF)
    h = (x * 374761393 + np.asarray(y, np.int64) * 668265263 + seed * 974711) & modulus
    h = ((h ^ (h >> 13)) * 1274126177) & modulus
    h = ((h ^ (h >> 16)) * 461845907) & modulus
    return ((h ^ (h >> 15)) & 0xFFFF).astype(np.float32) * np.float32(1.0 / 65536.0)


class Random:
    """Random numbers from PCG64's raw stream, which NumPy guarantees never to change."""

    def __init__(self, seed: int) -> None:
        self._raw = np.random.PCG64(seed).random_raw

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in [low, high)."""
        return low + (high - low) * ((int(self._raw()) >> 11) / (1 << 53))

    def below(self, count: int) -> int:
        """An integer in [0, count)."""
        return (int(self._raw()) >> 11) % count

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self.uniform() < probability

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.below(len(options))]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """The options in random order (Fisher and Yates)."""
        rest = list(options)
        for i in range(len(rest) - 1, 0, -1):
            j = self.below(i + 1)
            rest[i], rest[j] = rest[j], rest[i]
        return rest
