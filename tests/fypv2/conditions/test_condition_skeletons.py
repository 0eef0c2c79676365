"""Skeleton drawings, held against a hard-edged drawing of the same figure that shares no code with them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fypv2.conditions import HAND_KEYPOINTS, Poses, draw_skeleton, draw_skeletons

# OpenPose's limbs, keypoints counted from 1, and its colours, as the field's drawings have them.
OPENPOSE_LIMBS = [
    [2, 3], [2, 6], [3, 4], [4, 5], [6, 7], [7, 8], [2, 9], [9, 10], [10, 11], [2, 12], [12, 13], [13, 14], [2, 1],
    [1, 15], [15, 17], [1, 16], [16, 18],
]  # fmt: skip
OPENPOSE_COLOURS = [
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
    (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255),
    (255, 0, 170), (255, 0, 85),
]  # fmt: skip
STANDING = np.array(
    [
        [256, 90], [256, 150], [200, 152], [170, 225], [160, 300], [312, 152], [342, 225], [352, 300], [222, 300],
        [215, 390], [210, 480], [290, 300], [297, 390], [302, 480], [240, 76], [272, 76], [222, 84], [290, 84],
    ],
    np.float32,
)  # fmt: skip


def poses_of(*people: np.ndarray, size: tuple[int, int] = (512, 512), scores: np.ndarray | None = None) -> Poses:
    body = np.stack(people)[None].astype(np.float32)
    return Poses(body, np.ones(body.shape[:3], np.float32) if scores is None else scores[None], size)


def hard_edged(points: np.ndarray, size: tuple[int, int], unit: int) -> np.ndarray:
    """Ellipses at 0.6, then discs, in whole pixels."""
    picture = np.zeros((*size, 3), np.uint8)
    for (a, b), colour in zip(OPENPOSE_LIMBS, OPENPOSE_COLOURS, strict=False):
        (xa, ya), (xb, yb) = points[a - 1], points[b - 1]
        centre = round((xa + xb) / 2), round((ya + yb) / 2)
        axes = round(np.hypot(xb - xa, yb - ya) / 2), 4 * unit
        angle = round(np.degrees(np.arctan2(yb - ya, xb - xa)))
        cv2.fillConvexPoly(picture, cv2.ellipse2Poly(centre, axes, angle, 0, 360, 1), colour)
    picture = (picture * 0.6).astype(np.uint8)
    for (x, y), colour in zip(points, OPENPOSE_COLOURS, strict=True):
        cv2.circle(picture, (round(x), round(y)), round(4 * unit), colour, thickness=-1)
    return picture


def standing_at(x: float, y: float) -> np.ndarray:
    return STANDING + np.array((x, y), np.float32)


def moved(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return STANDING + random.uniform(-25, 25, STANDING.shape).astype(np.float32)


@pytest.mark.parametrize(("seed", "unit"), [(0, 1), (1, 1), (2, 1), (3, 2)])
def test_limbs_colours_and_order_are_openposes(seed: int, unit: int) -> None:
    size = (512 * unit, 512 * unit)
    points = moved(seed) * unit
    drawn, expected = draw_skeletons(poses_of(points, size=size))[0], hard_edged(points, size, unit)
    # Within two pixels of an edge of the reference, rounding to whole pixels and degrees decides.
    kernel = np.ones((4 * unit + 1, 4 * unit + 1), np.uint8)
    rows, columns = np.nonzero(expected.max(-1))
    near_edge = (cv2.dilate(expected, kernel) != cv2.erode(expected, kernel))[rows, columns].any(-1)
    rows, columns = rows[~near_edge], columns[~near_edge]
    np.testing.assert_array_equal(drawn[rows, columns], expected[rows, columns])
    shown = {tuple(colour) for colour in expected[rows, columns].tolist()}
    assert len(shown) >= 25
    outside = cv2.dilate(expected.max(-1), kernel) == 0
    assert not drawn.max(-1)[outside].any()
    assert abs(drawn.astype(float).mean() / expected.mean() - 1) < 0.12


def test_every_limb_and_joint_shows_its_own_colour() -> None:
    points = np.zeros((18, 2), np.float32)
    points[:, 0] = 40 + 100 * (np.arange(18) % 5)
    points[:, 1] = 40 + 110 * (np.arange(18) // 5)
    for i, (a, b) in enumerate(OPENPOSE_LIMBS):
        scores = np.zeros((1, 18), np.float32)
        scores[0, [a - 1, b - 1]] = 1
        drawn = draw_skeletons(poses_of(points, scores=scores))[0]
        x, y = np.rint((points[a - 1] + points[b - 1]) / 2).astype(int)
        assert tuple(drawn[y, x]) == tuple(round(0.6 * part) for part in OPENPOSE_COLOURS[i])
        for joint in (a - 1, b - 1):
            x, y = points[joint].astype(int)
            assert tuple(drawn[y, x]) == OPENPOSE_COLOURS[joint]
        # Nothing else is drawn.
        assert drawn.any(-1).sum() < np.hypot(*(points[a - 1] - points[b - 1])) * 10 + 2 * 81


def test_the_drawing_does_not_say_who_is_in_front() -> None:
    left, right = standing_at(-20, 0), standing_at(25, 10)
    one = draw_skeletons(poses_of(left, right))[0]
    other = draw_skeletons(poses_of(right, left))[0]
    # Only where a limb crosses the other person's same limb can the order of the characters show.
    assert (one != other).any(-1).mean() < 0.001
    np.testing.assert_array_equal(draw_skeletons(poses_of(left))[0], draw_skeleton(poses_of(right, left), 0, 1))


def test_a_small_drawing_is_a_large_one_made_small() -> None:
    large = poses_of(moved(7))
    small = draw_skeletons(large.crop_resize(128, 128))[0].astype(float)
    shrunk = cv2.resize(draw_skeletons(large)[0], (128, 128), interpolation=cv2.INTER_AREA).astype(float)
    error = np.abs(small - shrunk).mean() / shrunk.mean()
    assert error < 0.08
    # A whole pixel off would not pass.
    assert np.abs(np.roll(small, 1, axis=1) - shrunk).mean() / shrunk.mean() > 0.5


@pytest.mark.parametrize("size", [(128, 128), (512, 512)])
def test_a_quarter_of_a_pixel_is_seen(size: tuple[int, int]) -> None:
    def centre(shift: float) -> np.ndarray:
        drawn = (
            draw_skeletons(poses_of(STANDING * size[0] / 512 + np.array((shift, 0)), size=size))[0]
            .astype(float)
            .sum(-1)
        )
        return (drawn.sum(0) * np.arange(size[1])).sum() / drawn.sum()

    assert centre(0.25) - centre(0.0) == pytest.approx(0.25, abs=0.03)


def test_no_drawing_is_too_thin_to_see() -> None:
    drawn = draw_skeletons(poses_of(STANDING / 16, size=(32, 32)))[0]
    assert drawn[:, :, 1].max() > 100
    assert drawn.any(-1).sum() > 60


@pytest.mark.parametrize("shift", [(-180, 0), (190, 60), (0, 300), (-10, -120)])
def test_what_lies_outside_is_cut_at_the_border(shift: tuple[int, int]) -> None:
    margin = 400
    inside = draw_skeletons(poses_of(standing_at(*shift)))[0]
    # The shorter side decides the width of lines: only the other one may grow.
    tall = draw_skeletons(poses_of(standing_at(shift[0], shift[1] + margin), size=(512 + 2 * margin, 512)))[0]
    wide = draw_skeletons(poses_of(standing_at(shift[0] + margin, shift[1]), size=(512, 512 + 2 * margin)))[0]
    np.testing.assert_array_equal(inside, tall[margin:-margin])
    np.testing.assert_array_equal(inside, wide[:, margin:-margin])
    assert inside.any()


def test_a_limb_reaches_the_border_on_its_way_to_a_point_outside() -> None:
    points = np.full((18, 2), np.nan, np.float32)
    points[1], points[2] = (256, 256), (256, -5000)
    drawn = draw_skeletons(poses_of(points))[0]
    assert drawn[:250, 256].all(-1).sum() == 0
    assert (drawn[:250, 256, 0] == 153).all()


def test_points_that_were_not_found_are_left_out_with_their_limbs() -> None:
    scores = np.ones((1, 18), np.float32)
    scores[0, 4] = 0.29
    drawn = draw_skeletons(poses_of(STANDING, scores=scores))[0]
    assert not drawn[294:320, 140:175].any()
    scores[0, 4] = 0.3
    assert draw_skeletons(poses_of(STANDING, scores=scores))[0, 294:320, 140:175].any()
    lost = STANDING.copy()
    lost[4] = np.nan
    np.testing.assert_array_equal(draw_skeletons(poses_of(lost))[0], drawn)


def test_places_far_away_do_no_harm() -> None:
    points = STANDING.copy()
    points[[4, 7, 10]] = (1e30, -1e20), (-1e9, 1e9), (3e5, 3e5)
    assert draw_skeletons(poses_of(points))[0].any()


def test_two_keypoints_in_one_place_are_drawn() -> None:
    points = np.full((18, 2), np.nan, np.float32)
    points[1] = points[2] = (100, 100)
    assert tuple(draw_skeletons(poses_of(points))[0, 100, 100]) == OPENPOSE_COLOURS[2]


def test_nobody_is_a_black_picture() -> None:
    nobody = Poses(np.zeros((2, 0, 18, 2), np.float32), np.zeros((2, 0, 18), np.float32), (64, 96))
    drawn = draw_skeletons(nobody)
    assert drawn.shape == (2, 64, 96, 3)
    assert drawn.dtype == np.uint8
    assert not drawn.any()


def test_hands_have_blue_points_on_lines_of_all_hues() -> None:
    body = poses_of(np.zeros((18, 2)), scores=np.zeros((1, 18), np.float32))
    hand = np.zeros((HAND_KEYPOINTS, 2), np.float32)
    hand[0] = (256, 460)
    for finger in range(5):
        for joint in range(4):
            hand[1 + 4 * finger + joint] = (96 + 80 * finger, 380 - 90 * joint)
    hands = np.stack((hand, hand + 9999))[None, None]
    scores = np.ones((1, 1, 2, HAND_KEYPOINTS), np.float32)
    scores[0, 0, 0, 20] = 0.1
    drawn = draw_skeletons(Poses(body.body, body.body_scores, body.size, hands, scores))[0]
    for k, (x, y) in enumerate(hand.astype(int)):
        assert tuple(drawn[y, x]) == ((0, 0, 0) if k == 20 else (0, 0, 255))
    # Edge k - 1 ends in point k; its hue is (k - 1) / 20 of the circle, red first.
    # Each finger begins at the wrist.
    for start, k in ((1, 2), (6, 7), (11, 12), (17, 18), (0, 5), (0, 17)):
        x, y = ((hand[k] + hand[start]) / 2).astype(int)
        np.testing.assert_allclose(drawn[y, x].astype(int), hue((k - 1) / 20), atol=2)


def hue(share: float) -> np.ndarray:
    pixel = np.array([[[share * 360, 1.0, 1.0]]], np.float32)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0] * 255
