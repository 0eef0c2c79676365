"""The background map of Eq. 3, and exact flow: meaning of its direction, and of its size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from condition_figures import one_frame, person

from fypv2.conditions import background_flow, background_map, character_regions, motion_between, poses_of_annotations
from mcbench.datasets.synthetic import render_clip, training_clips


def shift(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y]])


def test_it_is_one_in_every_region_and_zero_in_a_still_background() -> None:
    regions = character_regions(one_frame(person(120, 480), person(360, 500)))
    for flow in (None, np.zeros((1, 512, 512, 2), np.float32)):
        drawn = background_map(regions, flow)
        assert drawn.shape == (1, 512, 512)
        assert drawn.dtype == np.float32
        np.testing.assert_array_equal(drawn[0], regions[0].any(0))
        assert 0.2 < drawn.mean() < 0.8


def test_motion_outside_counts_by_its_length_and_up_to_one() -> None:
    regions = np.zeros((1, 1, 512, 512), np.bool_)
    regions[0, 0, :, :100] = True
    flow = np.zeros((1, 512, 512, 2), np.float32)
    flow[0, :, 50:200] = (3, -4)
    flow[0, :, 200:300] = (0, 5000)
    drawn = background_map(regions, flow)[0]
    np.testing.assert_array_equal(np.unique(drawn[:, :100]), [1])
    np.testing.assert_allclose(drawn[:, 100:200], 5 / 20)
    np.testing.assert_array_equal(drawn[:, 200:300], 1)
    np.testing.assert_array_equal(drawn[:, 300:], 0)
    np.testing.assert_allclose(background_map(regions, flow, 10 / 512)[0, :, 150], 0.5)


def test_one_motion_is_one_value_at_every_size() -> None:
    for height, width in ((128, 128), (896, 640)):
        flow = np.full((1, height, width, 2), (0, 0.02 * width), np.float32)
        drawn = background_map(np.zeros((1, 2, height, width), np.bool_), flow)
        np.testing.assert_allclose(drawn, 0.02 * 512 / 20, rtol=1e-5)


def test_faulty_arguments_are_named() -> None:
    regions = np.zeros((2, 1, 8, 8), np.bool_)
    with pytest.raises(ValueError, match="flow of shape"):
        background_map(regions, np.zeros((1, 8, 8, 2)))
    with pytest.raises(ValueError, match="share of the picture's width"):
        background_map(regions, np.zeros((2, 8, 8, 2)), 20.0)
    with pytest.raises(ValueError, match="masks of shape"):
        background_flow(np.stack([shift(0, 0)]), (8, 8), np.zeros((1, 8, 9), np.uint8))
    with pytest.raises(ValueError, match="do not rise"):
        motion_between(np.stack([shift(0, 0)] * 3), [0, 2, 1])


def test_flow_points_back_to_the_frame_before() -> None:
    motion = np.stack([shift(0, 0), shift(3, -2)])
    flow = background_flow(motion, (6, 9))
    np.testing.assert_array_equal(flow[0], 0)
    np.testing.assert_array_equal(flow[1], np.broadcast_to([-3, 2], (6, 9, 2)))


def test_flow_of_any_affine_motion_undoes_it() -> None:
    motion = np.array([[[0.98, -0.05, 4.0], [0.06, 1.03, -2.5]]])
    flow = background_flow(motion, (40, 30))[0].astype(np.float64)
    y, x = np.mgrid[:40, :30]
    before = np.stack((x, y), -1) + flow
    np.testing.assert_allclose(before @ motion[0, :, :2].T + motion[0, :, 2], np.stack((x, y), -1), atol=1e-4)


def test_motion_of_a_stride_is_all_its_steps() -> None:
    random = np.random.default_rng(0)
    steps = np.eye(2, 3) + random.normal(0, 0.02, (9, 2, 3)) * [1, 1, 100]
    joined = motion_between(steps, [1, 4, 8])
    np.testing.assert_array_equal(joined[0], np.eye(2, 3))
    point = np.array([10.0, 20.0])
    for n, (first, last) in enumerate(((1, 4), (4, 8)), start=1):
        moved = point
        for step in steps[first + 1 : last + 1]:
            moved = step[:, :2] @ moved + step[:, 2]
        np.testing.assert_allclose(joined[n, :, :2] @ point + joined[n, :, 2], moved)


def test_the_exact_flow_takes_a_drawn_frame_to_the_one_before() -> None:
    (spec,) = training_clips(3, 1, 7, 192)
    frames = list(render_clip(spec))
    chosen = [0, 3, 6]
    motion = motion_between(np.stack([frame.background_motion for frame in frames]), chosen)
    masks = np.stack([frames[i].mask for i in chosen])
    flow = background_flow(motion, (192, 192), masks)
    assert not flow[masks != 0].any()
    y, x = np.mgrid[:192, :192].astype(np.float32)
    for n in (1, 2):
        before, now = frames[chosen[n - 1]], frames[chosen[n]]
        x_before, y_before = x + flow[n, ..., 0], y + flow[n, ..., 1]
        warped = cv2.remap(before.image, x_before, y_before, cv2.INTER_LINEAR).astype(float)
        hidden = cv2.remap(before.mask, x_before, y_before, cv2.INTER_NEAREST) > 0
        inside = (x_before > 0) & (y_before > 0) & (x_before < 191) & (y_before < 191)
        background = inside & ~hidden & (now.mask == 0)
        error = np.abs(warped - now.image)[background].mean()
        still = np.abs(before.image.astype(float) - now.image)[background].mean()
        assert error < 0.6 * still
    keypoints, visibility = np.stack([now.keypoints]), np.stack([now.visibility])
    regions = character_regions(poses_of_annotations(keypoints, visibility, (192, 192)))
    drawn = background_map(regions, flow[2:])[0]
    assert (drawn[regions[0].any(0)] == 1).all()
    assert 0 < drawn[~regions[0].any(0)].mean() < 1
