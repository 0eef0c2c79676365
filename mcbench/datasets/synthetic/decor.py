"""What hangs on the walls: windows, curtains, pictures, shelves, bunting. Painted in the wall's own coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mcbench.datasets.synthetic.arithmetic import Random, hash01
from mcbench.datasets.synthetic.raster import Floats
from mcbench.datasets.synthetic.wardrobe import Colour

if TYPE_CHECKING:
    from mcbench.datasets.synthetic.room import Theme

__all__ = ["Place", "paint_decor", "plan_decor"]

ARTS: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((246, 236, 214), (222, 104, 76), (60, 90, 110)),
    ((58, 78, 104), (240, 190, 96), (224, 110, 96)),
    ((236, 226, 230), (120, 150, 120), (236, 170, 150)),
    ((250, 246, 236), (240, 176, 70), (80, 140, 150)),
    ((214, 196, 170), (140, 70, 70), (70, 80, 90)),
)


@dataclass(frozen=True)
class Place:
    """One thing on a wall or standing by it.

    Attributes:
        kind: window, picture, shelf, bunting, plant, lamp, sofa, speaker or stool.
        u: its middle along the wall, metres; beyond 10 it is on the second wall, 11 m further.
        y: its middle's height, metres.
        wide, tall: its size, metres.
        art: which colours it has.
    """

    kind: str
    u: float
    y: float
    wide: float
    tall: float
    art: int


def plan_decor(random: Random, corner: float, wall: str) -> tuple[Place, ...]:
    """A random set of things that do not overlap; the wall runs to `corner`."""
    places: list[Place] = []
    side = 1.0 if corner > 0 else -1.0
    spots = random.shuffled((-1.45, -0.5, 0.5, 1.45))
    kinds = ["window", *random.shuffled(("picture", "pictures", "shelf", "window", "picture"))]
    for spot, kind in zip(spots, kinds, strict=False):
        u, art = spot + random.uniform(-0.1, 0.1), random.below(len(ARTS))
        if (corner - u) * side < 0.62:
            continue
        if kind == "window":
            places.append(Place("window", u, random.uniform(1.62, 1.72), 0.74, random.uniform(0.95, 1.1), art))
        elif kind == "picture":
            wide = random.uniform(0.42, 0.62)
            places.append(Place("picture", u, random.uniform(1.6, 1.75), wide, random.uniform(0.5, 0.72), art))
        elif kind == "pictures":
            for du, dy in ((-0.22, 0.24), (0.22, 0.20), (-0.20, -0.24), (0.22, -0.26)):
                places.append(Place("picture", u + du, 1.64 + dy, 0.34, 0.36, (art + len(places)) % len(ARTS)))
        elif wall != "brick" or random.chance(0.7):
            places.append(Place("shelf", u, 1.75, 0.82, 0.5, art))
    if random.chance(0.35):
        places.append(Place("bunting", 0.0, 2.25, 9.0, 0.4, random.below(len(ARTS))))
    places.append(
        Place(
            "window" if random.chance(0.4) else "picture",
            11.0 + random.uniform(1.2, 1.6),
            1.65,
            0.62,
            0.8,
            random.below(len(ARTS)),
        )
    )
    ground = random.shuffled(("plant", "lamp", "sofa", "speaker", "stool", "plant"))
    for kind, spot in zip(ground, random.shuffled((-1.7, -0.9, 0.9, 1.7)), strict=False):
        if (corner - spot) * side > 0.45 and random.chance(0.72):
            places.append(
                Place(
                    kind,
                    spot + random.uniform(-0.12, 0.12),
                    0.0,
                    0.0,
                    random.uniform(0.9, 1.1),
                    random.below(len(ARTS)),
                )
            )
    return tuple(places)


def _rgb(colour: Colour) -> Floats:
    return np.array(colour, np.float32)


def paint_decor(places: tuple[Place, ...], theme: Theme, wall: Floats, u: Floats, y: Floats, seed: int) -> None:
    """Paints over the wall's colours (n, 3), in place; `u` and `y` are the points' wall coordinates in metres."""
    for place in places:
        if place.y == 0.0:
            continue
        reach = 0.34 if place.kind == "window" else 0.1
        inside = np.abs(u - place.u) < place.wide / 2 + reach
        inside &= np.abs(y - place.y) < place.tall / 2 + 0.24
        at = np.flatnonzero(inside)
        if not at.size:
            continue
        dx, dy = u[at] - np.float32(place.u), y[at] - np.float32(place.y)
        painter = {"window": _window, "picture": _picture, "shelf": _shelf, "bunting": _bunting}[place.kind]
        wall[at] = painter(place, theme, wall[at], dx, dy, seed)


def _outside(dx: Floats, dy: Floats, place: Place) -> Floats:
    return np.maximum(np.abs(dx) - np.float32(place.wide / 2), np.abs(dy) - np.float32(place.tall / 2))


def _window(place: Place, theme: Theme, wall: Floats, dx: Floats, dy: Floats, seed: int) -> Floats:
    edge = _outside(dx, dy, place)
    high = (dy / np.float32(place.tall) + 0.5)[:, None]
    skies: tuple[tuple[Colour, Colour], ...] = (
        ((236, 240, 232), (142, 196, 226)), ((252, 214, 170), (150, 150, 196)), ((70, 82, 128), (32, 40, 76)),
        ((226, 240, 244), (120, 180, 220)), ((250, 226, 200), (214, 140, 140)),
    )  # fmt: skip
    low, top = skies[place.art]
    colour = _rgb(low) + high * (_rgb(top) - _rgb(low))
    hill = np.abs(dx * 1.7 + 0.1) * -0.12 - 0.18
    colour = np.where((dy < hill)[:, None], _rgb((120, 156, 116)) * (0.62 if place.art == 2 else 1.0), colour)
    block = np.floor((dx + 5.0) / np.float32(0.085)).astype(np.int64)
    roof = hash01(block, 0, seed + place.art) * np.float32(0.20) - 0.36
    lit = (np.floor(dy / np.float32(0.03)) % 2 == 0) & (np.floor(dx / np.float32(0.017)) % 2 == 0)
    house = np.where(lit[:, None], _rgb((246, 222, 160)), _rgb((104, 110, 132)))
    colour = np.where((dy < roof)[:, None], house, colour)
    bars = (np.abs(dx) < 0.014) | (np.abs(dy - 0.05) < 0.014)
    frame = _rgb(theme.trim)
    colour = np.where(bars[:, None], frame, colour)
    colour = np.where((edge > -0.035)[:, None], frame * np.float32(0.98), colour)
    colour = np.where((np.abs(edge + 0.035) < 0.006)[:, None], frame * np.float32(0.8), colour)
    sill = (np.abs(dx) < place.wide / 2 + 0.05) & (dy < -place.tall / 2 + 0.01) & (dy > -place.tall / 2 - 0.045)
    out = np.where((edge < 0)[:, None], colour, wall)
    out = np.where(((edge >= 0) & (edge < 0.03))[:, None], out * np.float32(0.9), out)
    out = np.where(sill[:, None], frame * np.float32(1.02), out)
    # Curtains on both sides, gathered in folds.
    fold = np.abs((dx * 14.0) - np.floor(dx * 14.0) - 0.5) * 2.0
    cloth = _rgb(theme.rug) * (0.92 + 0.20 * fold)[:, None].astype(np.float32)
    gather = place.wide / 2 - 0.06 + 0.05 * np.clip((dy + 0.1) * (dy + 0.1), 0.0, 1.0)
    hang = (
        (np.abs(dx) > gather)
        & (np.abs(dx) < place.wide / 2 + 0.17)
        & (dy < place.tall / 2 + 0.10)
        & (dy > -place.tall / 2 - 0.20)
    )
    out = np.where(hang[:, None], cloth, out)
    rod = (np.abs(dy - place.tall / 2 - 0.11) < 0.014) & (np.abs(dx) < place.wide / 2 + 0.25)
    return np.where(rod[:, None], _rgb(theme.wood) * np.float32(0.8), out).astype(np.float32)


def _picture(place: Place, theme: Theme, wall: Floats, dx: Floats, dy: Floats, seed: int) -> Floats:
    edge = _outside(dx, dy, place)
    back, first, second = (_rgb(c) for c in ARTS[place.art])
    size = np.float32(place.wide)
    px, py = dx / size, dy / size
    kind = (place.art + int(place.u * 40.0 + 400.0)) % 4
    art = np.broadcast_to(back, wall.shape).copy()
    if kind == 0:
        art[(px + 0.08) * (px + 0.08) + (py - 0.08) * (py - 0.08) < 0.055] = first
        art[py < -0.16 + 0.2 * px * px] = second
    elif kind == 1:
        art[np.abs(px - 0.12) + np.abs(py) < 0.26] = first
        art[(np.abs(px + 0.14) < 0.10) & (py < 0.12)] = second
    elif kind == 2:
        wave = np.abs(px - np.floor(px) - 0.5) * 0.3
        art[py < 0.14 - wave] = first
        art[py < -0.10 + wave] = second
    else:
        art[(np.abs(px) < 0.05) & (py < 0.05)] = second
        art[px * px + (py - 0.13) * (py - 0.13) < 0.035] = first
        art[np.abs(py + 0.3) < 0.06] = second * np.float32(0.8)
    matte = edge > -0.07
    art = np.where(matte[:, None], _rgb((250, 247, 240)), art)
    wood = _rgb(theme.wood) * np.where(dy > 0, 1.0, 0.82).astype(np.float32)[:, None]
    art = np.where((edge > -0.026)[:, None], wood, art)
    shadow = (np.maximum(np.abs(dx - 0.012) - place.wide / 2, np.abs(dy + 0.018) - place.tall / 2) < 0.012) & (
        edge >= 0
    )
    out = np.where(shadow[:, None], wall * np.float32(0.84), wall)
    return np.where((edge < 0)[:, None], art, out).astype(np.float32)


def _shelf(place: Place, theme: Theme, wall: Floats, dx: Floats, dy: Floats, seed: int) -> Floats:
    out = wall
    palette = np.array([c for art in ARTS for c in art], np.float32)
    for row, base in enumerate((-0.22, 0.08)):
        board = (np.abs(dy - base) < 0.016) & (np.abs(dx) < place.wide / 2)
        under = (dy < base) & (dy > base - 0.045) & (np.abs(dx) < place.wide / 2)
        out = np.where(under[:, None], out * np.float32(0.86), out)
        slot = np.floor((dx + 4.0) / np.float32(0.042)).astype(np.int64)
        r = hash01(slot, row, seed + 31)
        high = 0.12 + 0.09 * hash01(slot, row, seed + 37)
        gap = hash01(slot // 4, row, seed + 41) < 0.22
        book = (dy > base) & (dy < base + high) & (np.abs(dx) < place.wide / 2 - 0.03) & ~gap
        tone = palette[(r * 15.0).astype(np.int64)]
        rounded = ((dx + 4.0) / np.float32(0.042)) - slot
        tone = tone * (0.80 + 0.2 * np.minimum(rounded * 4.0, 1.0))[:, None].astype(np.float32)
        out = np.where(book[:, None], tone, out)
        out = np.where(board[:, None], _rgb(theme.wood), out)
    return out.astype(np.float32)


def _bunting(place: Place, theme: Theme, wall: Floats, dx: Floats, dy: Floats, seed: int) -> Floats:
    span = dx / np.float32(1.9) - np.floor(dx / np.float32(1.9)) - 0.5
    line = span * span * np.float32(0.9) - 0.12
    flag = np.floor(dx / np.float32(0.19)).astype(np.int64)
    inside = np.abs(dx / np.float32(0.19) - flag - 0.5)
    drop = line - dy
    pennant = (drop > 0) & (drop < 0.20 * (1.0 - inside * 2.4))
    palette = np.array([ARTS[place.art][1], ARTS[place.art][2], (250, 240, 220)], np.float32)
    out = np.where(pennant[:, None], palette[flag % 3], wall)
    return np.where((np.abs(drop) < 0.008)[:, None], _rgb((96, 84, 80)), out).astype(np.float32)
