"""DensePose's parts from exact annotations: every pixel of a person goes to the limb that it lies on.

A limb is a capsule around two joints. Lengths and widths come from the person's height in the picture, which its bones
tell: fractions of the height after Drillis and Contini (1966), as in Winter, Biomechanics and Motor Control of Human
Movement. Where several limbs reach a pixel, its depth decides by the depth of the joints that are seen; a limb whose
joints are both hidden gets what no other one claims. The two charts of a limb are told apart by the way that the
surface of a round limb faces there.

This is a stand-in for a network's estimate: parts and sides are right, borders between parts are straight, and u and v
run along and across the limb, not over DensePose's own charts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from baselines.inputs.parts import pack

__all__ = ["Joints", "exact_parts"]

Floats = npt.NDArray[np.float32]

NOSE, NECK, RIGHT_EYE, LEFT_EYE, RIGHT_EAR, LEFT_EAR = 0, 1, 14, 15, 16, 17
# Shoulder, elbow, wrist, hip, knee and ankle of each side.
SIDES = {"right": (2, 3, 4, 8, 9, 10), "left": (5, 6, 7, 11, 12, 13)}

# All lengths are fractions of a person's height.
TRUNK, UPPER_ARM, FOREARM, THIGH, SHIN = 0.288, 0.186, 0.146, 0.245, 0.246
HAND, FOOT = 0.108, 0.110
SHOULDERS = 0.200
"""Between the joints of a person who faces the camera, at least."""
EAR, NOSE_AHEAD = 0.045, 0.060
"""From the middle of the head to an ear, and to the nose."""
RADIUS = {
    "trunk": 0.062, "upper arm": 0.032, "forearm": 0.026, "hand": 0.028, "thigh": 0.052, "shin": 0.036, "foot": 0.028,
    "head": 0.068,
}  # fmt: skip
METRES = 1.7
"""Height of a person, to which differences in depth are compared."""
UNSEEN = 0.03
"""What a limb's hidden joints count, as if it were so far from the pixel."""
EDGE = 0.9
"""How far the surface at a limb's edge has turned away, 1 being seen edge on."""
INSIDE_TURN = 0.3
"""How far the inner chart of an upper arm turns to the front."""


@dataclass(frozen=True)
class Joints:
    """One picture's joints in pixels of the square.

    Attributes:
        places: float32 (K, 18, 2), x then y, in the order of `mcbench.KEYPOINT_NAMES`.
        known: bool (K, 18): whether the place means something, be it hidden or outside the picture.
        seen: bool (K, 18): whether the person's own surface is seen there.
    """

    places: Floats
    known: npt.NDArray[np.bool_]
    seen: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Limb:
    """A capsule; its half widths in pixels, the parts of its two charts, and the way the first of them faces.

    `facing` is x (along the limb's right-hand side, seen with its start on top) and the way to the camera. `depths` are
    the surface's at the two joints where they are seen, `slack` is what depth may differ without counting, `blunt`
    shortens the round ends.
    """

    start: Floats
    end: Floats
    widths: tuple[float, float]
    parts: tuple[int, int]
    facing: tuple[float, float]
    depths: tuple[float | None, float | None]
    slack: float
    penalty: float
    blunt: float = 1.0


def exact_parts(mask: npt.NDArray[np.uint8], depth: Floats, joints: Joints) -> npt.NDArray[np.uint8]:
    """The parts of one picture.

    Args:
        mask: uint8 (S, S): 0 background, k + 1 person k. What is hidden is not in it, and so gets no part.
        depth: float32 (S, S), metres from the camera.
        joints: of the K people.

    Returns:
        uint8 (3, S, S), see `parts.pack`: every pixel of a person has a part, no other one has.
    """
    part = np.zeros(mask.shape, np.uint8)
    u, v = np.zeros(mask.shape, np.float32), np.zeros(mask.shape, np.float32)
    for k in range(len(joints.places)):
        rows, columns = np.nonzero(mask == k + 1)
        if len(rows):
            person = _Person(joints.places[k], joints.known[k], joints.seen[k], depth, mask == k + 1)
            pixels = np.stack([columns, rows], axis=-1).astype(np.float32)
            part[rows, columns], u[rows, columns], v[rows, columns] = _assign(
                pixels, depth[rows, columns], person.limbs(), person.height
            )
    return pack(part, u, v)


