"""Bodies: proportions, and the skeleton that a motion gives them: forward kinematics, inverse for legs and contacts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcbench.datasets.synthetic.arithmetic import Array, Random, cosine, cross, length, mix, sine, unit
from mcbench.datasets.synthetic.motion import Motion, animate, contact_weight
from mcbench.datasets.synthetic.script import Contact, Script

__all__ = ["HEAD_POINTS", "Build", "Skeleton", "make_build", "solve"]

Frames = tuple[Array, Array, Array]
Skeleton = dict[str, Array]
"""Named points (`left_wrist`) and unit axes (`chest_x`) over time, (T, 3) each, metres in the world."""

# Places on the head's unit ellipsoid, (to its left, up, to its front), and how far along their ray.
HEAD_POINTS = {
    "nose": (0.0, -0.20, 1.08),
    "left_eye": (0.36, 0.06, 0.90),
    "right_eye": (-0.36, 0.06, 0.90),
    "left_ear": (0.98, -0.04, -0.08),
    "right_ear": (-0.98, -0.04, -0.08),
}


@dataclass(frozen=True)
class Build:
    """Proportions in metres. Attributes: scale: of all lengths, 1 for 1.70 m; girth: of all widths; curve: 0 straight
    to 1 wide hips and a narrow waist."""

    scale: float
    girth: float
    curve: float

    @property
    def hips(self) -> float:
        """Half the distance between the hip joints."""
        return (0.082 + 0.010 * self.curve) * self.scale

    @property
    def shoulders(self) -> float:
        """Half the distance between the shoulder joints."""
        return (0.168 - 0.026 * self.curve) * self.scale * (0.5 + 0.5 * self.girth)

    @property
    def thigh(self) -> float:
        return 0.415 * self.scale

    @property
    def shin(self) -> float:
        return 0.405 * self.scale

    @property
    def ankle(self) -> float:
        """Height of the ankle above the sole."""
        return 0.082 * self.scale

    @property
    def upper_arm(self) -> float:
        return 0.275 * self.scale

    @property
    def forearm(self) -> float:
        return 0.245 * self.scale

    @property
    def chest(self) -> float:
        """From the waist to the base of the neck."""
        return 0.385 * self.scale

    @property
    def head(self) -> tuple[float, float, float]:
        """Half axes of the head. Heads of small people are hardly smaller."""
        s = 0.55 + 0.45 * self.scale
        return 0.086 * s, 0.125 * s, 0.102 * s


def make_build(random: Random, woman: bool) -> Build:
    """A random build."""
    tall = random.uniform(0.93, 1.02) if woman else random.uniform(0.98, 1.08)
    return Build(
        tall,
        random.uniform(0.90, 1.06) if woman else random.uniform(0.96, 1.14),
        random.uniform(0.7, 1.0) if woman else 0.1,
    )


def _rotated(frame: Frames, pitch: Array, roll: Array, yaw: Array) -> Frames:
    """The frame (x left, y up, z front) turned about its own axes: yaw, then pitch, then roll; turns of shape (T,)."""
    x, y, z = frame
    s, c = sine(yaw)[:, None], cosine(yaw)[:, None]
    x, z = x * c - z * s, z * c + x * s
    s, c = sine(pitch)[:, None], cosine(pitch)[:, None]
    y, z = y * c + z * s, z * c - y * s
    s, c = sine(roll)[:, None], cosine(roll)[:, None]
    y, x = y * c + x * s, x * c - y * s
    return x, y, z


def _bend(start: Array, goal: Array, first: float, second: float, pole: Array) -> tuple[Array, Array]:
    """Two-bone inverse kinematics by the law of cosines: the middle joint, bent towards `pole`, and the end."""
    reach = goal - start
    distance = length(reach)
    along = reach / np.maximum(distance, 1e-9)
    distance = np.clip(distance, abs(first - second) * 1.02 + 0.02, (first + second) * 0.9985)
    side = pole - along * (
        pole[..., 0:1] * along[..., 0:1] + pole[..., 1:2] * along[..., 1:2] + pole[..., 2:3] * along[..., 2:3]
    )
    a = (first * first - second * second + distance * distance) / (2.0 * distance)
    h = np.sqrt(np.maximum(first * first - a * a, 0.0))
    return start + along * a + unit(side) * h, start + along * distance


def _trunk(motion: Motion, build: Build) -> Skeleton:
    """Everything but the arms."""
    s, pose, out = build.scale, motion.pose, {}
    frames = motion.yaw.shape[0]
    sy, cy, zero = sine(motion.yaw), cosine(motion.yaw), np.zeros(frames)
    up = np.stack((zero, zero + 1.0, zero), -1)
    facing: Frames = (np.stack((cy, zero, -sy), -1), up, np.stack((sy, zero, cy), -1))
    chest, head, hips = pose[:, 12:15], pose[:, 15:18], pose[:, 18:21]
    pelvis = _rotated(facing, hips[:, 0], hips[:, 1], hips[:, 2])

    feet = []
    for foot in (0, 1):
        yaw = motion.feet_yaw[:, foot]
        forward = np.stack((sine(yaw), zero, cosine(yaw)), -1)
        feet.append((motion.feet[:, foot], forward))
    leg = build.thigh + build.shin
    middle = np.stack((motion.root[:, 0], zero, motion.root[:, 1]), -1)
    middle = middle + facing[0] * (pose[:, 21] + 0.035 * motion.support)[:, None]
    height = (build.ankle + 0.02 * s + leg * 0.985) - (motion.bounce + pose[:, 22])
    ankles = []
    for side, (sole, forward) in zip((1.0, -1.0), feet, strict=True):
        joint = middle + up * height[:, None] + pelvis[0] * (side * build.hips) - pelvis[1] * (0.02 * s)
        ankle = sole + up * build.ankle - forward * (0.045 * s)
        excess = length(joint - ankle)[:, 0] - 0.975 * leg
        # A leg that trails lifts its heel before it pulls the body down.
        heel = np.clip(excess * 1.3, 0.0, 0.10)
        ankle = ankle + up * (heel * 0.9)[:, None] + forward * (heel * 0.35)[:, None]
        flat = (joint - ankle) * np.array((1.0, 0.0, 1.0))
        room = np.sqrt(
            np.maximum((0.995 * leg) * (0.995 * leg) - (flat[:, 0] * flat[:, 0] + flat[:, 2] * flat[:, 2]), 0.01)
        )
        slack = 4.0 * np.maximum(sole[:, 1] - 0.04, 0.0)
        height = np.minimum(height, ankle[:, 1] + room + 0.02 * s + slack)
        tilt = heel * 7.0 + np.minimum(sole[:, 1], 0.35) * 1.9
        ankles.append((ankle, unit(forward - up * tilt[:, None])))
    centre = middle + up * height[:, None]
    out["pelvis"] = centre
    for name, axis in zip("xyz", pelvis, strict=True):
        out[f"pelvis_{name}"] = axis
    for side, word, (ankle, forward) in zip((1.0, -1.0), ("left", "right"), ankles, strict=True):
        joint = centre + pelvis[0] * (side * build.hips) - pelvis[1] * (0.02 * s)
        toward = unit(forward * np.array((1.0, 0.0, 1.0)))
        knee, end = _bend(joint, ankle, build.thigh, build.shin, toward + facing[0] * (0.12 * side) + up * 0.15)
        out[f"{word}_hip"], out[f"{word}_knee"], out[f"{word}_ankle"] = joint, knee, end
        out[f"{word}_toe"] = forward
        out[f"{word}_leg_x"] = unit(cross(up, toward))

    lower = 0.45 * hips
    turned = _rotated(facing, chest[:, 0] + lower[:, 0], chest[:, 1] + lower[:, 1], chest[:, 2] + lower[:, 2])
    waist = centre + pelvis[1] * (0.115 * s)
    out["waist"] = waist
    for name, axis in zip("xyz", turned, strict=True):
        out[f"chest_{name}"] = axis
    out["neck"] = waist + turned[1] * build.chest
    angles = head + 0.55 * chest + 0.25 * hips
    look = _rotated(facing, angles[:, 0], angles[:, 1], chest[:, 2] * 0.45 + angles[:, 2])
    for name, axis in zip("xyz", look, strict=True):
        out[f"head_{name}"] = axis
    rx, ry, rz = build.head
    out["head"] = out["neck"] + unit(turned[1] + look[1]) * (0.038 * s) + look[1] * (ry * 0.99) + look[2] * 0.018
    # How far the head was behind, and how fast the body turns: hair and skirts follow late.
    late = np.maximum(np.arange(frames) - 4, 0)
    out["head_lag"] = out["head"][late] - out["head"]
    spin = np.abs(motion.yaw - motion.yaw[np.maximum(np.arange(frames) - 6, 0)])
    out["spin"] = np.stack((spin, zero, zero), -1)
    for name, (x, y, z) in HEAD_POINTS.items():
        out[name] = out["head"] + look[0] * (x * rx) + look[1] * (y * ry) + look[2] * (z * rz)
    return out


def _shoulder(body: Skeleton, build: Build, side: float, raise_: Array) -> Array:
    """The shoulder joint, which rises and comes in as the arm is lifted."""
    lift = np.maximum(raise_, 0.0)
    return np.asarray(
        body["neck"]
        + body["chest_x"] * (side * (build.shoulders - 0.018 * lift))
        - body["chest_y"] * ((0.074 - 0.050 * lift) * build.scale)
    )


def _contact_goal(
    contact: Contact, me: Skeleton, other: Skeleton, side: float, build: Build, first: bool
) -> tuple[Array, Array] | None:
    """Where that hand goes and towards where its elbow bends, or None where it does not take part."""
    mine = "left" if side > 0 else "right"
    theirs = "right" if side > 0 else "left"
    if contact.kind == "hug":
        # Left arms over the partner's shoulder, right arms under the partner's arm.
        high = 0.68 if side > 0 else 0.36
        goal = other["waist"] + other["chest_y"] * (high * build.chest) - other["chest_z"] * (0.142 * build.scale)
        goal = goal + other["chest_x"] * (0.02 * side)
        return goal, me["chest_x"] * side + me["chest_y"] * (0.35 if side > 0 else -0.7)
    if contact.kind == "hands":
        middle = (me[f"{mine}_shoulder"] + other[f"{theirs}_shoulder"]) * 0.5
        aside = (me["chest_x"] - other["chest_x"]) * (0.06 * side)
        return middle - np.array((0.0, 0.27, 0.0)) + aside, me["chest_x"] * (0.6 * side) - me["chest_y"]
    if (side > 0) != first:
        return None
    goal = other[f"{theirs}_shoulder"] + other["chest_y"] * 0.035 - other["chest_z"] * 0.085
    return goal, -me["chest_y"] - me["chest_z"] * 0.5


def solve(script: Script, builds: list[Build], frames: int) -> list[Skeleton]:
    """The skeletons of all characters over the first `frames` frames of a script."""
    motions = animate(script, frames, [build.hips for build in builds])
    bodies = [_trunk(motion, build) for motion, build in zip(motions, builds, strict=True)]
    sides = (("left", 1.0, 0), ("right", -1.0, 6))
    for body, build, motion in zip(bodies, builds, motions, strict=True):
        for word, side, at in sides:
            body[f"{word}_shoulder"] = _shoulder(body, build, side, motion.pose[:, at + 1 : at + 2])
    for k, (body, build, motion) in enumerate(zip(bodies, builds, motions, strict=True)):
        for word, side, at in sides:
            axes = (body["chest_x"] * side, body["chest_y"], body["chest_z"])
            upper, fore = (
                axes[0] * motion.pose[:, i : i + 1]
                + axes[1] * motion.pose[:, i + 1 : i + 2]
                + axes[2] * motion.pose[:, i + 2 : i + 3]
                for i in (at, at + 3)
            )
            shoulder, turned = body[f"{word}_shoulder"], np.zeros((frames, 3))
            for contact in script.contacts:
                if k not in (contact.a, contact.b):
                    continue
                times = (contact.start, contact.full, contact.release, contact.end)
                weight = contact_weight(script.beat, times, frames)[:, None]
                other = bodies[contact.b if k == contact.a else contact.a]
                found = _contact_goal(contact, body, other, side, build, k == contact.a)
                if found is None or not weight.any():
                    continue
                elbow, wrist = _bend(shoulder, found[0], build.upper_arm, build.forearm + 0.05 * build.scale, found[1])
                # Outside the contact not a bit may change, however much of the contact is asked for.
                reaching = weight > 0
                upper = np.where(reaching, unit(mix(upper, unit(elbow - shoulder), weight)), upper)
                fore = np.where(reaching, unit(mix(fore, unit(wrist - elbow), weight)), fore)
                if contact.kind == "hug":
                    # The hand lies flat on the partner's back.
                    turned = turned + (other["chest_x"] * (1.6 * side) + other["chest_z"] * 0.35) * weight
            elbow = shoulder + upper * build.upper_arm
            body[f"{word}_elbow"] = elbow
            body[f"{word}_wrist"] = elbow + fore * build.forearm
            body[f"{word}_fore"] = fore
            hand = np.where((turned != 0.0).any(-1, keepdims=True), unit(fore + turned), fore)
            body[f"{word}_hand"] = hand
            flat = np.minimum(length(turned), 1.0)
            # Palms face the thighs when arms hang, and the front when they are raised.
            raised = (fore[:, 1:2] * 0.5 + 0.5) * 0.9
            width = mix(body["chest_z"], body["chest_x"] * -side, raised)
            width = mix(width, body["chest_y"], flat)
            body[f"{word}_palm"] = unit(cross(hand, cross(width, hand)))
    return bodies
