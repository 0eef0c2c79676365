"""A clothed figure: from one frame of a skeleton to the solids that are drawn."""

from __future__ import annotations

import numpy as np

from mcbench.datasets.synthetic.body import Build
from mcbench.datasets.synthetic.heads import Head, along, profile
from mcbench.datasets.synthetic.raster import PROFILE, Ellipsoid, Floats, Paint, Tube
from mcbench.datasets.synthetic.wardrobe import Colour, Look, cloth, plain

__all__ = ["Figure", "Joints"]

Vector = tuple[float, float, float]
Joints = dict[str, Vector]
"""One frame of a `body.Skeleton`."""

Solid = Tube | Ellipsoid
_RAMP = np.array([i / (PROFILE - 1) for i in range(PROFILE)], np.float32)


def _dim(colour: Colour, factor: float) -> tuple[float, float, float]:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _cut_out(paint: Paint, skin: Colour, tall: float) -> Paint:
    """A top with a scooped neck, straps and bare shoulders."""
    bare = np.array(skin, np.float32)

    def cut(x: Floats, t: Floats, z: Floats, scale: float) -> Floats:
        side = np.abs(x)
        neck = (t - 0.84 - 0.34 * x * x) * tall
        arm = np.minimum((t - 0.70) * tall, (side - 0.82) * 0.15)
        open_ = np.clip(np.maximum(neck, arm) * scale + 0.5, 0.0, 1.0)[:, None]
        colour = paint(x, t, z, scale)
        return np.asarray(colour + (bare - colour) * open_)

    return cut


