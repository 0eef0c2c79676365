"""Parts from masks and joints: the right limb, the right side, the side that is turned to the camera."""

from __future__ import annotations

import numpy as np
import pytest
from input_cases import STANDING

from baselines.inputs.exact_parts import Joints, exact_parts

SIZE = 96
MIRRORED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
NOSE, RIGHT_ELBOW, RIGHT_WRIST = 0, 3, 4


def person(places: np.ndarray, x: float = 48) -> np.ndarray:
    """Joints (1, 18, 2) of one person in the middle of the picture."""
    return (places + np.array([x, 6]))[None].astype(np.float32)


def behind(places: np.ndarray) -> np.ndarray:
    """The same person seen from behind: right joints where the left ones were."""
    return places[MIRRORED]


def in_profile(places: np.ndarray, to: float) -> np.ndarray:
    """Seen from the side, looking to the left (-1) or the right (1) of the picture: shoulders and hips in one place."""
    turned = places.copy()
    turned[1:14, 0] = 0
    turned[[0, 14, 15, 16, 17], 0] = np.array([6, 4, 4, 0, 0]) * to
    return turned


def parts(
    places: np.ndarray, mask: np.ndarray | None = None, depth: np.ndarray | None = None, seen: np.ndarray | None = None
) -> np.ndarray:
    """Part numbers (96, 96)."""
    count = len(places)
    mask = np.ones((SIZE, SIZE), np.uint8) if mask is None else mask
    depth = np.full((SIZE, SIZE), 3.0, np.float32) if depth is None else depth
    known = np.ones((count, 18), bool)
    return exact_parts(mask, depth, Joints(places, known, known if seen is None else seen))[0]


def between(places: np.ndarray, a: int, b: int, share: float = 0.5) -> tuple[int, int]:
    """Row and column on the line between two joints."""
    x, y = places[0, a] + (places[0, b] - places[0, a]) * share
    return round(float(y)), round(float(x))


# Joints of a limb and its parts, of the person's right and left side.
LIMBS = {
    "upper arm": (((2, 3), {16, 18}), ((5, 6), {15, 17})),
    "forearm": (((3, 4), {20, 22}), ((6, 7), {19, 21})),
    "thigh": (((8, 9), {7, 9}), ((11, 12), {8, 10})),
    "shin": (((9, 10), {11, 13}), ((12, 13), {12, 14})),
}


@pytest.mark.parametrize("limb", LIMBS)
@pytest.mark.parametrize("view", [np.asarray, behind])
def test_limbs_are_on_the_person_s_own_side(limb: str, view) -> None:  # type: ignore[no-untyped-def]
    places = person(view(STANDING))
    found = parts(places)
    for (start, end), right in LIMBS[limb]:
        assert found[between(places, start, end)] in right


@pytest.mark.parametrize(
    ("view", "torso", "thighs", "shins"), [(np.asarray, 2, (9, 10), (13, 14)), (behind, 1, (7, 8), (11, 12))]
)
def test_front_and_back_follow_the_way_that_the_person_faces(view, torso, thighs, shins) -> None:  # type: ignore[no-untyped-def]
    places = person(view(STANDING))
    found = parts(places)
    assert found[between(places, 1, 8, 0.4)] == torso
    assert (found[between(places, 8, 9)], found[between(places, 11, 12)]) == thighs
    assert (found[between(places, 9, 10)], found[between(places, 12, 13)]) == shins


def test_in_profile_the_torso_shows_its_front_where_the_face_looks() -> None:
    for to, ahead, half in ((-1.0, -3, 24), (1.0, 3, 23)):
        places = person(in_profile(STANDING, to))
        found = parts(places)
        assert found[32, 48 + ahead] == 2
        assert found[32, 48 - ahead] == 1
        # Who looks to the left of the picture shows the left side of the head.
        assert found[14, 48] == half


def test_the_head_has_a_right_and_a_left_half() -> None:
    front, back = parts(person(STANDING)), parts(person(behind(STANDING)))
    assert (front[12, 45], front[12, 51]) == (23, 24)
    assert (back[12, 45], back[12, 51]) == (24, 23)


def test_arms_show_their_inner_side_towards_the_body() -> None:
    places = person(STANDING)
    found = parts(places)
    row, column = between(places, 2, 3)
    assert (found[row, column - 2], found[row, column + 2]) == (18, 16)
    row, column = between(places, 5, 6)
    assert (found[row, column - 2], found[row, column + 2]) == (15, 17)


