"""The dancers' vocabulary: arm shapes, key poses and moves, written by hand.

An arm is two directions, upper arm and forearm, each as (outward, upward, forward) in the frame of the chest, so that
the same shape serves both sides. Angles are in degrees: a positive pitch bends forward, a positive roll leans to the
character's left, a positive yaw turns to the character's left.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mcbench.datasets.synthetic.arithmetic import Array

__all__ = ["ARMS", "GESTURES", "MOVES", "POSE_SIZE", "Key", "Move", "pose_of"]

Direction = tuple[float, float, float]

ARMS: dict[str, tuple[Direction, Direction]] = {
    "rest": ((0.20, -1.0, 0.00), (0.12, -1.0, 0.26)),
    "loose": ((0.34, -1.0, 0.05), (0.30, -0.80, 0.55)),
    "swing_front": ((0.18, -0.90, 0.48), (-0.22, 0.10, 1.0)),
    "swing_back": ((0.26, -0.90, -0.46), (0.10, -0.95, 0.10)),
    "pump": ((0.40, -0.80, -0.20), (0.05, 0.35, 0.95)),
    "up": ((0.24, 1.0, 0.06), (0.02, 1.0, 0.10)),
    "up_wide": ((0.75, 0.72, 0.08), (0.50, 0.90, 0.10)),
    "up_lean": ((0.45, 0.95, 0.00), (-0.45, 0.90, 0.10)),
    "side": ((1.0, 0.06, 0.05), (1.0, 0.12, 0.16)),
    "side_low": ((0.85, -0.52, 0.12), (0.90, -0.30, 0.38)),
    "goal": ((1.0, 0.02, 0.12), (0.10, 1.0, 0.16)),
    "robot_down": ((1.0, 0.02, 0.05), (0.10, -1.0, 0.22)),
    "hip": ((0.72, -0.74, -0.22), (-0.80, -0.48, 0.42)),
    "chest": ((0.42, -0.80, 0.42), (-0.92, 0.20, 0.55)),
    "clap": ((0.30, -0.62, 0.72), (-0.62, 0.40, 0.75)),
    "clap_open": ((0.72, -0.50, 0.50), (0.52, 0.40, 0.78)),
    "clap_high": ((0.40, 0.72, 0.55), (-0.50, 0.90, 0.30)),
    "point_high": ((0.72, 0.74, 0.16), (0.76, 0.78, 0.16)),
    "point_cross": ((0.06, -0.85, 0.52), (-0.66, -0.62, 0.42)),
    "behind_head": ((0.82, 0.66, 0.05), (-0.72, 0.40, -0.40)),
    "reach": ((0.20, -0.22, 1.0), (0.05, 0.06, 1.0)),
    "reach_low": ((0.30, -0.80, 0.55), (0.12, -0.25, 1.0)),
    "embrace": ((0.72, -0.28, 0.66), (0.10, 0.06, 1.0)),
    "first": ((0.58, -0.66, 0.46), (-0.72, -0.36, 0.62)),
    "second": ((0.95, -0.16, 0.30), (0.86, -0.10, 0.52)),
    "fifth": ((0.55, 0.82, 0.22), (-0.42, 0.92, 0.22)),
    "wave_high": ((0.80, 0.42, 0.12), (0.32, 1.0, 0.15)),
    "wave_out": ((0.80, 0.46, 0.12), (0.95, 0.55, 0.18)),
    "dab_bent": ((0.42, 0.16, 0.85), (-0.88, 0.34, 0.05)),
    "dab_long": ((0.90, 0.46, 0.05), (0.90, 0.50, 0.05)),
    "roll_high": ((0.36, -0.55, 0.66), (-0.80, 0.52, 0.40)),
    "roll_low": ((0.36, -0.80, 0.46), (-0.86, 0.04, 0.60)),
    "snap": ((0.55, -0.78, 0.30), (0.35, 0.55, 0.75)),
    "flex": ((0.92, 0.22, 0.10), (-0.20, 0.98, 0.12)),
    "shade": ((0.62, 0.10, 0.70), (-0.62, 0.72, -0.12)),
    "heart": ((0.34, 0.35, 0.80), (-0.66, 0.62, 0.20)),
}


@dataclass(frozen=True)
class Key:
    """One key pose.

    Attributes:
        left, right: names of arm shapes.
        chest: pitch, roll, yaw against the hips.
        head: pitch, roll, yaw against the chest.
        hips: pitch, roll, yaw against the way the character faces.
        sway: the hips' shift to the character's left, metres.
        drop: how far the knees bend, metres.
    """

    left: str
    right: str
    chest: Direction = (0.0, 0.0, 0.0)
    head: Direction = (0.0, 0.0, 0.0)
    hips: Direction = (0.0, 0.0, 0.0)
    sway: float = 0.0
    drop: float = 0.006

    def mirrored(self) -> Key:
        """Left and right exchanged."""
        flip = [(pitch, -roll, -yaw) for pitch, roll, yaw in (self.chest, self.head, self.hips)]
        return Key(self.right, self.left, flip[0], flip[1], flip[2], -self.sway, self.drop)


POSE_SIZE = 23
"""Numbers in a pose: four arm directions (left upper and fore, right upper and fore), three angles each of chest, head
and hips in turns, sway, drop."""


def pose_of(key: Key) -> Array:
    """The key as an array of POSE_SIZE numbers."""
    numbers: list[float] = []
    for name in (key.left, key.right):
        for direction in ARMS[name]:
            numbers.extend(direction)
    for angles in (key.chest, key.head, key.hips):
        numbers.extend(angle / 360.0 for angle in angles)
    return np.array([*numbers, key.sway, key.drop])


@dataclass(frozen=True)
class Move:
    """Key poses, one a beat, repeated as long as the move lasts.

    Attributes:
        keys: the poses.
        mirror: whether the keys are followed by their mirror images.
        bounce: how far the body dips on the beat, metres.
        tap: how high a foot is lifted on a beat in which it goes nowhere, metres.
        kick: how far a lifted foot goes out, up and forward, metres.
        stance: how much wider than the hips the feet stand, metres.
        step: how far the character steps from side to side, metres.
    """

    keys: tuple[Key, ...]
    mirror: bool = True
    bounce: float = 0.035
    tap: float = 0.0
    kick: Direction = (0.0, 0.0, 0.0)
    stance: float = 0.05
    step: float = 0.0
    sequence: tuple[Key, ...] = field(init=False)

    def __post_init__(self) -> None:
        tail = tuple(key.mirrored() for key in self.keys) if self.mirror else ()
        object.__setattr__(self, "sequence", self.keys + tail)


MOVES: dict[str, Move] = {
    "groove": Move(
        (Key("swing_front", "swing_back", (4, 4, -10), (2, -6, 6), (0, -4, 8), 0.03),),
        bounce=0.045,
        step=0.09,
        tap=0.05,
    ),
    "step_clap": Move(
        (
            Key("clap_open", "clap_open", (2, 5, 6), (0, 4, 4), (0, -3, 6), 0.04),
            Key("clap", "clap", (6, -2, 0), (6, 0, 0)),
        ),
        step=0.13,
        tap=0.06,
    ),
    "high_wave": Move((Key("up_wide", "up_lean", (0, 12, 0), (-4, 8, 6), (0, -7, 0), 0.06),), stance=0.09, bounce=0.03),
    "disco": Move(
        (
            Key("hip", "point_high", (-2, 8, 10), (-10, 6, -24), (0, -9, -8), 0.07),
            Key("hip", "point_cross", (10, 6, 16), (12, 2, 18), (0, 7, 6), -0.05, 0.05),
            Key("hip", "point_high", (-2, 8, 10), (-10, 6, -24), (0, -9, -8), 0.07),
            Key("hip", "chest", (4, -2, 0), (2, -6, 0), (0, 6, 4), -0.04, 0.03),
        ),
        stance=0.10,
    ),
    "shimmy": Move(
        (Key("side_low", "snap", (4, 8, 14), (0, -10, -8), (0, -8, -10), 0.05, 0.03),), bounce=0.05, stance=0.06
    ),
    "robot": Move(
        (Key("goal", "robot_down", (0, 0, 14), (0, 0, -18)), Key("robot_down", "goal", (0, 4, 14), (0, 8, 20))),
        bounce=0.02,
        stance=0.06,
    ),
    "ballet": Move(
        (
            Key("first", "first", (2, 0, 0), (8, 0, 0)),
            Key("second", "fifth", (-2, 9, 6), (-8, 8, 22), (0, -3, 0), 0.03, 0.0),
            Key("fifth", "fifth", (-5, 0, 0), (-14, 0, 0), (0, 0, 0), 0.0, 0.0),
            Key("second", "second", (0, -4, -6), (-4, -6, -16)),
        ),
        bounce=0.012,
        tap=0.08,
        kick=(0.16, 0.05, 0.04),
        stance=0.0,
    ),
    "dab": Move(
        (
            Key("loose", "loose", (4, 0, 0), (4, 0, 0), (0, 0, 0), 0.0, 0.05),
            Key("dab_long", "dab_bent", (10, -12, -16), (24, -10, -22), (0, 6, -8), 0.05, 0.07),
            Key("dab_long", "dab_bent", (12, -13, -16), (26, -10, -24), (0, 6, -8), 0.05, 0.09),
        ),
        stance=0.10,
    ),
    "roll_arms": Move(
        (Key("roll_high", "roll_low", (8, 5, 0), (0, 6, 8), (0, -5, 8), 0.05, 0.06),),
        bounce=0.05,
        step=0.08,
        stance=0.06,
    ),
    "star": Move(
        (
            Key("up_wide", "up_wide", (-6, 0, 0), (-14, 0, 0), (0, 0, 0), 0.0, 0.0),
            Key("clap", "clap", (12, 0, 0), (10, 0, 0), (4, 0, 0), 0.0, 0.10),
        ),
        mirror=False,
        stance=0.12,
        bounce=0.02,
    ),
    "kicks": Move(
        (Key("side", "side", (-3, 5, 5), (-4, 4, 0), (-4, -3, 0), 0.05, 0.0),),
        bounce=0.02,
        kick=(0.05, 0.42, 0.52),
        stance=0.0,
    ),
    "side_kicks": Move(
        (Key("side_low", "up_wide", (0, 10, 0), (-2, 4, 10), (0, 6, 0), 0.06, 0.0),),
        bounce=0.02,
        kick=(0.46, 0.34, 0.06),
        stance=0.0,
    ),
    "knees": Move(
        (Key("pump", "swing_front", (8, 0, 12), (2, 0, -8), (0, 4, -8), 0.02, 0.03),),
        bounce=0.05,
        kick=(0.0, 0.34, 0.12),
        stance=0.02,
    ),
    "wave_hello": Move(
        (
            Key("hip", "wave_high", (0, 5, 0), (-2, 8, -8), (0, -5, 0), 0.05),
            Key("hip", "wave_out", (0, 7, 0), (-2, 10, -8), (0, -6, 0), 0.06),
        ),
        mirror=False,
        stance=0.07,
    ),
    "vogue": Move(
        (
            Key("behind_head", "side", (0, -8, 10), (0, -8, 28), (0, 7, -8), -0.05),
            Key("fifth", "hip", (-2, -12, -6), (-4, -10, -22), (0, 9, 0), -0.06, 0.04),
        ),
        stance=0.08,
        bounce=0.02,
    ),
    "hips": Move(
        (
            Key("hip", "hip", (0, -7, -8), (2, 6, 8), (0, 10, 14), -0.07, 0.03),
            Key("hip", "behind_head", (0, 8, 8), (0, -6, -8), (0, -10, -14), 0.07, 0.05),
        ),
        stance=0.09,
        bounce=0.04,
    ),
    "heart": Move(
        (
            Key("heart", "heart", (-2, 6, 0), (0, 8, 0), (0, -5, 0), 0.05),
            Key("heart", "heart", (-2, -6, 0), (0, -8, 0), (0, 5, 0), -0.05),
        ),
        mirror=False,
        stance=0.07,
    ),
    "lunge": Move(
        (
            Key("side", "point_high", (2, -10, -8), (-6, -6, -26), (0, 4, 0), -0.13, 0.10),
            Key("loose", "loose", (2, 0, 0), (0, 0, 0), (0, 0, 0), 0.0, 0.02),
        ),
        stance=0.16,
        bounce=0.02,
    ),
    "strong": Move(
        (
            Key("flex", "hip", (-4, -6, 8), (0, 4, 26), (0, 4, 0), -0.04, 0.03),
            Key("flex", "flex", (-6, 0, 0), (-4, 0, 0), (0, 0, 0), 0.0, 0.05),
        ),
        stance=0.12,
    ),
    "crowd": Move(
        (
            Key("clap_high", "clap_high", (-3, 5, 4), (-12, 4, 0), (0, -4, 0), 0.04),
            Key("up_wide", "up_wide", (-5, -5, -4), (-14, -4, 0), (0, 4, 0), -0.04),
        ),
        mirror=False,
        bounce=0.05,
        tap=0.05,
    ),
}

# What a travelling or paired figure does is not one of the moves that a soloist picks.
GESTURES: dict[str, Move] = {
    "walk": Move((Key("swing_front", "swing_back", (5, 2, -8), (0, 0, 4), (0, -2, 6)),), bounce=0.02),
    "strut": Move(
        (Key("loose", "snap", (0, 5, -8), (-3, -4, 6), (0, -5, 8), 0.02), Key("clap", "clap", (4, 0, 0), (2, 0, 0))),
        bounce=0.03,
    ),
    "twirl": Move(
        (
            Key("second", "second", (-2, 3, 0), (-4, 0, 10)),
            Key("fifth", "fifth", (-4, 0, 0), (-8, 0, 10)),
        ),
        bounce=0.0,
    ),
    "twirl_low": Move(
        (
            Key("first", "side", (0, 4, -6), (0, 0, 12)),
            Key("side", "first", (0, -4, 6), (0, 0, 12)),
        ),
        mirror=False,
        bounce=0.01,
    ),
    "open_arms": Move((Key("embrace", "embrace", (-3, 0, 0), (-4, 4, 0)),), mirror=False, bounce=0.01),
    "embrace": Move(
        (
            Key("embrace", "embrace", (5, 3, 0), (6, 9, 10), drop=0.03),
            Key("embrace", "embrace", (5, -1, 0), (6, 7, 10), drop=0.02),
        ),
        mirror=False,
        bounce=0.008,
    ),
    "swing": Move(
        (
            Key("reach_low", "reach_low", (-5, 3, 0), (-3, 5, 0)),
            Key("reach_low", "reach_low", (-5, -3, 0), (-3, -5, 0)),
        ),
        bounce=0.025,
    ),
    "shoulders": Move(
        (Key("side", "side", (-2, 4, 0), (0, 4, 0), (0, -4, 0), 0.03),),
        bounce=0.03,
        kick=(0.02, 0.26, 0.40),
        stance=0.0,
    ),
}
