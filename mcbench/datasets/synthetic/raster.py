"""Drawing solids into a picture with a depth buffer: tapered tubes and ellipsoids, antialiased and softly shaded.

Each solid is drawn in orthographic projection at its own scale, inside its bounding box. All per-pixel work is
elementwise float32 arithmetic, so that every machine draws the same picture.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.datasets.synthetic.camera import Affine, Camera

__all__ = ["Canvas", "Ellipsoid", "Floats", "Paint", "Tube", "View", "draw"]

Floats = npt.NDArray[np.floating[Any]]
"""Drawing is float32 throughout; tables and set-up may be float64."""
Ints = npt.NDArray[np.intp]
Vector = tuple[float, float, float]
Paint = Callable[[Floats, Floats, Floats, float], Floats]
"""Colour of surface points: (left-right, up-down, back-front, pixels per unit) to (n, 3) or (3,), 0-255.

For a tube: unit circle coordinates of the cross-section and, in the middle, 0 at its start to 1 at its end. For an
ellipsoid: coordinates on the unit sphere."""
Cut = Callable[[Floats, Floats, Floats, float], Floats]
"""Signed distance in pixels to the edge of what is left of a surface; negative is cut away. Arguments as of Paint."""

PROFILE = 256
"""Samples of a tube's radius along its length."""


@dataclass(frozen=True, slots=True)
class Tube:
    """A straight tube of elliptic cross-section from `a` to `b`, metres; `radius` is its half width along `x`."""

    a: Vector
    b: Vector
    x: Vector
    z: Vector
    radius: Floats
    flat: float
    paint: Paint
    round_a: bool = True
    round_b: bool = True
    ink: float = 1.0


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """An ellipsoid with its own axes; `egg` narrows its lower half."""

    centre: Vector
    x: Vector
    y: Vector
    z: Vector
    radii: Vector
    paint: Paint
    cut: Cut | None = None
    egg: float = 0.0
    ink: float = 1.0


class Canvas:
    """Colour (H, W, 3) float32 0-255, depth (H, W) float32 metres, owner (H, W) uint8: 0 room, k + 1 character k."""

    def __init__(self, colour: Floats, depth: Floats, owner: npt.NDArray[np.uint8]) -> None:
        self.height, self.width = depth.shape
        self.colour = colour.reshape(-1, 3)
        self.depth = depth.reshape(-1)
        self.owner = owner.reshape(-1)


class View:
    """A camera made ready for drawing: plain floats, with the light in the camera's frame."""

    def __init__(self, camera: Camera, light: Vector, shade: Vector, lit: Vector) -> None:
        """Args: light: towards the light, in picture coordinates (right, up, to the viewer); shade, lit: colours."""
        self._aim(camera)
        self.light = light
        self.shade = np.array(shade, np.float32)
        self.gain = np.array([b - a for a, b in zip(shade, lit, strict=True)], np.float32)
        # Ink lines and contact shadows keep their look at every picture size.
        self.pen = max(0.45, camera.centre / 255.5)

    def _aim(self, camera: Camera) -> None:
        self.camera = camera
        self.up, self.back = camera.basis
        a, _, _, d, _, _ = camera.warp
        self.zoom = float(np.sqrt(a * a + d * d))
        self.roll = (a / self.zoom, d / self.zoom)

    def shaken(self, warp: Affine) -> View:
        """The same view through a camera with another picture warp."""
        view = copy(self)
        view._aim(self.camera.shaken(warp))
        return view

    def depth(self, p: Vector) -> float:
        """Depth of a world point, metres."""
        return -((p[1] - self.camera.height) * self.back[1] + (p[2] - self.camera.distance) * self.back[2])

    def place(self, p: Vector) -> tuple[float, float, float, float]:
        """Pixel x, pixel y, depth in metres and pixels per metre of a world point."""
        camera = self.camera
        y, z = p[1] - camera.height, p[2] - camera.distance
        depth = max(-(y * self.back[1] + z * self.back[2]), 0.05)
        scale = camera.focal / depth
        u = camera.centre + scale * p[0]
        v = camera.centre - scale * (y * self.up[1] + z * self.up[2])
        a, b, c, d, e, f = camera.warp
        return a * u + b * v + c, d * u + e * v + f, depth, scale * self.zoom

    def turn(self, d: Vector) -> Vector:
        """A world direction in picture coordinates: right, down, towards the viewer."""
        right, down = d[0], -(d[1] * self.up[1] + d[2] * self.up[2])
        toward = d[1] * self.back[1] + d[2] * self.back[2]
        c, s = self.roll
        return c * right - s * down, s * right + c * down, toward


