"""DisCo's drawing: 18 keypoints, 17 limbs, joints below limbs, everyone."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.disco_poses import DRAWING_SIDE, disco_drawings
from fypv2.conditions import Poses

NOSE, NECK, RIGHT_SHOULDER, RIGHT_ELBOW = 0, 1, 2, 3


def poses(*people: dict[int, tuple[float, float]], hands: bool = False) -> Poses:
    body = np.full((1, len(people), 18, 2), np.nan, np.float32)
    scores = np.zeros((1, len(people), 18), np.float32)
    for k, person in enumerate(people):
        for joint, place in person.items():
            body[0, k, joint] = place
            scores[0, k, joint] = 1
    points = np.full((1, len(people), 2, 21, 2), 300, np.float32) if hands else None
    seen = np.ones((1, len(people), 2, 21), np.float32) if hands else None
    return Poses(body, scores, (DRAWING_SIDE, DRAWING_SIDE), points, seen)


def drawn(*people: dict[int, tuple[float, float]], hands: bool = False) -> np.ndarray:
    (picture,) = disco_drawings(poses(*people, hands=hands), DRAWING_SIDE)
    return picture


def test_joints_are_full_discs_of_radius_4_in_their_own_colours() -> None:
    picture = drawn({NOSE: (100, 50), RIGHT_ELBOW: (300, 400)})
    assert picture[50, 100].tolist() == [255, 0, 0]
    assert picture[400, 300].tolist() == [255, 255, 0]
    assert picture[50, 104].any()
    assert not picture[50, 106].any()
    area = (picture.max(-1) > 0).sum() / 2
    assert area == pytest.approx(np.pi * 4.5**2, abs=8)  # OpenCV counts the border's pixels in


def test_a_limb_is_an_ellipse_of_half_width_4_at_60_percent() -> None:
    picture = drawn({RIGHT_SHOULDER: (200, 300), RIGHT_ELBOW: (400, 300)})
    assert picture[300, 300].tolist() == [round(0.6 * 255), round(0.6 * 170), 0]
    column = picture[:, 300].max(-1) > 0
    assert column.sum() == 9  # 4 on both sides of the middle
    assert (picture[:, 220].max(-1) > 0).sum() < 9


def test_limbs_lie_over_joints_and_earlier_limbs() -> None:
    picture = drawn({NECK: (300, 300), NOSE: (300, 200), RIGHT_SHOULDER: (200, 300)})
    # Neck to nose is (0, 0, 255), above the nose's red disc.
    assert picture[203, 300].tolist() == [round(0.4 * 255), 0, round(0.6 * 255)]
    crossing = drawn({NECK: (300, 300), RIGHT_SHOULDER: (100, 300)}, {NECK: (200, 400), NOSE: (200, 200)})
    # Neck to shoulder first, then, of the other person, neck to nose over it.
    assert crossing[300, 200].tolist() == [round(0.4 * round(0.6 * 255)), 0, round(0.6 * 255)]


def test_everyone_is_drawn() -> None:
    people = [{NECK: (100 * k, 300.0), NOSE: (100 * k, 250.0)} for k in range(1, 6)]
    picture = drawn(*people)
    assert all(picture[275, 100 * k].any() for k in range(1, 6))


def test_hands_are_not() -> None:
    assert not drawn({}, hands=True).any()


def test_what_is_not_seen_or_far_away_leaves_no_mark_and_no_fault() -> None:
    unseen = poses({NECK: (300, 300), NOSE: (300, 200)})
    unseen.body_scores[0, 0, NOSE] = 0.2
    (picture,) = disco_drawings(unseen, DRAWING_SIDE)
    assert not picture[250, 300].any()
    assert not drawn({NECK: (1e9, -1e9)}).any()
    far = drawn({NECK: (300, 300), NOSE: (300, -1e7)})
    assert far[150, 300].any()


def test_a_drawing_of_256_is_the_same_drawing_resized() -> None:
    (small,) = disco_drawings(poses({RIGHT_SHOULDER: (200, 300), RIGHT_ELBOW: (400, 300)}), 256)
    assert small.shape == (256, 256, 3)
    scale = 256 / DRAWING_SIDE
    middle = small[:, round(300 * scale)].astype(float).sum(-1)
    assert np.average(np.arange(256), weights=middle) == pytest.approx(300.5 * scale - 0.5, abs=0.1)
    assert middle.sum() == pytest.approx(9 * scale * (round(0.6 * 255) + round(0.6 * 170)), rel=0.05)