def _assign(
    pixels: Floats, depth: Floats, limbs: list[_Limb], height: float
) -> tuple[npt.NDArray[np.uint8], Floats, Floats]:
    """Part, u and v of N pixels (x, y) of one person."""
    best = np.full(len(pixels), np.inf, np.float32)
    part = np.full(len(pixels), 2, np.uint8)  # somebody of whom no joint is known is a torso
    u, v = np.full(len(pixels), 0.5, np.float32), np.full(len(pixels), 0.5, np.float32)
    for limb in limbs:
        axis = limb.end - limb.start
        length = max(float(np.hypot(*axis)), 1e-3)
        down = axis / np.float32(length)
        away = pixels - limb.start
        along = np.asarray(np.clip(away @ down / np.float32(length), 0, 1), np.float32)
        across = away[:, 0] * down[1] - away[:, 1] * down[0]
        half = limb.widths[0] + along * np.float32(limb.widths[1] - limb.widths[0])
        beyond = away @ down - along * np.float32(length)
        distance = np.hypot(across, beyond * np.float32(limb.blunt))
        cost = np.maximum(distance - half, 0) / np.float32(height) + np.float32(0.006) * (distance / half) ** 2
        expected = _depth_along(limb.depths, along)
        if expected is not None:
            cost += np.maximum(np.abs(depth - expected) - np.float32(limb.slack), 0) / np.float32(METRES)
        cost += np.float32(limb.penalty)
        taken = cost < best
        best[taken] = cost[taken]
        side = np.clip(across / half, -1, 1)[taken]
        # Loose cloth stands off the limb, but does not show its far side.
        bent = side * np.float32(EDGE)
        towards = bent * np.float32(limb.facing[0]) + np.sqrt(1 - bent**2) * np.float32(limb.facing[1])
        part[taken] = np.where(towards > 0, limb.parts[0], limb.parts[1])
        u[taken], v[taken] = along[taken], (side + 1) / 2
    return part, u, v


def _depth_along(depths: tuple[float | None, float | None], along: Floats) -> Floats | None:
    """Depth of the surface along a limb as far as its joints tell."""
    start, end = depths
    if start is None or end is None:
        known = start if end is None else end
        return None if known is None else np.full_like(along, known)
    return start + along * np.float32(end - start)


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.hypot(*vector), np.float32)