def draw(canvas: Canvas, view: View, solid: Tube | Ellipsoid, owner: int) -> None:
    """Draws one solid for that owner. Far solids must be drawn before near ones for their edges to blend well."""
    if isinstance(solid, Tube):
        _draw_tube(canvas, view, solid, owner)
    else:
        _draw_ellipsoid(canvas, view, solid, owner)


def _box(canvas: Canvas, x0: float, y0: float, x1: float, y1: float) -> tuple[int, int, Floats, Floats] | None:
    left, top = max(0, int(x0)), max(0, int(y0))
    right, bottom = min(canvas.width, int(x1) + 2), min(canvas.height, int(y1) + 2)
    if left >= right or top >= bottom:
        return None
    return left, top, np.arange(left, right, dtype=np.float32), np.arange(top, bottom, dtype=np.float32)


def _draw_tube(canvas: Canvas, view: View, tube: Tube, owner: int) -> None:
    u0, v0, d0, k0 = view.place(tube.a)
    u1, v1, d1, k1 = view.place(tube.b)
    scale = 0.5 * (k0 + k1)
    radius = tube.radius * scale
    reach = float(radius.max()) * max(1.0, tube.flat) + 5 * view.pen
    box = _box(canvas, min(u0, u1) - reach, min(v0, v1) - reach, max(u0, u1) + reach, max(v0, v1) + reach)
    if box is None:
        return
    left, top, xs, ys = box

    eu, ev = u1 - u0, v1 - v0
    size = float(np.sqrt(eu * eu + ev * ev))
    eu, ev = (eu / size, ev / size) if size > 0.25 else (0.0, 1.0)
    size = max(size, 0.25)
    gu, gv = -ev, eu
    xr, xd, xt = view.turn(tube.x)
    zr, zd, zt = view.turn(tube.z)
    flat = tube.flat
    # The cross-section is an ellipse in space. In the basis of its own axes, (p, q) is the unit direction that shows
    # as its outline, (-q, p) the one that faces the viewer.
    p, q = xr * gu + xd * gv, flat * (zr * gu + zd * gv)
    wide = max(float(np.sqrt(p * p + q * q)), 1e-3)
    p, q = p / wide, q / wide
    side = xt * p + flat * zt * q
    face = -xt * q + flat * zt * p
    if face < 0:
        face, nearer = -face, -1.0
    else:
        nearer = 1.0
    xe, ze = xr * eu + xd * ev, flat * (zr * eu + zd * ev)
    lean, bulge = xe * p + ze * q, nearer * (-xe * q + ze * p)

    dx, dy = xs - u0, (ys - v0)[:, None]
    along = dx * eu + dy * ev
    across = dx * gu + dy * gv
    t = _unit_clip(along * (1.0 / size))
    sample = (t * (PROFILE - 1) + 0.5).astype(np.int32)
    width = (radius * wide)[sample]
    beyond = along - t * size
    # A flat end is an ellipse seen at a slant: it may reach beyond the axis by the bulge of its front.
    if not tube.round_a:
        beyond = np.maximum(beyond, 0.0)
    if not tube.round_b:
        beyond = np.minimum(beyond, 0.0)
    away = np.sqrt(across * across + beyond * beyond)
    inside = width - away
    if not tube.round_a and not tube.round_b:
        # Where the outline runs at a slant, the distance to it is shorter than straight across.
        slope = np.zeros(PROFILE, np.float32)
        slope[1:-1] = (radius[2:] - radius[:-2]) * (0.5 * (PROFILE - 1) * wide / size)
        inside *= (1.0 / np.sqrt(1.0 + slope * slope))[sample]
    index = np.flatnonzero(inside > -4 * view.pen)
    if not index.size:
        return
    inside, width, along, across, beyond = (a.ravel().take(index) for a in (inside, width, along, across, beyond))
    over = 1.0 / np.maximum(width, 0.05)
    n = np.minimum(np.maximum(across * over, -1.0), 1.0)
    b = beyond * over
    m = np.sqrt(np.maximum(1.0 - n * n - b * b, 0.0))
    metres = width * (1.0 / (scale * wide))
    place = along - (n * lean + m * bulge) * (metres * scale)
    t = _unit_clip(place * (1.0 / size))
    if not tube.round_a:
        inside = np.minimum(inside, place)
    if not tube.round_b:
        inside = np.minimum(inside, size - place)
    depth = d0 + (d1 - d0) * t - (n * side + m * face) * metres
    stamp = _Stamp(canvas, view, _spread(index, left, top, xs.size, canvas.width), inside, depth, owner)
    if stamp.keep is None:
        return
    n, m, b, t = (a.take(stamp.keep) for a in (n, m, b, t))
    c = n * p - (m * q) * nearer
    f = n * q + (m * p) * nearer
    lr, lu, lt = view.light
    lx, lz = xr * lr - xd * lu + xt * lt, zr * lr - zd * lu + zt * lt
    # Normal of the ellipse: (c / 1, f / flat); the caps also face along the axis.
    light = (c * (flat * lx) + f * lz) / np.sqrt(c * c * (flat * flat) + f * f + 1e-6)
    axis = b * (eu * lr - ev * lu)
    edge = 1.0 - np.minimum(np.abs(b) * 3.0, 1.0)
    stamp.paint(light + axis, tube.paint(c, t, f, scale), edge * tube.ink)


