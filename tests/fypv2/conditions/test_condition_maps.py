"""All conditions of a clip: the same crop for all, ranks from where they belong, and what is normal in crowds."""

from __future__ import annotations

import numpy as np
import pytest
from condition_figures import clip_of, one_frame, person

from fypv2.conditions import (
    MatchingError,
    build_conditions,
    build_training_conditions,
    character_regions,
    crop_box,
    crop_resize_flow,
    crop_resize_map,
    draw_skeletons,
    poses_of_annotations,
)

YELLOW, RED = (255, 255, 0), (255, 0, 0)
# The right one of the reference is nearer.
REFERENCE = one_frame(person(140, 470), person(370, 470))
NEARNESS = np.repeat(np.linspace(0.1, 0.9, 512, dtype=np.float32)[None], 512, axis=0)


def colour_at(picture: np.ndarray, place: np.ndarray) -> tuple[int, ...]:
    x, y = np.rint(place).astype(int)
    return tuple(picture[y, x].tolist())


def test_ranks_are_the_references_and_constant_while_people_cross() -> None:
    driving = clip_of(*[one_frame(person(140 + d, 470), person(370 - d, 470)) for d in (0, 60, 115, 170, 230)])
    maps = build_conditions(REFERENCE, NEARNESS, driving, 512, 512)
    np.testing.assert_array_equal(maps.pose, draw_skeletons(driving))
    np.testing.assert_array_equal(maps.reference_pose, draw_skeletons(REFERENCE)[0])
    regions = character_regions(driving)
    for frame in range(5):
        left, right = regions[frame]
        assert (maps.depth_order[frame][right] == YELLOW).all()
        assert (maps.depth_order[frame][left & ~right] == RED).all()
        assert not maps.depth_order[frame][~(left | right)].any()
        np.testing.assert_array_equal(maps.background[frame], left | right)
    assert (maps.pose.dtype, maps.background.dtype, maps.depth_order.dtype) == (np.uint8, np.float32, np.uint8)


def test_told_otherwise_the_ranks_go_with_the_person() -> None:
    driving = one_frame(person(140, 470), person(370, 470))
    crossed = build_conditions(REFERENCE, NEARNESS, driving, 512, 512, assignment=[1, 0])
    assert colour_at(crossed.depth_order[0], driving.body[0, 0, 8]) == YELLOW
    assert colour_at(crossed.depth_order[0], driving.body[0, 1, 8]) == RED
    alone = build_conditions(REFERENCE, NEARNESS, driving, 512, 512, assignment=[-1, 0])
    # One who is left out is not drawn at all, and ranks are counted among the others.
    np.testing.assert_array_equal(alone.pose, draw_skeletons(driving.reorder([1])))
    assert colour_at(alone.depth_order[0], driving.body[0, 1, 8]) == YELLOW
    with pytest.raises(MatchingError, match="given twice"):
        build_conditions(REFERENCE, NEARNESS, driving, 512, 512, assignment=[0, 0])


def test_people_enter_leave_and_stand_half_outside() -> None:
    reference = one_frame(person(60, 470), person(256, 450), person(430, 490))
    driving = clip_of(
        one_frame(person(100, 470), None, person(300, 470)),
        one_frame(person(5, 470), person(515, 480), person(300, 470)),
        one_frame(None, person(420, 480), person(300, 470)),
        one_frame(None, None, None),
    )
    maps = build_conditions(reference, NEARNESS, driving, 512, 512)
    # From left to right the characters 0, 2, 1 animate people 0, 1, 2, of whom 2 is nearest.
    assert colour_at(maps.depth_order[0], driving.body[0, 2, 8]) == RED
    assert colour_at(maps.depth_order[2], driving.body[2, 1, 8]) == YELLOW
    assert maps.depth_order[1, 300, :20].any()
    for drawn in (maps.pose, maps.background, maps.depth_order):
        assert not drawn[3].any()


def test_blocks_of_a_long_clip_are_its_parts() -> None:
    driving = clip_of(*[one_frame(person(140 + 20 * i, 470), person(370 - 20 * i, 470)) for i in range(4)])
    whole = build_conditions(REFERENCE, NEARNESS, driving, 128, 128)
    for start in (0, 2):
        part = build_conditions(
            REFERENCE, NEARNESS, driving.select(slice(start, start + 2)), 128, 128, assignment=[0, 1]
        )
        for name in ("pose", "background", "depth_order"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[start : start + 2])


def test_pictures_of_other_sizes_meet_in_the_clips() -> None:
    reference = one_frame(person(140 + 200, 470), person(370 + 200, 470), size=(512, 912))
    nearness = np.pad(NEARNESS, ((0, 0), (200, 200)))
    driving = one_frame(person(140, 670), person(370, 670), size=(912, 512))
    maps = build_conditions(reference, nearness, driving, 256, 256)
    straight = build_conditions(REFERENCE, NEARNESS, one_frame(person(140, 470), person(370, 470)), 256, 256)
    for name in ("pose", "background", "depth_order", "reference_pose"):
        np.testing.assert_array_equal(getattr(maps, name), getattr(straight, name))


