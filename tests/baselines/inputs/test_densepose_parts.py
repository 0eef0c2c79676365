"""DensePose's numbers and their colours."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.inputs import densepose_colours
from baselines.inputs.parts import BACKGROUND_COLOUR, PART_NAMES, PARTS, pack, unpack

# Viridis of matplotlib 3 (CC0), entry floor(255 p / 24) for part p, from its listed 8-bit values.
VIRIDIS = {
    0: (68, 1, 84), 1: (71, 16, 99), 2: (72, 31, 112), 6: (59, 81, 139), 12: (33, 144, 141), 18: (92, 200, 99),
    23: (226, 228, 24), 24: (253, 231, 37),
}  # fmt: skip


def test_the_background_is_exactly_what_magicanimate_expects() -> None:
    picture = densepose_colours(np.zeros((4, 5), np.uint8))
    assert picture.shape == (4, 5, 3)
    assert picture.dtype == np.uint8
    assert (picture == BACKGROUND_COLOUR).all()
    assert BACKGROUND_COLOUR == (68, 1, 84)


def test_every_part_has_a_colour_of_its_own() -> None:
    colours = densepose_colours(np.arange(PARTS + 1, dtype=np.uint8))
    assert len({tuple(colour) for colour in colours.tolist()}) == 25
    for part, colour in VIRIDIS.items():
        assert tuple(colours[part].tolist()) == colour


def test_a_number_beyond_the_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="part 25"):
        densepose_colours(np.array([0, 25], np.uint8))


def test_there_are_24_parts_of_which_each_side_has_its_own() -> None:
    assert len(PART_NAMES) == len(set(PART_NAMES)) == 25
    # DensePose-COCO's data_format.md: 3 right hand, 4 left hand, 5 left foot, 6 right foot; 7, 9 right thigh; 8, 10
    # left; 11, 13 right shin; 12, 14 left; 15, 17 left upper arm; 16, 18 right; 19, 21 left forearm; 20, 22 right.
    assert [k for k, name in enumerate(PART_NAMES) if "right" in name] == [3, 6, 7, 9, 11, 13, 16, 18, 20, 22, 23]
    assert [k for k, name in enumerate(PART_NAMES) if "left" in name] == [4, 5, 8, 10, 12, 14, 15, 17, 19, 21, 24]
    assert [k for k, name in enumerate(PART_NAMES) if "thigh" in name] == [7, 8, 9, 10]
    assert [k for k, name in enumerate(PART_NAMES) if "forearm" in name] == [19, 20, 21, 22]


def test_packing_keeps_parts_and_coordinates() -> None:
    part = np.array([[0, 3], [24, 1]], np.uint8)
    u, v = np.array([[0.7, 0.5], [2.0, -1.0]], np.float32), np.array([[0.1, 0.25], [1.0, 0.0]], np.float32)
    frame = unpack(pack(part, u, v))
    assert np.array_equal(frame.part, part)
    np.testing.assert_allclose(frame.u, [[0, 0.5], [1, 0]], atol=0.5 / 255)
    np.testing.assert_allclose(frame.v, [[0, 0.25], [1, 0]], atol=0.5 / 255)
    assert frame.u.dtype == frame.v.dtype == np.float32
    assert np.array_equal(pack(frame.part, frame.u, frame.v), pack(part, u, v))
