"""Shadows that the figures cast on the floor: each limb laid along the light, softer the higher it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcbench.datasets.synthetic.body import Build
from mcbench.datasets.synthetic.figure import Joints
from mcbench.datasets.synthetic.raster import Floats, View

__all__ = ["cast_shadows"]

# Limbs as pairs of joints with the shadow's half width, metres.
_LIMBS = (
    ("left_hip", "left_knee", 0.075), ("right_hip", "right_knee", 0.075),
    ("left_knee", "left_ankle", 0.052), ("right_knee", "right_ankle", 0.052),
    ("pelvis", "neck", 0.145), ("neck", "head", 0.095),
    ("left_shoulder", "left_elbow", 0.045), ("right_shoulder", "right_elbow", 0.045),
    ("left_elbow", "left_wrist", 0.038), ("right_elbow", "right_wrist", 0.038),
)  # fmt: skip
CAST, CONTACT = 0.36, 0.42
"""How dark the cast shadow and the dark spot under a foot are at most."""


def cast_shadows(
    colour: Floats,
    floor: npt.NDArray[np.bool_],
    view: View,
    poses: list[Joints],
    builds: list[Build],
    slope: tuple[float, float],
) -> None:
    """Darkens the floor of a picture, in place.

    Args:
        colour: (H, W, 3), 0-255.
        floor: (H, W), where shadows may fall.
        view: who looks.
        poses, builds: the figures.
        slope: how far the shadow of a point moves in x and z for each metre above the floor.
    """
    high, wide = floor.shape
    shade = np.zeros((high, wide), np.float32)
    # A circle on the floor is seen as a flat ellipse: about as flat as the camera is high over its distance.
    flat = max(0.2, view.camera.height / view.camera.distance)
    for joints, build in zip(poses, builds, strict=True):
        for first, second, width in _LIMBS:
            a, b = joints[first], joints[second]
            _limb(shade, view, _fallen(a, slope), _fallen(b, slope), a[1], b[1], width * build.girth, flat, CAST)
        for word in ("left", "right"):
            ankle, toe = joints[f"{word}_ankle"], joints[f"{word}_toe"]
            above = max(0.0, ankle[1] - build.ankle)
            strength = CONTACT * max(0.0, 1.0 - above * 9.0)
            if strength > 0.02:
                heel = (ankle[0], 0.0, ankle[2])
                tip = (ankle[0] + toe[0] * 0.16, 0.0, ankle[2] + toe[2] * 0.16)
                _limb(shade, view, heel, tip, 0.02, 0.02, 0.055, flat, strength)
    rows = np.flatnonzero(shade.any(axis=1))
    if not rows.size:
        return
    band = slice(int(rows[0]), int(rows[-1]) + 1)
    dark = np.where(floor[band], shade[band], np.float32(0.0))[..., None]
    # Shadows are a little blue.
    colour[band] *= 1.0 - dark * np.array((1.0, 0.96, 0.84), np.float32)


def _fallen(p: tuple[float, float, float], slope: tuple[float, float]) -> tuple[float, float, float]:
    high = max(p[1], 0.0)
    return p[0] + slope[0] * high, 0.0, p[2] + slope[1] * high


def _limb(
    shade: Floats,
    view: View,
    a: tuple[float, float, float],
    b: tuple[float, float, float],
    high_a: float,
    high_b: float,
    width: float,
    flat: float,
    strength: float,
) -> None:
    u0, v0, _, k0 = view.place(a)
    u1, v1, _, k1 = view.place(b)
    scale = 0.5 * (k0 + k1)
    radius = width * scale
    soft0, soft1 = (1.5 + scale * 0.085 * max(h, 0.0) for h in (high_a, high_b))
    reach = radius + max(soft0, soft1)
    high, wide = shade.shape
    left, right = max(0, int(min(u0, u1) - reach)), min(wide, int(max(u0, u1) + reach) + 2)
    top, bottom = max(0, int(min(v0, v1) - reach * flat)), min(high, int(max(v0, v1) + reach * flat) + 2)
    if left >= right or top >= bottom:
        return
    dx = np.arange(left, right, dtype=np.float32) - u0
    dy = ((np.arange(top, bottom, dtype=np.float32) - v0) * (1.0 / flat))[:, None]
    eu, ev = u1 - u0, (v1 - v0) / flat
    size2 = max(eu * eu + ev * ev, 1.0)
    t = np.clip((dx * eu + dy * ev) * (1.0 / size2), 0.0, 1.0)
    qx, qy = dx - t * eu, dy - t * ev
    soft = soft0 + (soft1 - soft0) * t
    cover = np.clip((radius - np.sqrt(qx * qx + qy * qy)) / soft * 0.5 + 0.5, 0.0, 1.0)
    # A wide penumbra is also a pale one.
    cover = cover * (strength * np.minimum(1.0, (radius * 1.6 + 2.0) / (radius + soft)))
    window = shade[top:bottom, left:right]
    np.maximum(window, cover, out=window)
