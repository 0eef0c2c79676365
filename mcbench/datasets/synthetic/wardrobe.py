"""Clothes, hair and skin: palettes chosen by eye, and the patterns that are painted on bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcbench.datasets.synthetic.arithmetic import Random
from mcbench.datasets.synthetic.raster import Floats, Paint

__all__ = ["Colour", "Look", "cloth", "dress_cast", "plain"]

Colour = tuple[int, int, int]

SKINS: tuple[Colour, ...] = (
    (250, 214, 188), (241, 194, 160), (226, 172, 134), (199, 140, 100), (164, 108, 74), (128, 82, 56), (98, 62, 46),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (44, 33, 32), (72, 46, 34), (112, 68, 40), (158, 98, 50), (214, 164, 92), (176, 74, 42), (62, 60, 70),
    (196, 190, 188),
)  # fmt: skip


@dataclass(frozen=True)
class Outfit:
    """Colours that go together. Attributes: top, accent, bottom, shoes."""

    top: Colour
    accent: Colour
    bottom: Colour
    shoes: Colour


OUTFITS = (
    Outfit((232, 84, 76), (255, 240, 220), (52, 72, 110), (245, 240, 232)),
    Outfit((246, 190, 66), (238, 112, 60), (58, 66, 84), (232, 84, 76)),
    Outfit((66, 160, 150), (236, 246, 236), (226, 208, 178), (92, 62, 50)),
    Outfit((72, 120, 196), (250, 214, 90), (46, 50, 64), (240, 240, 240)),
    Outfit((244, 236, 224), (212, 74, 84), (92, 116, 160), (60, 60, 72)),
    Outfit((150, 96, 176), (250, 220, 240), (64, 60, 92), (240, 196, 80)),
    Outfit((244, 140, 150), (255, 246, 240), (84, 92, 128), (250, 250, 246)),
    Outfit((92, 158, 92), (246, 234, 190), (122, 92, 68), (58, 54, 60)),
    Outfit((52, 60, 84), (240, 110, 90), (196, 178, 150), (226, 226, 226)),
    Outfit((248, 152, 72), (92, 64, 100), (70, 96, 118), (255, 244, 226)),
    Outfit((120, 196, 220), (248, 248, 250), (60, 80, 120), (244, 128, 112)),
    Outfit((196, 56, 96), (250, 200, 190), (48, 44, 60), (196, 56, 96)),
)


@dataclass(frozen=True)
class Look:
    """All that is seen of a character but the build.

    Attributes:
        skin, hair, lips: colours.
        style: short, quiff, mop, bob, long, bun, ponytail, pigtails, cap, beanie or bald.
        face: "", "glasses", "beard" or "moustache".
        top: tee, long, tank, hoodie or dress.
        bottom: trousers, shorts, skirt or leggings.
        pattern: plain, stripes, bands, checks, dots, print, star or blocks, on the top.
        outfit: its colours.
    """

    skin: Colour
    hair: Colour
    lips: Colour
    style: str
    face: str
    top: str
    bottom: str
    pattern: str
    outfit: Outfit


def dress_cast(random: Random, women: list[bool]) -> list[Look]:
    """A look for each character, no two with the same outfit or hair."""
    outfits, skins, hairs = random.shuffled(OUTFITS), random.shuffled(SKINS), random.shuffled(HAIRS)
    patterns = random.shuffled(("stripes", "bands", "checks", "dots", "print", "star", "blocks", "plain"))
    her_patterns = random.shuffled(("stripes", "bands", "checks", "dots", "plain", "blocks"))
    her_styles = random.shuffled(("bob", "long", "bun", "ponytail", "pigtails", "short", "mop"))
    his_styles = random.shuffled(("short", "quiff", "cap", "beanie", "bald", "mop", "short"))
    her_tops = random.shuffled(("dress", "tee", "tank", "long", "dress", "tee"))
    his_tops = random.shuffled(("tee", "long", "hoodie", "tank", "tee", "long"))
    her_bottoms = random.shuffled(("skirt", "leggings", "shorts", "trousers", "skirt"))
    his_bottoms = random.shuffled(("trousers", "shorts", "trousers", "trousers", "shorts"))
    looks = []
    for k, woman in enumerate(women):
        skin = skins[k]
        hair = hairs[k] if skin[0] > 170 else HAIRS[k % 2]
        lips = (
            min(255, int(skin[0] * 0.86) + (24 if woman else 0)),
            int(skin[1] * (0.56 if woman else 0.70)),
            int(skin[2] * (0.60 if woman else 0.72)),
        )
        face = (
            random.choice(("", "", "glasses"))
            if woman
            else random.choice(("", "glasses", "beard", "moustache", "beard"))
        )
        style, top, bottom = (
            (her_styles[k], her_tops[k], her_bottoms[k]) if woman else (his_styles[k], his_tops[k], his_bottoms[k])
        )
        pattern = "plain" if top == "hoodie" else her_patterns[k] if woman else patterns[k]
        looks.append(Look(skin, hair, lips, style, face, top, bottom, pattern, outfits[k]))
    return looks


def plain(colour: Colour | tuple[float, float, float]) -> Paint:
    """One colour all over."""
    rgb = np.array(colour, np.float32)

    def paint(x: Floats, y: Floats, z: Floats, scale: float) -> Floats:
        return rgb

    return paint


def _around(x: Floats, z: Floats) -> Floats:
    """A measure of the angle round a body: 0 at its front, 1 at its left, 2 (or -2) at its back, -1 at its right."""
    turn = x / (np.abs(x) + np.abs(z) + np.float32(1e-6))
    return np.asarray(np.where(z >= 0, turn, np.where(x >= 0, 2.0 - turn, -2.0 - turn)))


def _wave(x: Floats) -> Floats:
    """A triangle wave of period 1 between -0.5 (at integers) and 0.5 (halfway)."""
    return np.asarray(np.abs(x - np.floor(x) - 0.5) * -2.0 + 0.5)


def cloth(pattern: str, base: Colour, accent: Colour, tall: float, wide: float) -> Paint:
    """A pattern on a tube of cloth.

    Args:
        pattern: a name of `Look.pattern`.
        base, accent: its colours.
        tall: length of the tube, metres.
        wide: mean half width of the tube, metres.
    """
    first, second = np.array(base, np.float32), np.array(accent, np.float32)
    step = second - first
    if pattern == "plain":
        return plain(base)

    def paint(x: Floats, t: Floats, z: Floats, scale: float) -> Floats:
        """Blends by a signed distance in pixels, so that no pattern has jagged edges."""
        around = _around(x, z)
        if pattern == "stripes":
            period = 0.078
            edge = (_wave(t * (tall / period)) - 0.02) * (period * 0.5 * scale)
        elif pattern == "bands":
            edge = (_wave(around * 3.5) - 0.12) * (wide * 0.22 * scale)
        elif pattern == "checks":
            period = 0.085
            a = np.clip(_wave(t * (tall / period)) * (period * 0.5 * scale) + 0.5, 0, 1)
            b = np.clip(_wave(around * 4.0) * (wide * 0.2 * scale) + 0.5, 0, 1)
            return np.asarray(first + ((a + b) * 0.5)[:, None] * step)
        elif pattern == "dots":
            period = 0.072
            row = t * (tall / period)
            column = around * (wide * 1.6 / period) + np.where(np.floor(row) % 2 == 0, 0.0, 0.5)
            dy, dx = row - np.floor(row) - 0.5, column - np.floor(column) - 0.5
            edge = (0.27 - np.sqrt(dx * dx + dy * dy)) * (period * scale)
        elif pattern == "print":
            dx, dy = around * (wide * 1.5), (t - 0.62) * tall
            disc = 0.062 - np.sqrt(dx * dx + dy * dy)
            bar = np.minimum(0.014 - np.abs(dy + 0.004), 0.085 - np.abs(dx))
            ring = np.minimum(disc, np.maximum(-(disc - 0.016), bar))
            edge = np.where(z > 0, ring, -1.0) * scale
        elif pattern == "star":
            dx, dy = np.abs(around * (wide * 1.5)), (t - 0.62) * tall
            # Two overlapping triangles' edges give a plump star.
            up = np.minimum(0.035 + dy, (0.072 - dy) * 0.5 - dx * 0.87)
            down = np.minimum(0.035 - dy, (0.072 + dy) * 0.5 - dx * 0.87)
            edge = np.where(z > 0, np.maximum(up, down), -1.0) * scale
        else:
            edge = (0.045 - np.abs(t - 0.60) * tall) * scale
        return np.asarray(first + np.clip(edge + 0.5, 0.0, 1.0)[:, None] * step)

    return paint
