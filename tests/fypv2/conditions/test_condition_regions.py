"""Regions: the drawn skeleton, widened by a rectangle, per character and frame."""

from __future__ import annotations

import numpy as np
import pytest
from condition_figures import clip_of, one_frame, person

from fypv2.conditions import character_regions, draw_skeleton


def test_a_point_becomes_a_rectangle_around_it() -> None:
    nose = one_frame(person(0, 0))
    nose.body[0, 0, 0] = (200, 300)
    nose.body_scores[0, 0, 1:] = 0
    rows, columns = np.nonzero(character_regions(nose, 0.10)[0, 0])
    # The disc reaches 4.5 pixels with its soft edge, the kernel of 51 pixels 25.
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (300 - 29, 300 + 29, 200 - 29, 200 + 29)


def test_the_kernel_is_a_share_of_the_width() -> None:
    for size, reach in (((896, 640), 32), ((128, 128), 6), ((64, 256), 12)):
        nose = one_frame(person(0, 0), size=size)
        nose.body[0, 0, 0] = (size[1] // 2, size[0] // 2)
        nose.body_scores[0, 0, 1:] = 0
        thin, wide = character_regions(nose, 0.0)[0, 0], character_regions(nose, 0.10)[0, 0]
        assert np.ptp(np.nonzero(wide)[1]) - np.ptp(np.nonzero(thin)[1]) == 2 * reach


def test_without_dilation_it_is_the_drawn_skeleton() -> None:
    poses = one_frame(person(150, 480), person(350, 500))
    regions = character_regions(poses, 0.0)
    for k in range(2):
        np.testing.assert_array_equal(regions[0, k], draw_skeleton(poses, 0, k).any(-1))
    assert (character_regions(poses)[0] >= regions[0]).all()
    with pytest.raises(ValueError, match="give 0 or more"):
        character_regions(poses, -0.1)


def test_frame_by_frame_gives_the_same_and_the_absent_have_none() -> None:
    poses = clip_of(
        one_frame(person(100, 480), None),
        one_frame(person(200, 480), person(500, 490)),
        one_frame(None, person(530, 490)),
    )
    regions = character_regions(poses)
    assert regions.shape == (3, 2, 512, 512)
    assert regions.dtype == np.bool_
    for frame in range(3):
        np.testing.assert_array_equal(character_regions(poses.frame(frame))[0], regions[frame])
    assert regions.any((2, 3)).tolist() == [[True, False], [True, True], [False, True]]