def _minus(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _unit(a: Vector) -> Vector:
    size = max(float(np.sqrt(_dot(a, a))), 1e-9)
    return a[0] / size, a[1] / size, a[2] / size


def _between(a: Vector, b: Vector, t: float) -> Vector:
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t


class Figure:
    """One character's shapes and paints, made once; `solids` poses them."""

    def __init__(self, look: Look, build: Build) -> None:
        self.look, self.build = look, build
        s, g, c = build.scale, build.scale * build.girth, build.curve
        outfit = look.outfit
        self.head = Head(look, build)
        self.skin = plain(look.skin)
        self.shoe, self.sole = (
            plain(outfit.shoes),
            plain(_dim(outfit.shoes, 0.62) if outfit.shoes[0] > 200 else (238, 234, 226)),
        )
        self.sock = plain((246, 244, 240) if look.bottom in ("shorts", "skirt") else _dim(outfit.bottom, 0.8))
        self.bottom = plain(outfit.bottom)
        dress = look.top == "dress"
        self.tucked = dress or look.top == "tank"
        self.skirted = dress or look.bottom == "skirt"
        long_legs = not dress and look.bottom in ("trousers", "leggings")
        self.leg_paint = self.bottom if long_legs else self.skin
        self.pelvis_paint: Paint = plain(outfit.top) if dress else self.bottom
        self.shirt_tall = build.chest + (0.02 if self.tucked else 0.115) * s
        self.top = cloth(look.pattern, outfit.top, outfit.accent, self.shirt_tall, 0.15 * g)
        if look.top in ("tank", "dress"):
            self.top = _cut_out(self.top, look.skin, self.shirt_tall)
        self.top_plain = plain(outfit.top)
        sleeve_pattern = look.pattern if look.pattern in ("stripes", "checks", "dots") else "plain"
        self.sleeve = cloth(sleeve_pattern, outfit.top, outfit.accent, 0.26 * s, 0.05 * g)
        self.cuff = plain(
            outfit.accent if look.pattern in ("print", "star", "plain", "blocks") else _dim(outfit.top, 0.86)
        )
        gown = "plain" if look.pattern in ("print", "star", "blocks") else look.pattern
        self.skirt_paint = cloth(gown, outfit.top, outfit.accent, 0.44 * s, 0.2 * g) if dress else plain(outfit.bottom)

        waist, bust, shoulder = (0.140 - 0.022 * c) * g, (0.163 - 0.020 * c) * g, build.shoulders * 0.99
        hem = (0.150 + 0.008 * c) * g
        if look.top == "hoodie":
            self.shirt = profile(
                (0, hem * 1.03),
                (0.10, hem * 1.10),
                (0.34, waist * 1.15),
                (0.68, bust * 1.07),
                (0.86, shoulder),
                (0.945, 0.120 * s),
                (1, 0.075 * s),
            )
        else:
            low = (0, waist * 1.03) if self.tucked else (0, hem * 1.09)
            self.shirt = profile(
                low, (0.30, waist * 1.06), (0.68, bust * 1.02), (0.87, shoulder), (0.945, 0.116 * s), (1, 0.062 * s)
            )
        # A shirt hangs over the trousers; a tank top is tucked in.
        band = waist * (1.05 if look.top == "tank" else 0.88)
        self.hip = profile((0, 0.108 * g), (0.30, (0.148 + 0.008 * c) * g), (0.60, (0.132 + 0.006 * c) * g), (1, band))
        loose = 1.10 if look.bottom == "trousers" and long_legs else 1.0
        self.thigh = profile(
            (0, (0.077 + 0.006 * c) * g * (0.5 + 0.5 * loose)), (0.30, 0.080 * g * loose), (1, 0.053 * g * loose)
        )
        self.bare_thigh = profile((0, 0.050 * g), (0.5, 0.060 * g), (1, 0.053 * g))
        if loose > 1:
            self.shin = profile((0, 0.0585 * g), (0.3, 0.062 * g), (0.8, 0.056 * g), (1, 0.060 * g))
        else:
            self.shin = profile((0, 0.052 * g), (0.28, 0.057 * g), (0.75, 0.038 * g), (1, 0.033 * g))
        self.short_leg = profile((0, 0.080 * g), (0.5, 0.091 * g), (1, 0.094 * g))
        self.skirt = profile((0, waist * 1.04), (0.22, hem * 1.08), (0.6, 0.188 * g), (1, 0.215 * g))
        self.upper = profile((0, 0.046 * g), (0.35, 0.045 * g), (1, 0.038 * g))
        self.fore = profile((0, 0.039 * g), (0.3, 0.040 * g), (1, 0.026 * g))
        self.sleeve_short = profile((0, 0.052 * g), (0.5, 0.059 * g), (1, 0.064 * g))
        puff = 1.22 if look.top == "hoodie" else 1.08
        self.sleeve_upper = profile((0, 0.049 * g * puff), (0.4, 0.051 * g * puff), (1, 0.043 * g * puff))
        self.sleeve_fore = profile(
            (0, 0.044 * g * puff), (0.4, 0.043 * g * puff), (0.9, 0.033 * g * puff), (1, 0.033 * g * puff)
        )
        self.wrist_band = profile((0, 0.033 * g * puff), (1, 0.031 * g * puff))
        self.neck = profile((0, 0.052 * g), (0.4, 0.046 * s), (1, 0.047 * s))
        self.palm = profile((0, 0.024 * s), (0.6, 0.037 * s), (1, 0.036 * s))
        self.fingers = profile((0, 0.034 * s), (0.5, 0.031 * s), (1, 0.020 * s))
        self.thumb = profile((0, 0.013 * s), (1, 0.010 * s))
        self.foot = profile((0, 0.038 * s), (0.6, 0.046 * s), (1, 0.038 * s))
        self.sole_shape = profile((0, 0.042 * s), (0.6, 0.049 * s), (1, 0.040 * s))
        self.ankle = profile((0, 0.037 * s), (1, 0.037 * s))
        self.collar = profile((0, 0.062 * s), (1, 0.055 * s))

    def solids(self, j: Joints) -> list[Solid]:
        """All solids of the figure in one frame, in no order."""
        out: list[Solid] = list(self.head.solids(j))
        self._torso(j, out)
        for word, side in (("left", 1.0), ("right", -1.0)):
            self._leg(j, word, out)
            self._arm(j, word, side, out)
        if self.skirted:
            self._skirt(j, out)
        return out

    def _torso(self, j: Joints, out: list[Solid]) -> None:
        s, look = self.build.scale, self.look
        px, py, pz = j["pelvis_x"], j["pelvis_y"], j["pelvis_z"]
        cx, cy, cz = j["chest_x"], j["chest_y"], j["chest_z"]
        low, high = along(j["pelvis"], (py, -0.035 * s)), along(j["waist"], (py, 0.02 * s))
        out.append(Tube(low, high, px, pz, self.hip, 0.60, self.pelvis_paint, round_b=False, ink=0.6))
        for side in () if self.skirted else (1.0, -1.0):
            seat = along(j["pelvis"], (px, side * 0.066 * s), (py, -0.052 * s), (pz, -0.030 * s))
            r = (0.077 + 0.010 * self.build.curve) * s * self.build.girth
            out.append(Ellipsoid(seat, px, py, pz, (r * 0.94, r * 1.04, r), self.pelvis_paint, ink=0.0))
        # The hem follows the hips more than the chest.
        below = self.shirt_tall - self.build.chest
        base = _between(along(j["waist"], (cy, -below)), along(j["waist"], (py, -below)), 0.85)
        out.append(Tube(base, j["neck"], cx, cz, self.shirt, 0.70, self.top, round_a=False, round_b=False))
        if self.build.curve > 0.5 and look.top != "hoodie":
            for side in (1.0, -1.0):
                bust = along(j["waist"], (cx, side * 0.062 * s), (cy, 0.215 * s), (cz, 0.056 * s))
                out.append(Ellipsoid(bust, cx, cy, cz, (0.060 * s, 0.062 * s, 0.052 * s), self._bust(side), ink=0.0))
        top = along(j["head"], (j["head_y"], -0.62 * self.build.head[1]), (j["head_z"], -0.016))
        out.append(Tube(along(j["neck"], (cy, -0.035 * s)), top, cx, cz, self.neck, 0.95, self.skin, ink=0.5))
        if look.top == "hoodie":
            hood = along(j["neck"], (cy, -0.012), (cz, -0.045 * s))
            out.append(Ellipsoid(hood, cx, cy, cz, (0.105 * s, 0.052 * s, 0.070 * s), self.top_plain))
        elif look.top != "tank":
            out.append(
                Tube(
                    along(j["neck"], (cy, -0.022 * s)),
                    along(j["neck"], (cy, 0.006 * s)),
                    cx,
                    cz,
                    self.collar,
                    0.86,
                    self.cuff,
                    round_a=False,
                    round_b=False,
                    ink=0.6,
                )
            )

    def _bust(self, side: float) -> Paint:
        """The shirt's pattern, carried on over a bump on its front."""
        s, top, tall, low = self.build.scale, self.top, self.shirt_tall, self.shirt_tall - self.build.chest
        wide = 0.150 * s * self.build.girth

        def paint(x: Floats, y: Floats, z: Floats, scale: float) -> Floats:
            across = np.clip((x * (0.060 * s) + side * 0.062 * s) * (1.0 / wide), -1.0, 1.0)
            up = (y * (0.062 * s) + (0.215 * s + low)) * (1.0 / tall)
            return top(across, up, np.sqrt(1.0 - across * across), scale / (0.062 * s))

        return paint

    def _leg(self, j: Joints, word: str, out: list[Solid]) -> None:
        s, look = self.build.scale, self.look
        hip, knee, ankle, toe = j[f"{word}_hip"], j[f"{word}_knee"], j[f"{word}_ankle"], j[f"{word}_toe"]
        x = j[f"{word}_leg_x"]
        zt, zs = _unit(_cross(x, _minus(hip, knee))), _unit(_cross(x, _minus(knee, ankle)))
        xt, xs = _unit(_cross(_minus(hip, knee), zt)), _unit(_cross(_minus(knee, ankle), zs))
        if self.leg_paint is self.skin:
            # The rest is under cloth.
            out.append(Tube(_between(hip, knee, 0.50), knee, xt, zt, self.bare_thigh, 1.0, self.leg_paint))
        else:
            out.append(Tube(hip, knee, xt, zt, self.thigh, 1.0, self.leg_paint))
        long_legs = self.leg_paint is self.bottom
        flared = long_legs and look.bottom == "trousers"
        foot_end = _between(knee, ankle, 0.97)
        out.append(
            Tube(knee, foot_end if flared else ankle, xs, zs, self.shin, 1.0, self.leg_paint, round_b=not flared)
        )
        if not (self.skirted or long_legs):
            out.append(Tube(hip, _between(hip, knee, 0.80), xt, zt, self.short_leg, 1.0, self.bottom, round_b=False))
        fx = _unit(_cross((0.0, 1.0, 0.0), toe))
        up = _unit(_cross(toe, fx))
        heel = along(ankle, (up, -0.042 * s), (toe, -0.014 * s))
        out.append(Tube(heel, along(heel, (toe, 0.150 * s)), fx, up, self.foot, 0.88, self.shoe))
        below = along(heel, (up, -0.024 * s))
        out.append(Tube(below, along(below, (toe, 0.152 * s)), fx, up, self.sole_shape, 0.34, self.sole, ink=0.6))
        out.append(
            Tube(
                along(ankle, (up, 0.035 * s)),
                along(ankle, (up, -0.035 * s)),
                fx,
                toe,
                self.ankle,
                1.0,
                self.sock,
                round_a=False,
                ink=0.6,
            )
        )

    def _arm(self, j: Joints, word: str, side: float, out: list[Solid]) -> None:
        s, look = self.build.scale, self.look
        shoulder, elbow, wrist = j[f"{word}_shoulder"], j[f"{word}_elbow"], j[f"{word}_wrist"]
        fore, width = j[f"{word}_fore"], j[f"{word}_palm"]
        normal = _unit(_cross(width, fore))
        arm = _unit(_minus(elbow, shoulder))
        ux = _unit(_cross(arm, normal)) if abs(_dot(arm, normal)) < 0.98 else _unit(_cross(arm, width))
        uz = _unit(_cross(ux, arm))
        if look.top in ("long", "hoodie"):
            out.append(Tube(shoulder, elbow, ux, uz, self.sleeve_upper, 1.0, self.sleeve))
            end = _between(elbow, wrist, 0.93)
            out.append(Tube(elbow, end, width, normal, self.sleeve_fore, 1.0, self.sleeve, round_b=False))
            out.append(
                Tube(
                    _between(elbow, wrist, 0.88),
                    _between(elbow, wrist, 0.97),
                    width,
                    normal,
                    self.wrist_band,
                    1.04,
                    self.cuff,
                    round_a=False,
                    round_b=False,
                )
            )
        else:
            out.append(Tube(shoulder, elbow, ux, uz, self.upper, 1.0, self.skin))
            out.append(Tube(elbow, wrist, width, normal, self.fore, 1.0, self.skin))
            if look.top == "tee":
                out.append(
                    Tube(
                        shoulder,
                        _between(shoulder, elbow, 0.58),
                        ux,
                        uz,
                        self.sleeve_short,
                        1.0,
                        self.sleeve,
                        round_b=False,
                    )
                )
        hand = j[f"{word}_hand"]
        knuckles = along(wrist, (hand, 0.070 * s))
        out.append(Tube(along(wrist, (hand, -0.005)), knuckles, width, normal, self.palm, 0.52, self.skin, ink=0.7))
        curl = 0.028 * s
        tips = along(knuckles, (hand, 0.062 * s), (normal, curl * side))
        fz = _unit(_cross(width, _minus(tips, knuckles)))
        out.append(Tube(knuckles, tips, width, fz, self.fingers, 0.46, self.skin, ink=0.7))
        base = along(wrist, (hand, 0.022 * s), (width, 0.024 * s))
        out.append(
            Tube(
                base,
                along(base, (hand, 0.046 * s), (width, 0.024 * s), (normal, 0.012 * side)),
                width,
                normal,
                self.thumb,
                1.0,
                self.skin,
                ink=0.7,
            )
        )

    def _skirt(self, j: Joints, out: list[Solid]) -> None:
        s = self.build.scale
        px, pz = j["pelvis_x"], j["pelvis_z"]
        top = along(j["waist"], (j["pelvis_y"], 0.035 * s))
        knees = _between(j["left_knee"], j["right_knee"], 0.5)
        drop = _unit(_minus(_between(along(j["pelvis"], (j["pelvis_y"], -0.42 * s)), knees, 0.60), top))
        hem = along(top, (drop, 0.45 * s))
        spread = 0.0
        for word in ("left", "right"):
            away = _minus(j[f"{word}_knee"], knees)
            spread = max(spread, abs(_dot(away, px)), abs(_dot(away, pz)) * 0.9)
        swing = min(j["spin"][0] * 0.32, 0.11)
        wider = max(0.0, spread * 0.8 + 0.075 * s - float(self.skirt[-1])) + swing
        shape = self.skirt + _RAMP * np.float32(wider)
        x = _unit(_cross(_unit(_cross(drop, px)), drop))
        z = _unit(_cross(x, (-drop[0], -drop[1], -drop[2])))
        out.append(Tube(top, hem, x, z, shape, 0.78, self.skirt_paint, round_a=False, round_b=False))
