"""Which character of the reference image each driving character animates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fypv2.conditions.poses import SEEN, Poses
from mcbench import UserError

__all__ = ["NOBODY", "MatchingError", "check_assignment", "match_left_to_right"]

NOBODY = -1
"""In an assignment: this driving character animates nobody and is left out."""


class MatchingError(UserError):
    """Driving characters that cannot be matched with those of the reference image."""


def match_left_to_right(reference: Poses, driving: Poses) -> list[int]:
    """Matches characters in the order in which they stand, from left to right.

    A character's place is the mean x of its seen keypoints: in the reference image, and in the first driving frame that
    shows it. Those who enter later are thereby ordered among the others by where they enter. Where the reference image
    shows more people than the driving poses, the rightmost of them are left over and not animated.

    Args:
        reference: poses of the reference image, T = 1.
        driving: the driving poses.

    Returns:
        For every driving character the index of its reference character; `NOBODY` for one that is never seen.

    Raises:
        MatchingError: if the reference shows nobody, or fewer people than the driving poses.
    """
    standing = _left_to_right(reference)
    moving = _left_to_right(driving)
    if not standing:
        raise MatchingError(_NOBODY_THERE)
    if len(moving) > len(standing):
        example = [*range(len(standing)), *[NOBODY] * (driving.characters - len(standing))]
        raise MatchingError(
            f"{len(moving)} driving characters, but {len(standing)} in the reference image; say whom each animates with"
            f" --assign={','.join(map(str, example))} (argument `assignment`; {NOBODY} leaves one out)"
        )
    assignment = [NOBODY] * driving.characters
    for mover, person in zip(moving, standing, strict=False):
        assignment[mover] = person
    return assignment


def check_assignment(assignment: Sequence[int], reference: Poses, driving: Poses) -> list[int]:
    """Holds a user's assignment against the poses.

    Args:
        assignment: for every driving character the index of its reference character, from 0, or `NOBODY`.
        reference: poses of the reference image, T = 1.
        driving: the driving poses.

    Returns:
        The assignment as a list.

    Raises:
        MatchingError: for another count than driving characters, an index that the reference does not have or does not
            show, or one that is given twice.
    """
    shown = np.flatnonzero(reference.present[0]).tolist()
    if not shown:
        raise MatchingError(_NOBODY_THERE)
    said = f"assignment {','.join(map(str, assignment))}"
    if len(assignment) != driving.characters:
        raise MatchingError(
            f"{said}: {len(assignment)} numbers for {driving.characters} driving characters; give one for each,"
            f" {NOBODY} for one to leave out"
        )
    for index in assignment:
        if index != NOBODY and index not in shown:
            raise MatchingError(
                f"{said}: the reference image shows no character {index}; it has {', '.join(map(str, shown))}"
            )
        if index != NOBODY and list(assignment).count(index) > 1:
            raise MatchingError(f"{said}: reference character {index} is given twice; give each at most once")
    return list(assignment)


_NOBODY_THERE = "no character is seen in the reference image; give one whose people show in full or in part"


def _left_to_right(poses: Poses) -> list[int]:
    """The characters that are seen at all, by their mean x when first seen."""
    places = []
    for k in range(poses.characters):
        frames = np.flatnonzero(poses.present[:, k])
        if len(frames):
            seen = poses.body_scores[frames[0], k] >= SEEN
            places.append((float(poses.body[frames[0], k, seen, 0].mean()), k))
    return [k for _, k in sorted(places)]