def test_hands_and_feet_lie_beyond_the_last_joint() -> None:
    places = person(STANDING)
    found = parts(places)
    x, y = places[0, RIGHT_WRIST]
    assert found[int(y) + 5, int(x) - 1] == 3
    assert found[int(y) + 5, round(float(places[0, 7, 0])) + 1] == 4
    assert found[int(places[0, 10, 1]) + 4, int(places[0, 10, 0])] == 6
    assert found[int(places[0, 13, 1]) + 4, int(places[0, 13, 0])] == 5


def crossed_arm() -> np.ndarray:
    """The right forearm lies across the body."""
    places = STANDING.copy()
    places[RIGHT_ELBOW], places[RIGHT_WRIST] = (-12, 28), (6, 28)
    return person(places)


def test_depth_says_which_limb_is_in_front() -> None:
    places = crossed_arm()
    depth = np.full((SIZE, SIZE), 3.0, np.float32)
    assert parts(places)[34, 46] not in {1, 2}
    before = depth.copy()
    before[32:37, 34:58] = 2.7
    assert parts(places, depth=before)[34, 46] in {20, 22}
    assert parts(places, depth=before)[45, 46] == 2


def test_an_arm_behind_the_body_is_not_shown_on_it() -> None:
    places = crossed_arm()
    seen = np.ones((1, 18), bool)
    seen[0, [RIGHT_ELBOW, RIGHT_WRIST]] = False
    assert parts(places, seen=seen)[34, 46] == 2


def test_every_pixel_of_a_person_has_a_part_and_no_other_one() -> None:
    random = np.random.default_rng(0)
    mask = random.integers(0, 3, (SIZE, SIZE)).astype(np.uint8)
    places = np.concatenate([person(STANDING, 30), person(behind(STANDING), 66)])
    found = parts(places, mask)
    assert np.array_equal(found > 0, mask > 0)
    assert found.max() <= 24


def test_who_is_hidden_does_not_show() -> None:
    """Two people in one place: pixels go by the mask, so the one in front has all of them."""
    places = np.concatenate([person(STANDING), person(behind(STANDING))])
    in_front = np.full((SIZE, SIZE), 2, np.uint8)
    assert not set(np.unique(parts(places, in_front))) & {2, 9, 10, 13, 14}
    assert np.array_equal(parts(places, in_front), parts(person(behind(STANDING))))


def test_people_without_joints_are_torsos() -> None:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[20:40, 20:30] = 1
    nothing = np.zeros((1, 18), bool)
    found = exact_parts(
        mask, np.ones((SIZE, SIZE), np.float32), Joints(np.zeros((1, 18, 2), np.float32), nothing, nothing)
    )
    assert np.array_equal(found[0] == 2, mask == 1)


def test_a_limb_whose_joint_is_unknown_is_left_out() -> None:
    places = person(STANDING)
    known = np.ones((1, 18), bool)
    known[0, 9] = False  # the right knee
    mask, depth = np.ones((SIZE, SIZE), np.uint8), np.full((SIZE, SIZE), 3.0, np.float32)
    found = exact_parts(mask, depth, Joints(places, known, known))[0]
    assert not set(np.unique(found)) & {7, 9, 11, 13}
    assert {8, 10, 12, 14} & set(np.unique(found))


def test_u_runs_along_a_limb_and_v_across() -> None:
    places = person(STANDING)
    known = np.ones((1, 18), bool)
    mask, depth = np.ones((SIZE, SIZE), np.uint8), np.full((SIZE, SIZE), 3.0, np.float32)
    _, u, v = exact_parts(mask, depth, Joints(places, known, known)) / 255
    top, bottom = (between(places, 12, 13, share) for share in (0.25, 0.75))
    assert u[top] == pytest.approx(0.25, abs=0.06)
    assert u[bottom] == pytest.approx(0.75, abs=0.06)
    row, column = between(places, 12, 13)
    assert v[row, column - 2] < v[row, column] < v[row, column + 2]
    assert v[row, column] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_size_of_the_picture_does_not_matter(scale: float) -> None:
    side = int(SIZE * scale)
    places = (person(STANDING) + 0.5) * np.float32(scale) - np.float32(0.5)
    known = np.ones((1, 18), bool)
    mask, depth = np.ones((side, side), np.uint8), np.full((side, side), 3.0, np.float32)
    scaled = exact_parts(mask, depth, Joints(places.astype(np.float32), known, known))[0]
    whole = parts(person(STANDING))
    rows = ((np.arange(side) + 0.5) / scale).astype(int)
    assert (scaled == whole[np.ix_(rows, rows)]).mean() > 0.93
