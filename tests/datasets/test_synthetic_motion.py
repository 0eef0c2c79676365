"""The dance: bones keep their lengths, feet keep their places, nothing jumps, people meet."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.datasets.synthetic.arithmetic import Random
from mcbench.datasets.synthetic.body import Skeleton, make_build, solve
from mcbench.datasets.synthetic.choreography import compose
from mcbench.datasets.synthetic.motion import animate
from mcbench.datasets.synthetic.moves import ARMS, GESTURES, MOVES
from mcbench.datasets.synthetic.script import Script, Track

FRAMES = 200


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a - b, axis=-1)


@pytest.fixture(scope="module", params=[(1, 2), (2, 3), (3, 4), (4, 5)])
def dance(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    seed, characters = request.param
    script = compose(seed, characters, FRAMES)
    builds = [make_build(Random(seed * 10 + k), k % 2 == 0) for k in range(characters)]
    return script, builds, solve(script, builds, FRAMES)


def test_bones_keep_their_lengths(dance) -> None:  # type: ignore[no-untyped-def]
    _, builds, bodies = dance
    for build, body in zip(builds, bodies, strict=True):
        for side in ("left", "right"):
            for a, b, size in (
                ("shoulder", "elbow", build.upper_arm),
                ("elbow", "wrist", build.forearm),
                ("hip", "knee", build.thigh),
                ("knee", "ankle", build.shin),
            ):
                np.testing.assert_allclose(distance(body[f"{side}_{a}"], body[f"{side}_{b}"]), size, atol=1e-6)


def test_axes_are_orthonormal_and_right_handed(dance) -> None:  # type: ignore[no-untyped-def]
    for body in dance[2]:
        for part in ("pelvis", "chest", "head"):
            x, y, z = (body[f"{part}_{axis}"] for axis in "xyz")
            np.testing.assert_allclose(np.cross(x, y), z, atol=1e-9)
            np.testing.assert_allclose(distance(x, 0 * x), 1, atol=1e-9)


def test_a_foot_on_the_floor_never_slides(dance) -> None:  # type: ignore[no-untyped-def]
    script, builds, _ = dance
    for motion in animate(script, FRAMES, [build.hips for build in builds]):
        feet = motion.feet
        assert feet[..., 1].min() >= 0
        planted = (feet[1:, :, 1] == 0) & (feet[:-1, :, 1] == 0)
        step = distance(feet[1:, :, [0, 2]], feet[:-1, :, [0, 2]])
        assert planted.mean() > 0.3
        assert step[planted].max() < 0.02
        # And never are both feet in the air.
        assert (feet[..., 1].min(axis=1) < 0.005).all()


def test_ankles_stay_with_their_feet_and_one_near_the_floor(dance) -> None:  # type: ignore[no-untyped-def]
    script, builds, bodies = dance
    motions = animate(script, FRAMES, [build.hips for build in builds])
    for build, body, motion in zip(builds, bodies, motions, strict=True):
        heights = np.stack([body[f"{side}_ankle"][:, 1] for side in ("left", "right")]) - build.ankle
        assert heights.min() > -0.02
        assert heights.min(axis=0).max() < 0.11
        for foot, side in enumerate(("left", "right")):
            standing = motion.feet[:, foot, 1] == 0
            away = distance(body[f"{side}_ankle"][:, [0, 2]], motion.feet[:, foot][:, [0, 2]])
            assert np.quantile(away[standing], 0.99) < 0.15


def test_nothing_jumps(dance) -> None:  # type: ignore[no-untyped-def]
    _, _, bodies = dance
    for body in bodies:
        # 0.5 m in a 25th of a second is as fast as a dancer's hand gets.
        for name, limit in (
            ("pelvis", 0.12),
            ("head", 0.16),
            ("left_wrist", 0.5),
            ("right_wrist", 0.5),
            ("left_ankle", 0.45),
        ):
            assert distance(body[name][1:], body[name][:-1]).max() < limit, name


def test_hands_move_a_lot(dance) -> None:  # type: ignore[no-untyped-def]
    for body in dance[2]:
        for side in ("left", "right"):
            assert distance(body[f"{side}_wrist"][1:], body[f"{side}_wrist"][:-1]).sum() > 5


def test_a_longer_script_begins_like_a_shorter_one() -> None:
    builds = [make_build(Random(k), k == 0) for k in range(3)]
    short, long = (solve(compose(9, 3, frames), builds, frames) for frames in (40, 230))
    for a, b in zip(short, long, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name][:40], err_msg=name)


def section(name: str, characters: int, seed: int = 3) -> tuple[Script, list[Skeleton]]:
    frames = 200
    script = compose(seed, characters, frames, name)
    assert script.sections[1][1] == name
    return script, solve(script, [make_build(Random(k), k % 2 == 0) for k in range(characters)], frames)


def test_a_hug_is_chest_to_chest_with_hands_on_the_back() -> None:
    script, bodies = section("hug", 2)
    contact = next(c for c in script.contacts if c.kind == "hug")
    middle = int(script.beat * (contact.full + contact.release) / 2)
    a, b = bodies[contact.a], bodies[contact.b]
    assert distance(a["neck"], b["neck"])[middle] < 0.5
    assert (a["chest_z"] * b["chest_z"]).sum(-1)[middle] < -0.9
    for one, other in ((a, b), (b, a)):
        for side in ("left", "right"):
            hand = one[f"{side}_wrist"][middle] - other["waist"][middle]
            assert hand @ other["chest_z"][middle] < 0.05, "the hand is not behind the partner"
            assert np.linalg.norm(hand) < 0.5


def test_hands_are_held_in_a_swing_and_places_changed() -> None:
    script, bodies = section("swing", 2)
    contact = next(c for c in script.contacts if c.kind == "hands")
    for beat in (contact.full + 0.2, (contact.full + contact.release) / 2, contact.release - 0.2):
        frame = int(beat * script.beat)
        for mine, theirs in (("left", "right"), ("right", "left")):
            gap = distance(bodies[contact.a][f"{mine}_wrist"], bodies[contact.b][f"{theirs}_wrist"])[frame]
            assert gap < 0.30
    start, end = script.sections[1][0] * script.beat, script.sections[2][0] * script.beat
    order = bodies[0]["pelvis"][:, 0] < bodies[1]["pelvis"][:, 0]
    assert order[start] != order[end - 1]


@pytest.mark.parametrize("name", ["cross", "weave"])
def test_crossing_dancers_pass_at_different_depths(name: str) -> None:
    script, bodies = section(name, 2)
    start, end = script.sections[1][0] * script.beat, script.sections[2][0] * script.beat
    a, b = (body["pelvis"][start:end] for body in bodies)
    assert np.sign(a[0, 0] - b[0, 0]) == -np.sign(a[-1, 0] - b[-1, 0])
    passing = np.abs(a[:, 0] - b[:, 0]).argmin()
    assert abs(a[passing, 2] - b[passing, 2]) > 0.3


def test_a_ring_shows_backs_and_one_who_leaves_is_gone() -> None:
    _, bodies = section("ring", 4)
    assert min(body["chest_z"][:, 2].min() for body in bodies) < -0.8
    _, bodies = section("leave", 3)
    assert max(np.abs(body["pelvis"][:, 0]).max() for body in bodies) > 2.0


def test_every_move_can_be_danced_by_either_side() -> None:
    for name, move in {**MOVES, **GESTURES}.items():
        for key in move.sequence:
            assert {key.left, key.right} <= set(ARMS), name
            assert key.mirrored().mirrored() == key
        track = Track()
        track.go(0, 0.0, 0.0, 0.0)
        track.go(8, 0.0, 0.0, 0.0)
        track.dance(move, 8)
        body = solve(Script(12, [track], [], []), [make_build(Random(1), True)], 90)[0]
        assert all(np.isfinite(values).all() for values in body.values()), name
        assert body["head"][:, 1].min() > 1.0, name
