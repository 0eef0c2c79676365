"""Identity over time, on the exact keypoints of synthetic clips made as bad as a detector would make them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from fypv2.extractors import ExtractorError, People, TrackSettings, track_people
from mcbench.datasets.base import KEYPOINT_NAMES
from mcbench.datasets.synthetic.scene import Scene
from mcbench.datasets.synthetic.specs import clip_specs

SIZE = (512, 512)


def keypoints_of(number: int) -> np.ndarray:
    """(T, K, 18, 2): every keypoint of a clip of the benchmark, without drawing it."""
    scene = Scene(clip_specs("synthetic")[number])
    bodies = [np.stack([body[name] for name in KEYPOINT_NAMES], axis=1) for body in scene.skeletons]
    return np.stack(scene.camera.project(np.stack(bodies, axis=1))[0]).astype(np.float32)


def detected(keypoints: np.ndarray, *, jitter=2.0, missed=0.03, hidden=18.0, phantoms=0.02, seed=0):
    """What a detector would give, in any order: people who stand behind another one's trunk are not found.

    Returns:
        The people of each frame, and which character each is (-1: nobody).
    """
    random = np.random.default_rng(seed)
    clip, truth = [], []
    for frame in keypoints:
        found, who = [], []
        middle = frame[:, [1, 8, 11]].mean(1)
        for k, body in enumerate(frame):
            # The camera looks down a little: who stands higher up in the picture is farther away.
            before = [o for o in range(len(frame)) if o != k and frame[o, [10, 13], 1].max() > body[[10, 13], 1].max()]
            behind = any(abs(middle[o, 0] - middle[k, 0]) < hidden for o in before)
            if behind or random.random() < missed or not ((body >= 0) & (body < 512)).all(-1).sum() > 5:
                continue
            found.append(body + random.normal(0, jitter, body.shape))
            who.append(k)
        if random.random() < phantoms:
            found.append(random.uniform(100, 400, 2) + random.normal(0, 40, (18, 2)))
            who.append(-1)
        order = random.permutation(len(found))
        scores = np.where(random.random((len(found), 18)) < 0.05, 0, 0.9).astype(np.float32)
        clip.append(People(np.array([found[i] for i in order], np.float32).reshape(-1, 18, 2), scores))
        truth.append([who[i] for i in order])
    return clip, truth


def judged(poses, clip, truth, characters: int) -> tuple[int, float, int]:
    """Identity switches, share of the detections that have the right identity, and phantoms that were kept."""
    last: dict[int, int] = {}
    switches = phantoms = 0
    pairs = np.zeros((characters, poses.characters))
    for frame, (people, who) in enumerate(zip(clip, truth, strict=True)):
        for n, k in enumerate(who):
            same = (poses.body[frame] == people.body[n]).all((-1, -2)) & poses.present[frame]
            if k < 0:
                phantoms += int(same.sum())
            elif same.any():
                (place,) = np.flatnonzero(same)
                pairs[k, place] += 1
                switches += last.get(k, place) != place
                last[k] = place
    rows, columns = linear_sum_assignment(-pairs)
    return switches, pairs[rows, columns].sum() / sum(k >= 0 for who in truth for k in who), phantoms


# Clips that cross (1, 4), leave and come back (3), and weave (7); 214, 240, 158 and 228 frames.
@pytest.mark.parametrize("number", [1, 3, 4, 7])
def test_identity_is_kept_through_crossings_and_drop_outs(number: int) -> None:
    keypoints = keypoints_of(number)
    clip, truth = detected(keypoints)
    missing = sum(k not in who for who in truth for k in range(keypoints.shape[1]))
    assert missing > 0.02 * keypoints.shape[0] * keypoints.shape[1], "nobody is ever hidden"
    poses = track_people(clip, SIZE)
    assert poses.characters == keypoints.shape[1]
    switches, accuracy, phantoms = judged(poses, clip, truth, keypoints.shape[1])
    assert (switches, phantoms) == (0, 0)
    assert accuracy > 0.99


@pytest.mark.slow
def test_rates_over_the_whole_benchmark() -> None:
    result = {"usual": [0, 0.0], "hard": [0, 0.0]}
    for number in range(20):
        keypoints = keypoints_of(number)
        for name, made in (("usual", {}), ("hard", {"jitter": 6.0, "missed": 0.15, "hidden": 30.0})):
            clip, truth = detected(keypoints, **made)
            poses = track_people(clip, SIZE)
            switches, accuracy, _ = judged(poses, clip, truth, keypoints.shape[1])
            result[name][0] += switches
            result[name][1] += accuracy / 20
    assert result["usual"][0] <= 2, result
    assert result["usual"][1] > 0.99, result
    assert result["hard"][0] <= 10, result
    assert result["hard"][1] > 0.97, result


def person(x: float, y: float = 200.0, height: float = 200.0) -> np.ndarray:
    """A standing figure, (18, 2)."""
    across = [0, 0, -20, -25, -25, 20, 25, 25, -12, -12, -12, 12, 12, 12, -4, 4, -8, 8]
    down = [0, 30, 30, 70, 110, 30, 70, 110, 110, 160, 200, 110, 160, 200, -5, -5, 0, 0]
    return np.stack([np.array(across), np.array(down)], -1) * (height / 200) + [x, y]


def people(*bodies: np.ndarray, score: float = 0.9) -> People:
    body = np.array(bodies, np.float32).reshape(-1, 18, 2)
    return People(body, np.full(body.shape[:2], score, np.float32))


def columns(poses) -> list[list[int | None]]:
    """Neck's x of each character in each frame."""
    return [
        [round(float(x)) if seen else None for x, seen in zip(row, here, strict=True)]
        for row, here in zip(poses.body[:, :, 1, 0], poses.present, strict=True)
    ]


