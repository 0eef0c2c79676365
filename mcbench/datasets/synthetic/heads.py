"""Heads: faces painted in the head's own coordinates, and hair as shells and tubes, so that any side looks right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcbench.datasets.synthetic.body import Build
from mcbench.datasets.synthetic.raster import PROFILE, Cut, Ellipsoid, Floats, Paint, Tube
from mcbench.datasets.synthetic.wardrobe import Colour, Look, plain

if TYPE_CHECKING:
    from mcbench.datasets.synthetic.figure import Joints

__all__ = ["Head", "along", "profile"]

Vector = tuple[float, float, float]


def along(origin: Vector, *steps: tuple[Vector, float]) -> Vector:
    """The origin moved by so many metres along each axis."""
    x, y, z = origin
    for axis, metres in steps:
        x, y, z = x + axis[0] * metres, y + axis[1] * metres, z + axis[2] * metres
    return x, y, z


def profile(*points: tuple[float, float]) -> Floats:
    """Radii along a tube, metres: a smooth curve (Catmull and Rom) through (place from 0 to 1, radius) pairs."""
    ts, rs = [p[0] for p in points], [p[1] for p in points]
    last = len(points) - 1
    slopes = []
    for i in range(len(points)):
        a, b = max(i - 1, 0), min(i + 1, last)
        slopes.append((rs[b] - rs[a]) / (ts[b] - ts[a]) if b > a else 0.0)
    out, i = [], 0
    for step in range(PROFILE):
        t = step / (PROFILE - 1)
        while i < last - 1 and t > ts[i + 1]:
            i += 1
        if last == 0:
            out.append(rs[0])
            continue
        span = ts[i + 1] - ts[i]
        u = (t - ts[i]) / span
        u2, u3 = u * u, u * u * u
        out.append(
            (2 * u3 - 3 * u2 + 1) * rs[i]
            + (u3 - 2 * u2 + u) * span * slopes[i]
            + (3 * u2 - 2 * u3) * rs[i + 1]
            + (u3 - u2) * span * slopes[i + 1]
        )
    return np.array(out, np.float32)


def _rgb(colour: Colour | tuple[float, float, float]) -> npt.NDArray[np.float32]:
    return np.array(colour, np.float32)


def _face(look: Look) -> Paint:
    skin, lips = _rgb(look.skin), _rgb(look.lips)
    dark = look.skin[0] < 180
    blush = _rgb(
        (
            min(255, look.skin[0] * 1.02),
            look.skin[1] * (0.80 if dark else 0.72),
            look.skin[2] * (0.76 if dark else 0.72),
        )
    )
    brow = _rgb((look.hair[0] * 0.72, look.hair[1] * 0.68, look.hair[2] * 0.66))
    beard = _rgb(tuple(0.72 * h + 0.28 * s for h, s in zip(look.hair, look.skin, strict=True)))  # type: ignore[arg-type]
    white, iris, ink, mouth, teeth = (
        _rgb(c) for c in ((250, 248, 244), (62, 42, 38), (44, 30, 34), (132, 44, 52), (252, 246, 240))
    )

    def paint(x: Floats, y: Floats, z: Floats, scale: float) -> Floats:
        rgb = np.empty((x.size, 3), np.float32)
        rgb[:] = skin
        index = np.flatnonzero(z > 0.1)
        if not index.size:
            return rgb
        x, y = x[index], y[index]
        face: Floats = rgb[index]

        def lay(colour: Floats, cover: Floats) -> None:
            nonlocal face
            cover = np.minimum(np.maximum(cover, 0.0), 1.0)[:, None]
            face = face + (colour - face) * cover

        wide = np.abs(x)
        cx, cy = (wide - 0.52) * 4.0, (y + 0.24) * 4.6
        lay(blush, 0.55 * (1.0 - (cx * cx + cy * cy)))
        if look.face == "beard":
            ex, ey = x * 2.5, (y + 0.50) * 3.6
            chin = np.minimum(-0.10 - 0.26 * (1.0 - wide) - y, (np.sqrt(ex * ex + ey * ey) - 1.0) * 0.3)
            lay(beard, chin * scale + 0.5)
        if look.face in ("beard", "moustache"):
            lay(beard, (np.minimum(0.055 - np.abs(y + 0.36 + 0.45 * x * x), 0.30 - wide)) * scale + 0.5)
        low, high = -0.66 + 1.5 * x * x, -0.47 + 0.10 * x * x
        inner = np.minimum(y - low, high - y)
        lay(lips, (inner + 0.045) * scale + 0.5)
        lay(mouth, inner * scale + 0.5)
        lay(teeth, np.minimum(inner, y - (0.5 * low + 0.5 * high) - 0.01) * scale + 0.5)
        ex, ey = wide - 0.36, y - 0.06
        a, b = ex * (1.0 / 0.165), ey * (1.0 / 0.125)
        eye = (1.0 - np.sqrt(a * a + b * b)) * 0.135
        lid = np.minimum(eye + 0.055, ey - 0.045)
        lay(ink, lid * scale + 0.5)
        lay(white, eye * scale + 0.5)
        # Irises keep to the eyes' inner side: both look at the same far point.
        ball = 0.098 - np.sqrt((wide - 0.35) * (wide - 0.35) + (y - 0.065) * (y - 0.065))
        lay(iris, np.minimum(ball, eye + 0.02) * scale + 0.5)
        gx, gy = x - np.where(x > 0, np.float32(0.38), np.float32(-0.32)), y - 0.11
        glint = 0.034 - np.sqrt(gx * gx + gy * gy)
        lay(white, glint * scale + 0.4)
        lay(
            brow,
            np.minimum(
                0.034 - np.abs(y - 0.315 + 0.55 * (wide - 0.36) * (wide - 0.36) + 0.06 * (wide - 0.36)),
                0.19 - np.abs(ex),
            )
            * scale
            + 0.5,
        )
        if look.face == "glasses":
            ring = 0.030 - np.abs(np.sqrt(ex * ex + ey * ey * 1.15) - 0.25)
            bridge = np.minimum(0.026 - np.abs(y - 0.10), 0.13 - wide)
            temple = np.minimum(0.026 - np.abs(y - 0.09), wide - 0.60)
            lay(ink, np.maximum(np.maximum(ring, bridge), temple) * scale + 0.5)
        rgb[index] = face
        return rgb

    return paint


def _strands(colour: Colour) -> Paint:
    base = _rgb(colour)
    light = _rgb(tuple(min(255.0, c * 1.22 + 16) for c in colour))  # type: ignore[arg-type]

    def paint(x: Floats, y: Floats, z: Floats, scale: float) -> Floats:
        fine = x * 5.0 + z * 3.0 + y * 0.8
        strand = np.abs(fine - np.floor(fine) - 0.5) * 2.0
        shine = np.clip(1.0 - np.abs(y - 0.52) * 5.0, 0.0, 1.0)
        return np.asarray(base + np.clip(strand * 0.28 + shine * 0.55, 0.0, 1.0)[:, None] * (light - base))

    return paint


_BOTTOM = {"bob": -0.92, "long": -0.90, "mop": -1.20, "pigtails": -0.56}
"""How far down hair grows, where it is not cropped."""


def _trim(style: str, size: float) -> Cut:
    bottom = _BOTTOM.get(style, -0.40)

    def cut(x: Floats, y: Floats, z: Floats, scale: float) -> Floats:
        return (y - bottom) * (size * scale)

    return cut


def _shell_cut(style: str, size: float) -> Cut:
    """Where hair grows, on its shell's unit sphere."""
    line = {"short": 0.46, "quiff": 0.52, "mop": 0.00, "bob": 0.44, "long": 0.46}.get(style, 0.46)
    bottom = _BOTTOM.get(style, -0.40)
    ears = {"bob": 0.52, "long": 0.46, "mop": 0.56}.get(style, 0.20)
    fringe = {"bob": -0.10, "long": 0.34, "pigtails": 0.30, "quiff": 0.10, "mop": 0.16}.get(style, 0.22)

    def cut(x: Floats, y: Floats, z: Floats, scale: float) -> Floats:
        # A parted fringe: the hairline falls to the sides of a parting off the middle.
        part = np.abs(x - 0.22)
        front = y - (line + 0.10 - fringe * part)
        side = ears - z + np.where(y > 0, 0.62, 0.25) * y
        corner = 0.0 if style in ("bob", "long", "mop") else 0.22
        nape = y - bottom - np.maximum(0.34 * z, -0.06 * z) - corner * np.abs(x)
        return np.asarray(np.minimum(np.maximum(front, side), nape) * (size * scale))

    return cut


