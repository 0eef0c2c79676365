"""From a script to numbers: where every character's root, pose and feet are in every frame."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mcbench.datasets.synthetic.arithmetic import Array, cosine, dot, ease, mix, sine, unit
from mcbench.datasets.synthetic.moves import POSE_SIZE, pose_of
from mcbench.datasets.synthetic.script import Script, Track

__all__ = ["Motion", "animate", "contact_weight"]


@dataclass(frozen=True)
class Motion:
    """One character over T frames, world units (metres, turns).

    Attributes:
        root: (T, 2), x and z of the body's middle on the floor.
        yaw: (T,), where it faces: 0 is towards the camera, positive is to its own left.
        pose: (T, POSE_SIZE), see `moves.POSE_SIZE`; arm directions have length 1.
        bounce: (T,), how far the body dips on the beat.
        feet: (T, 2, 3), left then right: where the sole's middle is; y is its height above the floor.
        feet_yaw: (T, 2).
        support: (T,), -1 when the weight is on the right foot, 1 on the left.
    """

    root: Array
    yaw: Array
    pose: Array
    bounce: Array
    feet: Array
    feet_yaw: Array
    support: Array


def _path(track: Track, beat: int, frames: int) -> Array:
    """(frames, 3): x, z and yaw along the waypoints, by cubic Hermite pieces."""
    way = track.way
    times = [w.beat * beat for w in way]
    values = [(w.x, w.z, w.yaw) for w in way]
    slopes: list[tuple[float, float, float]] = []
    for i, w in enumerate(way):
        if w.through and 0 < i < len(way) - 1:
            span = times[i + 1] - times[i - 1]
            x, z, yaw = ((b - a) / span for a, b in zip(values[i - 1], values[i + 1], strict=True))
            slopes.append((x, z, yaw))
        else:
            slopes.append((0.0, 0.0, 0.0))
    path = np.empty((frames, 3))
    path[:] = values[-1]
    time = np.arange(frames, dtype=np.float64)
    for i in range(len(way) - 1):
        t0, t1 = times[i], times[i + 1]
        inside = (time >= t0) & (time < t1)
        if t1 <= t0 or not inside.any():
            continue
        u = ((time[inside] - t0) / (t1 - t0))[:, None]
        still = not (way[i].through or way[i + 1].through)
        p0, p1 = np.array(values[i]), np.array(values[i + 1])
        if still:
            path[inside] = mix(p0, p1, ease(u))
            continue
        m0, m1 = np.array(slopes[i]) * (t1 - t0), np.array(slopes[i + 1]) * (t1 - t0)
        u2, u3 = u * u, u * u * u
        path[inside] = (2 * u3 - 3 * u2 + 1) * p0 + (u3 - 2 * u2 + u) * m0 + (3 * u2 - 2 * u3) * p1 + (u3 - u2) * m1
    return path


def _poses(track: Track, beat: int, frames: int, phase: float) -> Array:
    """(frames, POSE_SIZE): key poses reached on the beats; `phase` delays a character by a share of a beat."""
    keys = []
    for move, i, mirrored in track.moves:
        key = move.sequence[i % len(move.sequence)]
        keys.append(pose_of(key.mirrored() if mirrored else key))
    table = np.stack(keys)
    time = np.maximum(np.arange(frames, dtype=np.float64) / beat + 0.9 - phase, 0.0)
    index = np.minimum(np.floor(time).astype(np.int64), len(keys) - 1)
    # A key is reached after most of its beat and then held: dancers hit their poses.
    weight = ease((time - index) / 0.88)[:, None]
    before, after = table[np.maximum(index - 1, 0)], table[index]
    pose = mix(before, after, weight)
    swing = 4.0 * weight * (1.0 - weight)
    for i in range(0, 12, 3):
        # Nearly opposite directions would whip through their middle: such an arm sweeps out and to the front instead.
        opposed = np.clip(0.4 - dot(unit(before[:, i : i + 3]), unit(after[:, i : i + 3])), 0.0, 1.4)
        pose[:, i : i + 3] = unit(pose[:, i : i + 3] + np.array((0.30, 0.0, 0.36)) * (swing * opposed))
    assert pose.shape == (frames, POSE_SIZE)
    return pose


def _feet(
    root: Array, yaw: Array, track: Track, beat: int, frames: int, hips: float, first: int
) -> tuple[Array, Array, Array]:
    """Plants and lifts the feet so that a foot on the floor never slides.

    Each beat lifts one foot, in turn; in fast turns and travels both, half a beat each. The foot goes to where it will
    stand well at the middle of its next stance.
    """
    feet, feet_yaw, support = np.zeros((frames, 2, 3)), np.zeros((frames, 2)), np.zeros(frames)
    last = root.shape[0] - 1
    sides = (1.0, -1.0)

    def home(frame: int, foot: int, stance: float) -> tuple[float, float, float]:
        frame = min(frame, last)
        x, z, turn = float(root[frame, 0]), float(root[frame, 1]), float(yaw[frame])
        out = sides[foot] * (hips + stance)
        return x + out * float(cosine(turn)), z - out * float(sine(turn)), turn + sides[foot] * 0.035

    plants = [home(0, foot, track.moves[0][0].stance) for foot in (0, 1)]
    lifted = first
    for number in range(-(-frames // beat)):
        start, stop = number * beat, (number + 1) * beat
        move = track.moves[min(number, len(track.moves) - 1)][0]
        ahead = min(stop, last)
        dx, dz = root[ahead, 0] - root[start, 0], root[ahead, 1] - root[start, 1]
        fast = abs(yaw[ahead] - yaw[start]) > 0.11 or dx * dx + dz * dz > 0.06
        cuts = [start, start + beat // 2, stop] if fast else [start, stop]
        for f0, f1 in pairwise(cuts):
            old = plants[lifted]
            new = home(f1 + (f1 - f0) // 2, lifted, move.stance)
            gx, gz, gyaw = new[0] - old[0], new[1] - old[1], new[2] - old[2]
            stepping = gx * gx + gz * gz > 0.0025 or abs(gyaw) > 0.03
            kick = move.kick if not fast else (0.0, 0.0, 0.0)
            lift = 0.075 if stepping else move.tap
            if not stepping:
                new = old
            moving = stepping or move.tap > 0 or kick != (0.0, 0.0, 0.0)
            a, b = min(f0, frames), min(f1, frames)
            time = np.arange(a, b, dtype=np.float64)
            u = np.clip((time - f0) / ((f1 - f0) * 0.92), 0.0, 1.0)
            w = ease(u)
            hump = 4.0 * w * (1.0 - w)
            other = 1 - lifted
            feet[a:b, other] = (plants[other][0], 0.0, plants[other][1])
            feet_yaw[a:b, other] = plants[other][2]
            turn = old[2] + (new[2] - old[2]) * w
            s, c = sine(turn), cosine(turn)
            out, forward = sides[lifted] * kick[0] * hump, kick[2] * hump
            feet[a:b, lifted, 0] = old[0] + (new[0] - old[0]) * w + out * c + forward * s
            feet[a:b, lifted, 1] = (lift + kick[1]) * hump if moving else 0.0
            feet[a:b, lifted, 2] = old[1] + (new[1] - old[1]) * w - out * s + forward * c
            feet_yaw[a:b, lifted] = turn
            # Ends at zero within every step, so that the weight shifts without a jump.
            support[a:b] = -sides[lifted] * hump if moving else 0.0
            plants[lifted] = new
            lifted = other
    return feet, feet_yaw, support


def animate(script: Script, frames: int, hips: list[float]) -> list[Motion]:
    """The motion of every character over the first `frames` frames of a script.

    Args:
        script: the script.
        frames: how many frames.
        hips: half the distance between the hip joints of each character, metres.
    """
    beat = script.beat
    total = frames + 2 * beat
    motions = []
    for k, track in enumerate(script.tracks):
        path = _path(track, beat, total)
        root, yaw = path[:, :2].copy(), path[:, 2]
        # Side steps: out and back every four beats, in the character's own frame.
        steps = np.array([m.step * (-1.0 if mirrored else 1.0) for m, _, mirrored in track.moves])
        swing = np.array((0.0, 1.0, 0.0, -1.0))[np.arange(steps.size) % 4] * steps
        time = np.arange(total, dtype=np.float64) / beat
        index = np.minimum(np.floor(time).astype(np.int64), steps.size - 1)
        aside = mix(swing[np.maximum(index - 1, 0)], swing[index], ease(time - index))
        root[:, 0] += aside * cosine(yaw)
        root[:, 1] -= aside * sine(yaw)
        feet, feet_yaw, support = _feet(root, yaw, track, beat, frames, hips[k], k % 2)
        amplitude = np.array([m.bounce for m, _, _ in track.moves])
        level = mix(amplitude[np.maximum(index - 1, 0)], amplitude[index], ease(time - index))
        bounce = level * (0.42 + 0.42 * cosine(time))
        pose = _poses(track, beat, frames, 0.06 * (k % 3))
        motions.append(
            Motion(root[:frames], yaw[:frames].copy(), pose, bounce[:frames].copy(), feet, feet_yaw, support)
        )
    return motions


def contact_weight(beat: int, times: tuple[float, float, float, float], frames: int) -> npt.NDArray[np.float64]:
    """(frames,): 0 before and after a contact, 1 while it is full; `times` are its four beats."""
    time = np.arange(frames, dtype=np.float64) / beat
    start, full, release, end = times
    return np.asarray(ease((time - start) / (full - start)) * (1.0 - ease((time - release) / (end - release))))