def test_without_depth_the_reference_poses_stand_in() -> None:
    reference = one_frame(person(140, 490), person(370, 450))
    driving = one_frame(person(200, 470), person(300, 470))
    maps = build_conditions(reference, None, driving, 512, 512)
    np.testing.assert_array_equal(
        maps.depth_order, build_conditions(reference, 1 - NEARNESS, driving, 512, 512).depth_order
    )
    assert (maps.depth_order[0][character_regions(driving)[0, 0]] == YELLOW).all()


def test_training_ranks_follow_each_frames_depth() -> None:
    poses = clip_of(*[one_frame(person(140, 470), person(370, 470))] * 3)
    nearness = np.stack([NEARNESS, 1 - NEARNESS, NEARNESS])
    flow = np.zeros((3, 512, 512, 2), np.float32)
    flow[2] = (6, 8)
    maps = build_training_conditions(poses, nearness, REFERENCE, 512, 512, flow=flow)
    left = [colour_at(picture, poses.body[0, 0, 8]) for picture in maps.depth_order]
    assert left == [RED, YELLOW, RED]
    np.testing.assert_array_equal(np.unique(maps.background[:2]), [0, 1])
    np.testing.assert_array_equal(np.unique(maps.background[2]), [0.5, 1])
    np.testing.assert_array_equal(maps.reference_pose, draw_skeletons(REFERENCE)[0])
    small = build_training_conditions(poses, nearness, REFERENCE, 128, 96, flow=flow)
    assert small.background.shape == (3, 128, 96)
    # 10 of 512 pixels are 2.5 of 128, and a quarter of a crop of 384 pixels' full motion of 15.
    assert small.background[2].min() == pytest.approx(10 / 15, abs=1e-5)


def test_training_ranks_the_absent_last() -> None:
    poses = clip_of(one_frame(None, person(370, 470)), one_frame(person(140, 470), person(370, 470)))
    maps = build_training_conditions(poses, np.stack([1 - NEARNESS] * 2), REFERENCE, 512, 512)
    assert [colour_at(picture, poses.body[0, 1, 8]) for picture in maps.depth_order] == [YELLOW, RED]


def test_faulty_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="nearness of shape"):
        build_conditions(REFERENCE, NEARNESS[:100], REFERENCE, 512, 512)
    with pytest.raises(ValueError, match="flow of shape"):
        build_conditions(REFERENCE, NEARNESS, REFERENCE, 512, 512, flow=np.zeros((2, 512, 512, 2)))
    with pytest.raises(ValueError, match="nearness of shape"):
        build_training_conditions(REFERENCE, NEARNESS, REFERENCE, 512, 512)
    with pytest.raises(ValueError, match="reference poses of 2 frames"):
        build_conditions(clip_of(REFERENCE, REFERENCE), NEARNESS, REFERENCE, 512, 512)


def test_hidden_keypoints_are_drawn_and_absent_ones_not() -> None:
    keypoints = np.stack([person(140, 470), person(370, 470)])
    visibility = np.full((2, 18), 2, np.uint8)
    visibility[0, 4], visibility[1, 4] = 1, 0
    poses = poses_of_annotations(keypoints, visibility, (512, 512))
    assert (poses.frames, poses.characters, poses.size) == (1, 2, (512, 512))
    assert poses.body_scores[0, :, 4].tolist() == [0.5, 0.0]
    drawn = draw_skeletons(poses)[0]
    assert colour_at(drawn, keypoints[0, 4]) == (170, 255, 0)
    assert colour_at(drawn, keypoints[1, 4]) == (0, 0, 0)
    clip = poses_of_annotations(keypoints[None].repeat(3, 0), visibility[None].repeat(3, 0), (512, 512))
    assert clip.frames == 3
    np.testing.assert_array_equal(clip.frame(1).body, poses.body)


def test_maps_and_poses_are_cropped_alike() -> None:
    picture = np.zeros((300, 500), np.float32)
    picture[100:120, 200:220] = 1
    small = crop_resize_map(picture, 96, 64)
    assert small.shape == (96, 64)
    centre = one_frame(np.full((18, 2), (209.5, 109.5)), size=(300, 500)).crop_resize(96, 64).body[0, 0, 0]
    rows, columns = np.nonzero(small > 0.5)
    assert (columns.mean(), rows.mean()) == pytest.approx(tuple(centre), abs=0.51)
    large = crop_resize_map(picture, 600, 1000)
    assert large.sum() == pytest.approx(4 * 400, rel=0.02)
    np.testing.assert_array_equal(crop_resize_map(picture, 300, 500), picture)
    flow = np.full((300, 500, 2), (5.0, -3.0), np.float32)
    np.testing.assert_allclose(crop_resize_flow(flow, 96, 64), np.full((96, 64, 2), (1.6, -0.96)), rtol=1e-5)


def test_a_crop_is_never_empty() -> None:
    assert crop_box((128, 160), 100_000, 8) == (0, 79, 128, 1)
    assert crop_box((128, 160), 8, 100_000) == (63, 0, 1, 160)
