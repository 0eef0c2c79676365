"""Rooms: two walls that meet in a corner and a floor, textured in perspective, painted once a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcbench.datasets.synthetic.arithmetic import Ints, Random, cosine, hash01, sine
from mcbench.datasets.synthetic.camera import Camera
from mcbench.datasets.synthetic.decor import Place, paint_decor, plan_decor
from mcbench.datasets.synthetic.furniture import furnish
from mcbench.datasets.synthetic.raster import Canvas, Floats, View, draw
from mcbench.datasets.synthetic.wardrobe import Colour

__all__ = ["Backdrop", "Theme", "make_room", "paint_room"]


@dataclass(frozen=True)
class Theme:
    """Colours of a room. Attributes: wall, wall2 (its pattern), trim, floor, floor2, rug, rug2, wood."""

    wall: Colour
    wall2: Colour
    trim: Colour
    floor: Colour
    floor2: Colour
    rug: Colour
    rug2: Colour
    wood: Colour


def _theme(colours: str) -> Theme:
    parts = [bytes.fromhex(word) for word in colours.split()]
    wall, wall2, trim, floor, floor2, rug, rug2, wood = ((p[0], p[1], p[2]) for p in parts)
    return Theme(wall, wall2, trim, floor, floor2, rug, rug2, wood)


THEMES = (
    _theme("eedec4 e5d0b0 faf4e8 be8e62 a87850 964a48 e4c496 966844"),
    _theme("b6d0ce a6c4c2 f6f6f0 ceaa82 bc9670 406878 d6e2dc c49e70"),
    _theme("debeba d4aeac fcf0ec b08260 9c7052 785068 f0d4c8 8c5c42"),
    _theme("acba9e 9ead90 f0eede 9c7454 886246 ceaa62 687456 76543c"),
    _theme("60708c 546480 dedee2 b29274 a08064 dc9660 48526c 805c46"),
    _theme("f0d696 e8c882 fcf6e6 a67a5a 92684c 548080 eee8d2 a06e48"),
    _theme("cec8de c0bad2 f8f6fa ba967c a8846c 746296 e4daec 96705a"),
    _theme("be6e58 ae604e ece0d0 946c50 805c44 384e5c dcbe96 6e4c38"),
)

WALLS = ("stripes", "dots", "brick", "panels", "diamonds", "plain", "waves")
FLOORS = ("planks", "herringbone", "tiles", "hexed", "cross_planks")


@dataclass(frozen=True)
class RoomPlan:
    """What a room is made of; see the fields of `make_room`."""

    theme: Theme
    wall: str
    floor: str
    angle: float
    corner: float
    depth: float
    rug: tuple[float, float, float, float] | None
    seed: int
    decor: tuple[Place, ...]
    light_side: float


@dataclass(frozen=True)
class Backdrop:
    """A painted room. Attributes: colour (H, W, 3) float32 0-255; depth (H, W) float32 metres; floor (H, W) bool, where
    figures cast their shadows."""

    colour: Floats
    depth: Floats
    floor: npt.NDArray[np.bool_]


def make_room(random: Random) -> RoomPlan:
    """A random room: its walls are turned a little against the camera, and one corner may be seen."""
    theme = random.choice(THEMES)
    wall, floor = random.choice(WALLS), random.choice(FLOORS)
    side = random.choice((-1.0, 1.0))
    angle = side * random.uniform(0.015, 0.07)
    corner = side * random.uniform(1.75, 3.0)
    depth = random.uniform(1.75, 2.3)
    rug = None
    if random.chance(0.65):
        rug = (
            random.uniform(-0.3, 0.3),
            random.uniform(-0.1, 0.3),
            random.uniform(1.2, 1.7),
            random.uniform(0.75, 1.05),
        )
    decor = plan_decor(random, corner, wall)
    return RoomPlan(
        theme, wall, floor, angle, corner, depth, rug, random.below(1 << 20), decor, random.choice((-1.0, 1.0))
    )


def _rgb(colour: Colour) -> Floats:
    return np.array(colour, np.float32)


def _cell(x: Floats) -> Ints:
    return np.floor(x).astype(np.int64)


def _fraction(x: Floats) -> Floats:
    return x - np.floor(x)


def _wall_colour(plan: RoomPlan, u: Floats, y: Floats) -> Floats:
    """Wallpaper at (u, y) metres on the wall, (n, 3)."""
    theme, seed = plan.theme, plan.seed
    base, second = _rgb(theme.wall), _rgb(theme.wall2)
    if plan.wall == "stripes":
        mixed = np.where(_fraction(u / np.float32(0.24)) < 0.5, 1.0, 0.0)
    elif plan.wall == "dots":
        row = y / np.float32(0.19)
        column = u / np.float32(0.19) + np.where(np.floor(row) % 2 == 0, 0.0, 0.5).astype(np.float32)
        dy, dx = _fraction(row) - 0.5, _fraction(column) - 0.5
        mixed = np.where(dx * dx + dy * dy < 0.035, 1.4, 0.0)
    elif plan.wall == "diamonds":
        a, b = _fraction((u + y * 0.6) / np.float32(0.34)), _fraction((u - y * 0.6) / np.float32(0.34))
        mixed = np.where(
            (np.abs(a - 0.5) > 0.46) | (np.abs(b - 0.5) > 0.46), 1.5, np.where((a > 0.5) == (b > 0.5), 0.35, 0.0)
        )
    elif plan.wall == "waves":
        ripple = np.abs(_fraction(u / np.float32(0.4)) - 0.5) * 2.0
        ripple = ripple * ripple * (3.0 - 2.0 * ripple)
        band = _fraction((y - ripple * 0.12) / np.float32(0.16))
        mixed = np.where(band < 0.22, 1.3, 0.0)
    elif plan.wall == "brick":
        row = y / np.float32(0.085)
        column = u / np.float32(0.25) + np.where(np.floor(row) % 2 == 0, 0.0, 0.5).astype(np.float32)
        tone = hash01(_cell(column), _cell(row), seed) * 0.16 - 0.08
        mortar = (_fraction(row) < 0.12) | (_fraction(column) < 0.045)
        colour = (base * np.float32(0.90))[None] * (1.0 + tone)[:, None]
        return np.where(mortar[:, None], second * np.float32(0.3) + base * np.float32(0.76), colour).astype(np.float32)
    else:
        mixed = np.zeros_like(u)
    colour = base + mixed[:, None].astype(np.float32) * (second - base)
    if plan.wall == "panels":
        low = y < 0.98
        trim = _rgb(theme.trim) * np.float32(0.97)
        dx, dy = np.abs(_fraction(u / np.float32(0.72)) - 0.5) * 0.72, np.abs(y - 0.54)
        edge = np.maximum(dx - 0.27, dy - 0.30)
        shade = np.where(np.abs(edge) < 0.018, np.where(y > 0.54, 1.03, 0.90), np.where(edge < 0, 0.985, 1.0))
        colour = np.where(low[:, None], trim * shade[:, None].astype(np.float32), colour)
        rail = (y > 0.95) & (y < 1.01)
        colour = np.where(rail[:, None], trim * np.float32(1.02), colour)
    return colour.astype(np.float32)


def _floor_colour(plan: RoomPlan, x: Floats, z: Floats) -> Floats:
    """Floor covering at (x, z) metres, (n, 3)."""
    theme, seed = plan.theme, plan.seed + 7
    base, second = _rgb(theme.floor), _rgb(theme.floor2)
    if plan.floor in ("planks", "cross_planks"):
        a, b = (x, z) if plan.floor == "planks" else (z, x)
        row = a / np.float32(0.13)
        start = hash01(_cell(row), 0, seed) * 1.3
        column = (b + start) / np.float32(1.3)
        tone = hash01(_cell(row), _cell(column), seed + 1)
        grain = hash01(_cell(row * 9.0), _cell(column * 5.0), seed + 2) * 0.14
        seam = (_fraction(row) < 0.045) | (_fraction(column) < 0.006)
    elif plan.floor == "herringbone":
        k = np.float32(0.16)
        i, j = (
            x / k * np.float32(0.7071) + z / k * np.float32(0.7071),
            z / k * np.float32(0.7071) - x / k * np.float32(0.7071),
        )
        ci, cj = _cell(i), _cell(j)
        # Bricks of 4 x 1 cells, alternately along either diagonal, shifted by one from row to row.
        phase = (ci - cj) % 8
        lying = phase < 4
        brick = np.where(lying, cj, ci)
        tone = hash01(brick * 13 + lying, np.where(lying, ci - phase, cj - (7 - phase)), seed)
        fi, fj = _fraction(i), _fraction(j)
        seam = np.where(lying, (fj < 0.06) | ((fi < 0.06) & (phase == 0)), (fi < 0.06) | ((fj < 0.06) & (phase == 7)))
        grain = hash01(_cell(np.where(lying, j, i) * 7.0), brick, seed + 2) * 0.12
    elif plan.floor == "tiles":
        i, j = x / np.float32(0.36), z / np.float32(0.36)
        tone = np.where((_cell(i) + _cell(j)) % 2 == 0, 0.0, 1.6) + hash01(_cell(i), _cell(j), seed) * 0.12
        seam = (_fraction(i) < 0.02) | (_fraction(j) < 0.02)
        grain = np.zeros_like(x)
    else:
        i, j = x / np.float32(0.5), z / np.float32(0.5)
        ring = np.abs(_fraction(i) - 0.5) + np.abs(_fraction(j) - 0.5)
        tone = np.where(ring < 0.25, 1.9, 0.2) + hash01(_cell(i), _cell(j), seed) * 0.1
        seam = (_fraction(i) < 0.015) | (_fraction(j) < 0.015)
        grain = np.zeros_like(x)
    colour = base + ((tone + grain)[:, None]).astype(np.float32) * (second - base)
    colour = colour * np.where(seam, 0.82, 1.0).astype(np.float32)[:, None]
    if plan.rug is not None:
        rx, rz, wide, deep = plan.rug
        dx, dz = (x - rx) / np.float32(wide), (z - rz) / np.float32(deep)
        r = np.sqrt(dx * dx + dz * dz)
        first, other = _rgb(theme.rug), _rgb(theme.rug2)
        rings = ((r > 0.90) & (r < 0.955)) | ((r > 0.72) & (r < 0.76))
        petals = (np.abs(_fraction(dx * 3.0) - 0.5) + np.abs(_fraction(dz * 3.0) - 0.5) < 0.2) & (r < 0.68)
        cloth = np.where((rings | petals)[:, None], other, first)
        colour = np.where((r < 1.0)[:, None], cloth, colour * np.where(r < 1.03, 0.9, 1.0).astype(np.float32)[:, None])
    return colour.astype(np.float32)


def paint_room(plan: RoomPlan, camera: Camera, view: View, size: int, margin: int) -> Backdrop:
    """Paints a room as the camera at rest sees it.

    Args:
        plan: what to paint.
        camera, view: who looks, without shake; the view's light shades the furniture.
        size: side of the picture in pixels.
        margin: how many pixels more are painted on each side.
    """
    side = size + 2 * margin
    s, c = float(sine(plan.angle)), float(cosine(plan.angle))
    up, back = camera.basis
    colour: Floats = np.zeros((side * side, 3), np.float32)
    samples = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))
    depth, floor = np.zeros(0, np.float32), np.zeros(0, np.bool_)
    for number, (ox, oy) in enumerate((*samples, (0.0, 0.0))):
        px = (np.arange(side, dtype=np.float32) - margin + ox - camera.centre) * (1.0 / camera.focal)
        py = (camera.centre - (np.arange(side, dtype=np.float32) - margin + oy)) * (1.0 / camera.focal)
        dx = np.broadcast_to(px[None, :], (side, side)).reshape(-1)
        py = np.broadcast_to(py[:, None], (side, side)).reshape(-1)
        dy, dz = py * up[1] - back[1], py * up[2] - back[2]
        # Wall 1 passes through (0, -depth), its normal turned by the room's angle; wall 2 stands on it at the corner.
        toward = -(dx * s + dz * c)
        t1 = (camera.distance * c + plan.depth * c) / np.maximum(toward, 1e-4)
        sideways = dx * c - dz * s
        sign = 1.0 if plan.corner > 0 else -1.0
        t2 = (plan.corner + camera.distance * s) / np.where(sideways * sign > 1e-4, sideways, sign * 1e-4)
        t3 = -camera.height / np.minimum(dy, -1e-4)
        t = np.minimum(np.minimum(t1, t2), t3)
        if number == 4:
            depth, floor = t.astype(np.float32), (t3 <= t)
            break
        x, y, z = dx * t, camera.height + dy * t, camera.distance + dz * t
        along1 = x * c - z * s
        along2 = (x * s + z * c) + plan.depth * c
        is_floor = t3 <= t
        second = (t2 <= t) & ~is_floor
        sample = np.empty((side * side, 3), np.float32)
        on = np.flatnonzero(is_floor)
        # Floor pattern follows the walls; it darkens towards them.
        fx, fz = along1[on], along2[on]
        near = np.minimum(fz, np.abs(plan.corner - fx))
        shade = 0.80 + 0.20 * np.clip(near * 1.6, 0.0, 1.0) - 0.05 * np.clip(1.2 - fz * 0.4, 0.0, 1.0)
        sample[on] = _floor_colour(plan, x[on], z[on]) * shade[:, None].astype(np.float32)
        on = np.flatnonzero(~is_floor)
        wall2 = second[on]
        u = np.where(wall2, along2[on] + 11.0, along1[on]).astype(np.float32)
        high = y[on].astype(np.float32)
        wall = _wall_colour(plan, u, high)
        paint_decor(plan.decor, plan.theme, wall, u, high, plan.seed)
        base = high < 0.11
        wall[base] = _rgb(plan.theme.trim) * np.where(high[base] > 0.095, 0.86, 1.0).astype(np.float32)[:, None]
        gap = np.where(wall2, along2[on], np.abs(plan.corner - along1[on]))
        shade = (
            np.where(wall2, 0.88, 1.0)
            * (0.86 + 0.14 * np.clip(gap * 1.5, 0.0, 1.0))
            * (0.90 + 0.10 * np.clip(high * 2.0, 0.0, 1.0))
        )
        # A pool of light falls on the wall from one side.
        spot = along1[on] + 0.9 * plan.light_side
        glow = 1.05 - 0.05 * np.clip((spot * spot + (high - 1.7) * (high - 1.7)) * 0.35, 0.0, 2.2)
        sample[on] = wall * (shade * glow)[:, None].astype(np.float32)
        colour = colour + sample * np.float32(0.25)
    # A step back in contrast keeps the dancers in front.
    grey = colour[:, 0:1] * np.float32(0.3) + colour[:, 1:2] * np.float32(0.55) + colour[:, 2:3] * np.float32(0.15)
    colour = np.clip(colour * np.float32(0.9) + grey * np.float32(0.10) + np.float32(3.0), 0.0, 255.0).astype(
        np.float32
    )
    canvas = Canvas(colour, depth.reshape(side, side), np.zeros((side, side), np.uint8))
    moved = view.shaken((1.0, 0.0, float(margin), 0.0, 1.0, float(margin)))
    before = canvas.depth.copy()
    solids = furnish(plan.decor, plan.theme, plan.angle, plan.depth, plan.corner, Random(plan.seed))
    centres = np.array([solid.centre if hasattr(solid, "centre") else solid.a for solid in solids]).reshape(-1, 3)
    far = camera.project(centres)[1].tolist()
    for i in sorted(range(len(solids)), key=lambda i: -far[i]):
        draw(canvas, moved, solids[i], 0)
    free = (canvas.depth == before) & floor
    return Backdrop(canvas.colour.reshape(side, side, 3), canvas.depth.reshape(side, side), free.reshape(side, side))
