"""What stands on the floor: plants, lamps, a sofa, a loudspeaker, a stool, built of the same solids as the dancers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mcbench.datasets.synthetic.arithmetic import Random, cosine, sine
from mcbench.datasets.synthetic.decor import ARTS, Place
from mcbench.datasets.synthetic.heads import along, profile
from mcbench.datasets.synthetic.raster import Ellipsoid, Tube
from mcbench.datasets.synthetic.wardrobe import Colour, plain

if TYPE_CHECKING:
    from mcbench.datasets.synthetic.room import Theme

__all__ = ["furnish"]

Vector = tuple[float, float, float]
Solid = Tube | Ellipsoid
X: Vector = (1.0, 0.0, 0.0)
Y: Vector = (0.0, 1.0, 0.0)
Z: Vector = (0.0, 0.0, 1.0)


def furnish(
    places: tuple[Place, ...], theme: Theme, angle: float, depth: float, corner: float, random: Random
) -> list[Solid]:
    """The solids of all that stands by the first wall."""
    s, c = float(sine(angle)), float(cosine(angle))
    out: list[Solid] = []
    for place in places:
        if place.y != 0.0:
            continue
        # From the wall's own coordinates to the world: along it, and away from it into the room.
        away = 0.34
        x = place.u * c + away * s
        z = -depth - place.u * s + away * c
        make = {"plant": _plant, "lamp": _lamp, "sofa": _sofa, "speaker": _speaker, "stool": _stool}[place.kind]
        make((x, 0.0, z), (c, 0.0, -s), (s, 0.0, c), place, theme, random, out)
    return out


def _shaded(colour: Colour, factor: float) -> tuple[float, float, float]:
    return min(255.0, colour[0] * factor), min(255.0, colour[1] * factor), min(255.0, colour[2] * factor)


def _column(
    foot: Vector, low: float, high: float, paint_of: Colour | tuple[float, float, float], *radii: tuple[float, float]
) -> Tube:
    return Tube(
        along(foot, (Y, low)), along(foot, (Y, high)), X, Z, profile(*radii), 1.0, plain(paint_of), False, False
    )


def _plant(
    foot: Vector, right: Vector, front: Vector, place: Place, theme: Theme, random: Random, out: list[Solid]
) -> None:
    pot = ARTS[place.art][1]
    out.append(_column(foot, 0.0, 0.30, pot, (0, 0.095), (0.8, 0.135), (1, 0.14)))
    out.append(_column(foot, 0.25, 0.31, _shaded(pot, 0.88), (0, 0.148), (1, 0.150)))
    greens: tuple[Colour, ...] = ((86, 140, 92), (104, 158, 100), (70, 122, 86), (122, 170, 108))
    tall = 0.9 * place.tall
    for i in range(15):
        turn = i * 0.382 + random.uniform(-0.04, 0.04)
        lean, rise = random.uniform(0.16, 0.36), random.uniform(0.30, 1.0) * tall
        out_x, out_z = float(sine(turn)) * lean, float(cosine(turn)) * lean
        root, tip = along(foot, (Y, 0.28)), along(foot, (right, out_x), (front, max(out_z, -0.15)), (Y, 0.34 + rise))
        stem = Tube(root, tip, X, Z, profile((0, 0.008), (1, 0.006)), 1.0, plain((92, 120, 76)))
        d = (tip[0] - root[0], tip[1] - root[1], tip[2] - root[2])
        size = float(np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]))
        up = (d[0] / size, d[1] / size, d[2] / size)
        end = along(tip, (up, 0.20), (Y, -0.04), (right, out_x * 0.3))
        leaf = profile((0, 0.008), (0.35, 0.062), (0.7, 0.046), (1, 0.004))
        out.append(stem)
        out.append(Tube(tip, end, X, Z, leaf, 0.5, plain(greens[i % 4])))


def _lamp(
    foot: Vector, right: Vector, front: Vector, place: Place, theme: Theme, random: Random, out: list[Solid]
) -> None:
    metal = (84, 78, 80)
    out.append(Ellipsoid(along(foot, (Y, 0.015)), X, Y, Z, (0.15, 0.02, 0.15), plain(metal)))
    out.append(_column(foot, 0.0, 1.45, metal, (0, 0.012), (1, 0.012)))
    shade = _column(foot, 1.36, 1.68, (255, 236, 190), (0, 0.20), (1, 0.125))
    out.append(shade)
    out.append(_column(foot, 1.35, 1.375, theme.wood, (0, 0.203), (1, 0.203)))


def _sofa(
    foot: Vector, right: Vector, front: Vector, place: Place, theme: Theme, random: Random, out: list[Solid]
) -> None:
    cloth: Colour = ARTS[place.art][2]
    half = 0.62

    def beam(
        low: float, forward: float, radius: float, flat: float, colour: tuple[float, float, float], wide: float
    ) -> None:
        a = along(foot, (Y, low), (front, forward), (right, -wide))
        b = along(foot, (Y, low), (front, forward), (right, wide))
        out.append(Tube(a, b, Y, front, profile((0, radius), (1, radius)), flat, plain(colour)))

    for side in (-1.0, 1.0):
        for forward in (-0.1, 0.24):
            leg = along(foot, (right, side * half * 0.9), (front, forward))
            out.append(Tube(leg, along(leg, (Y, 0.16)), X, Z, profile((0, 0.016), (1, 0.024)), 1.0, plain(theme.wood)))
    beam(0.56, -0.14, 0.23, 0.45, _shaded(cloth, 0.94), half - 0.08)
    beam(0.28, 0.08, 0.14, 1.7, _shaded(cloth, 0.86), half - 0.06)
    for side in (-0.5, 0.5):
        a = along(foot, (Y, 0.43), (front, 0.10), (right, (side - 0.43) * half))
        b = along(foot, (Y, 0.43), (front, 0.10), (right, (side + 0.43) * half))
        out.append(Tube(a, b, Y, front, profile((0, 0.085), (1, 0.085)), 2.4, plain(_shaded(cloth, 1.06))))
        arm = along(foot, (Y, 0.52), (right, side * 2.0 * half))
        out.append(
            Tube(
                along(arm, (front, -0.12)),
                along(arm, (front, 0.30)),
                right,
                Y,
                profile((0, 0.085), (1, 0.085)),
                1.2,
                plain(cloth),
            )
        )
    pillow = along(foot, (Y, 0.60), (front, 0.10), (right, -0.32 * half))
    out.append(Ellipsoid(pillow, right, Y, front, (0.17, 0.15, 0.08), plain(ARTS[place.art][1])))


def _speaker(
    foot: Vector, right: Vector, front: Vector, place: Place, theme: Theme, random: Random, out: list[Solid]
) -> None:
    body = (64, 60, 66)
    out.append(
        Tube(foot, along(foot, (Y, 0.92)), right, front, profile((0, 0.17), (1, 0.17)), 0.8, plain(body), False, False)
    )
    out.append(Ellipsoid(along(foot, (Y, 0.92)), right, Y, front, (0.17, 0.02, 0.136), plain((84, 80, 86))))
    for high, r in ((0.28, 0.115), (0.56, 0.085), (0.76, 0.045)):
        middle = along(foot, (Y, high), (front, 0.115))
        out.append(Ellipsoid(middle, right, Y, front, (r, r, 0.035), plain((38, 36, 40))))
        out.append(
            Ellipsoid(
                along(middle, (front, 0.020)), right, Y, front, (r * 0.62, r * 0.62, 0.028), plain(ARTS[place.art][1])
            )
        )


def _stool(
    foot: Vector, right: Vector, front: Vector, place: Place, theme: Theme, random: Random, out: list[Solid]
) -> None:
    for side, forward in ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)):
        low = along(foot, (right, side * 0.17), (front, forward * 0.15))
        high = along(foot, (right, side * 0.10), (front, forward * 0.09), (Y, 0.46))
        out.append(Tube(low, high, X, Z, profile((0, 0.014), (1, 0.018)), 1.0, plain(theme.wood)))
    out.append(_column(foot, 0.44, 0.49, _shaded(theme.wood, 1.1), (0, 0.165), (1, 0.165)))
    out.append(Ellipsoid(along(foot, (Y, 0.49)), X, Y, Z, (0.165, 0.03, 0.165), plain(ARTS[place.art][1])))
    out.append(_column(foot, 0.50, 0.62, ARTS[place.art][0], (0, 0.045), (0.6, 0.06), (1, 0.035)))