def _draw_ellipsoid(canvas: Canvas, view: View, solid: Ellipsoid, owner: int) -> None:
    u, v, d, scale = view.place(solid.centre)
    reach = max(solid.radii) * (1 + abs(solid.egg)) * scale + 5 * view.pen
    box = _box(canvas, u - reach, v - reach, u + reach, v + reach)
    if box is None:
        return
    left, top, xs, ys = box
    axes = [view.turn(axis) for axis in (solid.x, solid.y, solid.z)]
    over = [1.0 / r for r in solid.radii]
    dx, dy = (xs - u) * (1.0 / scale), ((ys - v) * (1.0 / scale))[:, None]
    if solid.egg:
        # A jaw: widths are stretched below the middle, so that the outline narrows there.
        yr, yd, _ = axes[1]
        norm = max(float(np.sqrt(yr * yr + yd * yd)), 1e-3)
        yr, yd = yr / norm, yd / norm
        high = dx * yr + dy * yd
        wide = dx * yd - dy * yr
        stretched = wide * (1.0 - solid.egg * np.clip(high * (norm * over[1]), -1.2, 0.6))
        dx, dy = high * yr + stretched * yd, high * yd - stretched * yr
    q0 = [(dx * r + dy * w) * o for (r, w, _), o in zip(axes, over, strict=True)]
    q1 = [t * o for (_, _, t), o in zip(axes, over, strict=True)]
    aa = q1[0] * q1[0] + q1[1] * q1[1] + q1[2] * q1[2]
    half = (q0[0] * q1[0] + q0[1] * q1[1] + q0[2] * q1[2]) * (1.0 / aa)
    form = np.maximum(q0[0] * q0[0] + q0[1] * q0[1] + q0[2] * q0[2] - half * half * aa, 1e-6)
    root = np.sqrt(form)
    inside = np.sqrt(dx * dx + dy * dy) * (1.0 / root - 1.0) * scale
    inside = np.where(form < 0.01, min(solid.radii) * scale, inside)
    index = np.flatnonzero(inside > -4 * view.pen)
    if not index.size:
        return
    inside, form, half = (a.ravel().take(index) for a in (inside, form, half))
    rise = np.sqrt(np.maximum(1.0 - form, 0.0) * (1.0 / aa)) - half
    shrink = 1.0 / np.sqrt(np.maximum(form, 1.0))
    x, y, z = ((a.ravel().take(index) + rise * b) * shrink for a, b in zip(q0, q1, strict=True))
    if solid.cut is not None:
        inside = np.minimum(inside, solid.cut(x, y, z, scale))
    stamp = _Stamp(canvas, view, _spread(index, left, top, xs.size, canvas.width), inside, d - rise, owner)
    if stamp.keep is None:
        return
    x, y, z = (a.take(stamp.keep) for a in (x, y, z))
    lr, lu, lt = view.light
    lights = [(r * lr - w * lu + t * lt) * o for (r, w, t), o in zip(axes, over, strict=True)]
    x1, y1, z1 = x * over[0], y * over[1], z * over[2]
    light = (x * lights[0] + y * lights[1] + z * lights[2]) / np.sqrt(x1 * x1 + y1 * y1 + z1 * z1 + 1e-6)
    stamp.paint(light, solid.paint(x, y, z, scale * solid.radii[1]), solid.ink)