def test_two_who_walk_through_each_other_keep_walking() -> None:
    left, right = [100 + 9 * t for t in range(30)], [400 - 9 * t for t in range(30)]
    clip = [people(person(b), person(a)) if t % 2 else people(person(a), person(b)) for t, (a, b) in
            enumerate(zip(left, right, strict=True))]  # fmt: skip
    assert columns(track_people(clip, SIZE)) == [list(pair) for pair in zip(left, right, strict=True)]


def test_who_is_hidden_for_a_while_is_the_same_afterwards() -> None:
    clip = [people(person(100 + 5 * t), *([] if 20 <= t < 32 else [person(300, 230)])) for t in range(60)]
    poses = track_people(clip, SIZE)
    assert poses.characters == 2
    assert [row[1] for row in columns(poses)] == [300] * 20 + [None] * 12 + [300] * 28


def test_numbered_from_left_to_right_and_by_entrance() -> None:
    clip = [people(person(400), person(100), *([person(250)] if t > 5 else [])) for t in range(20)]
    assert columns(track_people(clip, SIZE))[-1] == [100, 400, 250]


def test_a_known_number_of_people_bridges_any_gap_and_bounds_them() -> None:
    clip = [people(person(100 if t < 20 else 420)) if not 20 <= t < 30 else People.none() for t in range(60)]
    assert track_people(clip, SIZE).characters == 2
    assert track_people(clip, SIZE, characters=1).characters == 1
    three = [people(person(100), person(250), *([person(400)] if t < 30 else [])) for t in range(60)]
    assert columns(track_people(three, SIZE, characters=2))[0] == [100, 250]


def test_short_phantoms_go_and_a_picture_keeps_everyone() -> None:
    clip = [people(person(100), *([person(400)] if t == 7 else [])) for t in range(40)]
    assert track_people(clip, SIZE).characters == 1
    assert track_people(clip[7:8], SIZE).characters == 2


def test_one_person_found_twice_is_one() -> None:
    twice = people(person(100), person(101), person(250))
    assert columns(track_people([twice] * 5, SIZE)) == [[100, 250]] * 5


def test_hands_come_along_with_their_person() -> None:
    def with_hands(*xs: int) -> People:
        plain = people(*(person(x) for x in xs))
        hands = np.stack([np.full((2, 21, 2), x, np.float32) for x in xs])
        return People(plain.body, plain.scores, hands, np.ones(hands.shape[:-1], np.float32))

    poses = track_people([with_hands(100, 300), with_hands(300, 100)], SIZE)
    assert (poses.hands[:, 0] == 100).all()
    assert (poses.hands[:, 1] == 300).all()


def test_after_the_memory_somebody_is_new() -> None:
    clip = [people(person(100)) if not 20 <= t < 40 else People.none() for t in range(60)]
    assert track_people(clip, SIZE).characters == 1
    assert track_people(clip, SIZE, settings=TrackSettings(memory=10)).characters == 2


@pytest.mark.parametrize("clip", [[], [People.none()] * 4, [people(person(100), score=0.1)] * 4])
def test_nobody_is_an_error(clip: list[People]) -> None:
    with pytest.raises(ExtractorError, match=r"no frames|nobody is found in 4 frames"):
        track_people(clip, SIZE)