class _Person:
    """One person's limbs."""

    def __init__(
        self,
        places: Floats,
        known: npt.NDArray[np.bool_],
        seen: npt.NDArray[np.bool_],
        depth: Floats,
        own: npt.NDArray[np.bool_],
    ) -> None:
        self._places, self._known, self._seen = places, known, seen
        self._depth, self._own = depth, own
        self._neck = places[NECK] if known[NECK] else self._middle(2, 5)
        self._hips = self._middle(8, 11)
        self.height = self._height()
        down: Floats = np.array([0, 1], np.float32)
        if self._neck is not None and self._hips is not None and (self._hips != self._neck).any():
            down = _unit(self._hips - self._neck)
        self._down = down
        self._facing = self._body_facing()

    def limbs(self) -> list[_Limb]:
        """All that is known of."""
        found = [self._trunk(), self._head()]
        sideways, forwards = self._facing
        for word, (shoulder, elbow, wrist, hip, knee, ankle) in SIDES.items():
            right = word == "right"
            # The person's left side faces (forwards, -sideways); that is the inner side of the right arm.
            inner = (forwards, -sideways) if right else (-forwards, sideways)
            upper = tuple(a + INSIDE_TURN * b for a, b in zip(inner, self._facing, strict=True))
            ahead = (sideways, forwards)
            found += [
                self._bone("upper arm", shoulder, elbow, (16, 18) if right else (15, 17), (upper[0], upper[1])),
                self._bone("forearm", elbow, wrist, (20, 22) if right else (19, 21), inner),
                self._bone("thigh", hip, knee, (9, 7) if right else (10, 8), ahead),
                self._bone("shin", knee, ankle, (13, 11) if right else (14, 12), ahead),
                self._hand(elbow, wrist, 3 if right else 4),
                self._foot(knee, ankle, 6 if right else 5),
            ]
        return [limb for limb in found if limb is not None]

    def _trunk(self) -> _Limb | None:
        if self._neck is None or self._hips is None:
            return None
        depths = [self._depth_at(joint) for joint in (NECK, 2, 5, 8, 11)]
        seen = [depth for depth in depths if depth is not None]
        middle = float(np.median(seen)) if seen else None
        floor = RADIUS["trunk"] * self.height
        widths = [max(floor, self._apart(2, 5) / 2), max(floor, self._apart(8, 11) / 2 + 0.04 * self.height)]
        below = self._hips + self._down * np.float32(0.03 * self.height)
        facing = self._facing
        penalty = 0.0 if seen else UNSEEN
        # Round ends would reach up to the chin, and down a skirt.
        return _Limb(
            self._neck, below, (widths[0], widths[1]), (2, 1), facing, (middle, middle), 0.10, penalty, blunt=3.0
        )

    def _head(self) -> _Limb | None:
        middle = self._middle(RIGHT_EAR, LEFT_EAR)
        if middle is None:
            middle = self._middle(RIGHT_EYE, LEFT_EYE)
        if middle is None:
            middle = self._places[NOSE] if self._known[NOSE] else None
        if middle is None:
            return None
        down = self._down
        if self._neck is not None and np.hypot(*(self._neck - middle)) > 0.05 * self.height:
            down = _unit(self._neck - middle)
        sideways, forwards = self._head_facing(middle, down)
        radius = RADIUS["head"] * self.height
        start, end = middle - down * np.float32(0.6 * radius), middle + down * np.float32(0.5 * radius)
        depths = [self._depth_at(joint) for joint in (NOSE, RIGHT_EYE, LEFT_EYE, RIGHT_EAR, LEFT_EAR)]
        seen = [depth for depth in depths if depth is not None]
        depth = float(np.median(seen)) if seen else None
        return _Limb(start, end, (radius, radius), (24, 23), (forwards, -sideways), (depth, depth), 0.15, 0.0)

    def _bone(
        self, kind: str, start: int, end: int, parts: tuple[int, int], facing: tuple[float, float]
    ) -> _Limb | None:
        if not (self._known[start] and self._known[end]):
            return None
        depths = self._depth_at(start), self._depth_at(end)
        seen = sum(depth is not None for depth in depths)
        radius = RADIUS[kind] * self.height
        widths = (radius, 0.8 * radius)
        slack, penalty = (0.05, 0.0) if seen == 2 else (0.12, UNSEEN if seen == 0 else 0.0)
        return _Limb(self._places[start], self._places[end], widths, parts, facing, depths, slack, penalty)

    def _hand(self, elbow: int, wrist: int, part: int) -> _Limb | None:
        if not (self._known[elbow] and self._known[wrist]):
            return None
        start = self._places[wrist]
        end = start + (start - self._places[elbow]) * np.float32(HAND / FOREARM)
        return self._tip("hand", start, end, wrist, part)

    def _foot(self, knee: int, ankle: int, part: int) -> _Limb | None:
        if not self._known[ankle]:
            return None
        start = self._places[ankle]
        sideways = np.array([self._down[1], -self._down[0]], np.float32) * np.float32(self._facing[0])
        # A foot that points to the camera hangs a little below its ankle.
        end = start + np.float32(FOOT * self.height) * sideways + np.float32(0.035 * self.height) * self._down
        return self._tip("foot", start, end, ankle, part)

    def _tip(self, kind: str, start: Floats, end: Floats, joint: int, part: int) -> _Limb:
        depth = self._depth_at(joint)
        radius = RADIUS[kind] * self.height
        penalty = UNSEEN if depth is None else 0.0
        return _Limb(start, end, (radius, radius), (part, part), (0.0, 1.0), (depth, depth), 0.15, penalty)

    def _height(self) -> float:
        """In pixels: what the least foreshortened bone tells."""
        bones = [0.0]
        for shoulder, elbow, wrist, hip, knee, ankle in SIDES.values():
            lengths = ((shoulder, elbow, UPPER_ARM), (elbow, wrist, FOREARM), (hip, knee, THIGH), (knee, ankle, SHIN))
            bones += [self._apart(start, end) / share for start, end, share in lengths]
        if self._neck is not None and self._hips is not None:
            bones.append(float(np.hypot(*(self._neck - self._hips))) / TRUNK)
        rows, _ = np.nonzero(self._own)
        return max(bones) if max(bones) > 1 else float(rows.max() - rows.min() + 1)

    def _body_facing(self) -> tuple[float, float]:
        """The way that the body faces: x in the picture (turned as the trunk leans), and towards the camera."""
        across = np.array([self._down[1], -self._down[0]], np.float32)
        shoulders = SIDES["right"][0], SIDES["left"][0]
        head = self._middle(RIGHT_EAR, LEFT_EAR)
        turn = 0.0
        if self._known[NOSE] and head is not None:
            turn = float((self._places[NOSE] - head) @ across)
        if not self._known[list(shoulders)].all():
            face = self._seen[[RIGHT_EYE, LEFT_EYE, NOSE]].any()
            return 0.0, 1.0 if face else -1.0
        width = float((self._places[shoulders[1]] - self._places[shoulders[0]]) @ across)
        forwards = float(np.clip(width / (SHOULDERS * self.height), -1, 1))
        return float(np.sign(turn) * np.sqrt(1 - forwards**2)), forwards

    def _head_facing(self, middle: Floats, down: Floats) -> tuple[float, float]:
        if not self._known[[NOSE, RIGHT_EAR, LEFT_EAR]].all():
            return self._facing
        across = np.array([down[1], -down[0]], np.float32)
        sideways = float((self._places[NOSE] - middle) @ across) / NOSE_AHEAD
        forwards = float((self._places[LEFT_EAR] - self._places[RIGHT_EAR]) @ across) / (2 * EAR)
        length = float(np.hypot(sideways, forwards))
        return (sideways / length, forwards / length) if length > 0 else self._facing

    def _middle(self, right: int, left: int) -> Floats | None:
        """Midway between two joints, or the one of them that is known."""
        places = self._places[[right, left]][self._known[[right, left]]]
        return np.asarray(places.mean(0), np.float32) if len(places) else None

    def _apart(self, a: int, b: int) -> float:
        """Distance of two joints in pixels, 0 where one is not known."""
        if not (self._known[a] and self._known[b]):
            return 0.0
        return float(np.hypot(*(self._places[a] - self._places[b])))

    def _depth_at(self, joint: int) -> float | None:
        """Depth of the surface over a joint that is seen, in metres."""
        if not (self._known[joint] and self._seen[joint]):
            return None
        column, row = np.rint(self._places[joint]).astype(int)
        if not (0 <= row < self._own.shape[0] and 0 <= column < self._own.shape[1] and self._own[row, column]):
            return None
        return float(self._depth[row, column])
