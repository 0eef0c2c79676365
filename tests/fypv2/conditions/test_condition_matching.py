"""Who animates whom: left to right, or as told."""

from __future__ import annotations

import numpy as np
import pytest
from condition_figures import clip_of, one_frame, person

from fypv2.conditions import MatchingError, Poses, check_assignment, match_left_to_right
from mcbench import UserError

THREE = one_frame(person(400, 500), person(100, 500), person(250, 500))


def test_left_to_right() -> None:
    driving = one_frame(person(50, 500), person(450, 500), person(300, 500))
    assert match_left_to_right(THREE, driving) == [1, 0, 2]


def test_the_first_frame_decides_however_they_move() -> None:
    driving = clip_of(
        one_frame(person(100, 500), person(300, 500)), *[one_frame(person(450, 500), person(50, 500))] * 5
    )
    assert match_left_to_right(one_frame(person(10, 500), person(20, 500)), driving) == [0, 1]


def test_one_who_enters_later_is_placed_where_they_enter() -> None:
    driving = clip_of(
        one_frame(None, person(200, 500), person(300, 500)),
        one_frame(None, person(60, 500), person(70, 500)),
        one_frame(person(500, 500), person(200, 500), None),
    )
    assert match_left_to_right(THREE, driving) == [0, 1, 2]


def test_half_visible_people_stand_where_they_are_seen() -> None:
    driving = one_frame(person(200, 500), person(230, 500))
    driving.body[0, 0] += [300, 0]
    driving.body[0, 0, 0] = (0, 90)
    driving.body_scores[0, 0, 1:] = 0.1
    assert match_left_to_right(one_frame(person(1, 500), person(2, 500)), driving) == [0, 1]


def test_fewer_drivers_leave_the_rightmost_and_phantoms_animate_nobody() -> None:
    driving = clip_of(*[one_frame(None, person(400, 500), None, person(300, 500))] * 2)
    assert match_left_to_right(THREE, driving) == [-1, 2, -1, 1]
    assert match_left_to_right(THREE, one_frame(None)) == [-1]


def test_absent_people_of_the_reference_are_not_animated() -> None:
    reference = one_frame(None, person(300, 500), None, person(100, 500))
    assert match_left_to_right(reference, one_frame(person(5, 500), person(9, 500))) == [3, 1]


@pytest.mark.parametrize("told", [None, [0]])
def test_nobody_in_the_reference(told: list[int] | None) -> None:
    driving = one_frame(person(100, 500))
    for reference in (one_frame(None), Poses(np.zeros((1, 0, 18, 2), np.float32), np.zeros((1, 0, 18)), (9, 9))):
        with pytest.raises(MatchingError, match="no character is seen in the reference image"):
            check_assignment(told, reference, driving) if told else match_left_to_right(reference, driving)


def test_too_many_drivers() -> None:
    with pytest.raises(MatchingError) as caught:
        match_left_to_right(one_frame(person(100, 500), person(200, 500)), THREE)
    assert isinstance(caught.value, UserError)
    message = str(caught.value)
    assert "3 driving characters, but 2 in the reference image" in message
    assert "--assign=0,1,-1" in message
    assert "`assignment`" in message
    assert "\n" not in message


def test_what_the_message_proposes_is_accepted() -> None:
    reference = one_frame(person(100, 500), person(200, 500))
    assert check_assignment([0, 1, -1], reference, THREE) == [0, 1, -1]
    assert check_assignment((1, -1, 0), reference, THREE) == [1, -1, 0]
    assert check_assignment(np.array([2, 0, 1]).tolist(), THREE, THREE) == [2, 0, 1]


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ([0, 1], "assignment 0,1: 2 numbers for 3 driving characters"),
        ([0, 1, 2, 3], "4 numbers for 3"),
        ([0, 1, 3], "shows no character 3; it has 0, 1, 2"),
        ([0, 1, -2], "shows no character -2"),
        ([0, 1, 1], "reference character 1 is given twice"),
    ],
)
def test_faulty_assignments(told: list[int], fault: str) -> None:
    with pytest.raises(MatchingError, match=fault):
        check_assignment(told, THREE, THREE)


def test_an_absent_person_of_the_reference_cannot_be_named() -> None:
    with pytest.raises(MatchingError, match="shows no character 0; it has 1"):
        check_assignment([0], one_frame(None, person(100, 500)), one_frame(person(100, 500)))