class Head:
    """The solids of one character's head."""

    def __init__(self, look: Look, build: Build) -> None:
        self.look, self.radii = look, build.head
        self.face, self.hair = _face(look), _strands(look.hair)
        self.skin = plain(look.skin)
        self.nose = plain(tuple(c * f for c, f in zip(look.skin, (0.985, 0.93, 0.92), strict=True)))  # type: ignore[arg-type]
        self.cut, self.trim = _shell_cut(look.style, build.head[1]), _trim(look.style, build.head[1])
        self.depth = plain((look.hair[0] * 0.8, look.hair[1] * 0.78, look.hair[2] * 0.8))
        cloth = look.outfit.accent if look.style == "cap" else look.outfit.top
        self.hat, self.band = plain(cloth), plain(tuple(c * 0.8 for c in cloth))  # type: ignore[arg-type]
        self.tail = profile((0, 0.020), (0.25, 0.040), (0.7, 0.034), (1, 0.010))
        self.mane = profile((0, 0.085), (0.4, 0.108), (0.8, 0.104), (1, 0.080))

    def solids(self, j: Joints) -> list[Tube | Ellipsoid]:
        """The head in one frame."""
        centre, x, y, z = j["head"], j["head_x"], j["head_y"], j["head_z"]
        rx, ry, rz = self.radii
        style, lag = self.look.style, j["head_lag"]
        out: list[Tube | Ellipsoid] = [Ellipsoid(centre, x, y, z, self.radii, self.face, egg=0.17)]
        out.append(
            Ellipsoid(
                along(centre, (y, -0.20 * ry), (z, 0.97 * rz)), x, y, z, (0.0155, 0.024, 0.019), self.nose, ink=0.25
            )
        )
        for side in (1.0, -1.0):
            ear = along(centre, (x, side * 0.97 * rx), (y, -0.06 * ry), (z, -0.10 * rz))
            if style not in ("bob", "long", "mop"):
                out.append(Ellipsoid(ear, x, y, z, (0.014, 0.030, 0.020), self.skin, ink=0.6))
        shell = along(centre, (y, 0.045 * ry), (z, -0.05 * rz))
        if style in ("cap", "beanie"):
            return out + self._hat(shell, j)
        if style == "bald":
            return out
        grow = {"mop": 1.48, "bob": 1.26, "long": 1.17}.get(style, 1.09)
        high = {"mop": 1.16, "bob": 1.13, "long": 1.09}.get(style, 1.08)
        if style == "mop":
            shell = along(shell, (y, 0.36 * ry), (z, -0.22 * rz))
        out.append(Ellipsoid(shell, x, y, z, (rx * grow, ry * high, rz * grow), self.hair, self.cut, ink=0.7))
        if grow > 1.1:
            # What is seen between the face and wide hair is the hair behind the head.
            inner = along(shell, (z, -0.26 * rz))
            size = (rx * grow * 0.93, ry * high * 0.95, rz * grow * 0.66)
            out.append(Ellipsoid(inner, x, y, z, size, self.depth, self.trim, ink=0.0))
        if style == "quiff":
            tuft = along(centre, (y, 0.80 * ry), (z, 0.30 * rz), (x, -0.06 * rx))
            out.append(Ellipsoid(tuft, x, y, z, (rx * 0.92, ry * 0.42, rz * 0.80), self.hair, ink=0.5))
        elif style == "bun":
            out.append(
                Ellipsoid(
                    along(centre, (y, 0.98 * ry), (z, -0.62 * rz)), x, y, z, (0.050, 0.048, 0.050), self.hair, ink=0.7
                )
            )
        elif style == "ponytail":
            root = along(centre, (y, 0.40 * ry), (z, -1.05 * rz))
            tip = along(root, (z, -0.075), ((0.0, -1.0, 0.0), 0.22), (lag, 0.9))
            out.append(Tube(root, tip, x, z, self.tail, 0.9, self.hair, ink=0.7))
        elif style == "pigtails":
            for side in (1.0, -1.0):
                root = along(centre, (y, -0.05 * ry), (x, side * 1.08 * rx), (z, -0.35 * rz))
                tip = along(root, (x, side * 0.050), ((0.0, -1.0, 0.0), 0.17), (lag, 0.8))
                out.append(Tube(root, tip, x, z, self.tail, 0.9, self.hair, ink=0.7))
        elif style == "long":
            root = along(centre, (y, 0.25 * ry), (z, -0.46 * rz))
            tip = along(root, (y, -0.10), ((0.0, -1.0, 0.0), 0.21), (z, -0.035), (lag, 0.5))
            out.append(Tube(root, tip, x, z, self.mane, 0.62, self.hair, ink=0.7))
        return out

    def _hat(self, shell: Vector, j: Joints) -> list[Tube | Ellipsoid]:
        x, y, z = j["head_x"], j["head_y"], j["head_z"]
        rx, ry, rz = self.radii
        cap = self.look.style == "cap"

        def crown(a: Floats, b: Floats, c: Floats, scale: float) -> Floats:
            return (b - (0.34 if cap else 0.22) - 0.06 * c) * (ry * scale)

        hair = Ellipsoid(shell, x, y, z, (rx * 1.05, ry * 1.03, rz * 1.06), self.hair, _shell_cut("short", ry), ink=0.5)
        hat = Ellipsoid(shell, x, y, z, (rx * 1.15, ry * (1.08 if cap else 1.17), rz * 1.15), self.hat, crown)
        out: list[Tube | Ellipsoid] = [hair, hat]
        if cap:
            brim = along(shell, (y, 0.40 * ry), (z, 1.18 * rz))
            out.append(Ellipsoid(brim, x, y, z, (rx * 0.86, 0.011, rz * 0.62), self.band))
        else:

            def rim(a: Floats, b: Floats, c: Floats, scale: float) -> Floats:
                return (0.11 - np.abs(b - 0.32 - 0.06 * c)) * (ry * scale)

            out.append(Ellipsoid(shell, x, y, z, (rx * 1.20, ry * 1.17, rz * 1.20), self.band, rim))
        return out