def _unit_clip(a: Floats) -> Floats:
    # Two ufuncs are several times as fast as np.clip on the few pixels of a limb.
    return np.minimum(np.maximum(a, 0.0), 1.0)


def _spread(index: Ints, left: int, top: int, wide: int, full: int) -> Ints:
    """Places in a box to places in the whole picture."""
    row = index // wide
    return index + row * (full - wide) + (top * full + left)


class _Stamp:
    """The pixels of one solid that will be seen: which, how much of each, and what they do to those behind."""

    def __init__(self, canvas: Canvas, view: View, index: Ints, inside: Floats, depth: Floats, owner: int) -> None:
        """Args: index: of pixels; inside: their distance to the outline in pixels, positive within; depth: metres."""
        behind = canvas.depth.take(index) - depth
        cover = _unit_clip(inside + 0.5) * _unit_clip(behind * 140.0 + 0.6)
        if owner:
            # Figures just behind the edge get a soft contact shadow.
            halo = _unit_clip(1.0 + inside * (0.25 / view.pen)) * np.minimum(np.maximum(behind * 14.0 - 0.4, 0.0), 0.34)
            halo *= canvas.owner.take(index) > 0
            keep = np.flatnonzero((cover > 0.0) | (halo > 0.0))
        else:
            keep = np.flatnonzero(cover)
        self.keep: Ints | None = keep if keep.size else None
        if self.keep is None:
            return
        self._canvas, self._view, self._owner = canvas, view, owner
        self._index, self._cover, self._inside = index.take(keep), cover.take(keep), inside.take(keep)
        self._depth = depth.take(keep)
        self._under = 1.0 - self._cover
        if owner:
            self._under *= 1.0 - halo.take(keep)

    def paint(self, light: Floats, colour: Floats, ink: Floats | float) -> None:
        """Shades the kept pixels and lays them over the canvas."""
        canvas, view = self._canvas, self._view
        lit = _unit_clip(light * 0.62 + 0.5)
        lit = lit * lit * (3.0 - 2.0 * lit)
        gain = self._cover
        if self._owner:
            line = _unit_clip(1.35 - self._inside * (1.0 / view.pen)) * (0.5 * ink)
            gain = gain * (1.0 - line)
        rgb = colour * (view.shade + lit[:, None] * view.gain)
        rgb *= gain[:, None]
        rgb += canvas.colour.take(self._index, axis=0) * self._under[:, None]
        canvas.colour[self._index] = rgb
        solid = np.flatnonzero(self._cover >= 0.5)
        hit = self._index.take(solid)
        canvas.depth[hit] = self._depth.take(solid)
        canvas.owner[hit] = self._owner
