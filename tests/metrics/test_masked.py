"""Masked metrics on frames made so that the right values are known."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.metrics import background_motion, l1_characters, lpips_characters


def scene(frames: int = 4, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A still random background, with a character of 8 x 8 pixels that walks to the right."""
    truth = np.repeat(np.random.default_rng(0).integers(40, 200, (1, side, side, 3), dtype=np.uint8), frames, axis=0)
    masks = np.zeros((frames, side, side), np.uint8)
    for i in range(frames):
        masks[i, 30:38, 10 + 4 * i : 18 + 4 * i] = i % 2 + 1
        truth[i][masks[i] > 0] = 255
    return truth, masks


def test_l1_counts_characters_only() -> None:
    truth, masks = scene()
    prediction = truth.copy()
    prediction[masks > 0] -= 51
    prediction[:, 0, 0] = 0
    values, valid = l1_characters(prediction, truth, masks)
    np.testing.assert_allclose(values, 51 / 255, rtol=1e-14)
    assert valid.all()


def test_every_instance_is_a_character() -> None:
    truth, masks = scene(1)
    masks[0, :2, :2] = 9
    prediction = truth.copy()
    prediction[0, :2, :2] = 255 - prediction[0, :2, :2]
    difference = np.abs(prediction[0, :2, :2].astype(int) - truth[0, :2, :2]).sum()
    values, _ = l1_characters(prediction, truth, masks)
    assert values[0] == pytest.approx(difference / 255 / 3 / (64 + 4), rel=1e-14)


def test_frames_without_characters_are_invalid_and_not_nan() -> None:
    truth, masks = scene(3)
    masks[1] = 0
    for values, valid in (l1_characters(truth, truth, masks), lpips_characters(np.ones((3, 64, 64)), masks)):
        assert valid.tolist() == [True, False, True]
        assert np.isfinite(values).all()
        assert values[1] == 0


def test_lpips_is_the_mean_of_the_map_inside() -> None:
    _, masks = scene(2)
    distances = np.random.default_rng(1).random((2, 64, 64), dtype=np.float32)
    values, valid = lpips_characters(distances, masks)
    expected = [distances[i][masks[i] != 0].astype(np.float64).mean() for i in range(2)]
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    assert valid.all()


def test_background_of_the_truth_moves_as_it_should() -> None:
    truth, masks = scene()
    values, valid = background_motion(truth, truth, masks)
    np.testing.assert_array_equal(values, np.zeros(3))
    assert valid.all()
    assert valid.shape == (3,)


def test_flicker_is_positive_and_exact() -> None:
    truth, masks = scene()
    prediction = truth.copy()
    prediction[1::2] += 20
    prediction[masks > 0] = 0
    values, _ = background_motion(prediction, truth, masks)
    np.testing.assert_allclose(values, 20 / 255, rtol=1e-13)


def test_a_still_background_under_a_moving_camera_is_negative() -> None:
    truth = np.random.default_rng(2).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    prediction = np.repeat(truth[:1], 3, axis=0)
    values, _ = background_motion(prediction, truth, np.zeros((3, 64, 64), np.uint8))
    moved = np.abs(np.diff(truth.astype(int), axis=0)).reshape(2, -1).mean(axis=1) / 255
    np.testing.assert_allclose(values, -moved, rtol=1e-13)


def test_characters_of_both_frames_are_dilated_by_a_32nd_of_the_side() -> None:
    truth, masks = np.zeros((2, 64, 64, 3), np.uint8), np.zeros((2, 64, 64), np.uint8)
    masks[0, 20, 20], masks[1, 40, 40] = 1, 2
    for row, column, counted in [(22, 22, False), (18, 20, False), (42, 38, False), (23, 20, True), (40, 43, True)]:
        prediction = truth.copy()
        prediction[1, row, column] = 255
        values, _ = background_motion(prediction, truth, masks)
        assert (values[0] > 0) == counted


def test_no_background_left_is_invalid() -> None:
    truth, masks = scene(3)
    masks[1] = 1
    values, valid = background_motion(truth, truth, masks)
    assert valid.tolist() == [False, False]
    assert np.isfinite(values).all()


def test_one_frame_has_no_motion() -> None:
    truth, masks = scene(1)
    values, valid = background_motion(truth, truth, masks)
    assert values.shape == valid.shape == (0,)


def test_other_masks_are_refused() -> None:
    truth, masks = scene(2)
    for wrong in (masks[:1], masks.astype(bool), masks[:, :32]):
        for metric in (l1_characters, background_motion):
            with pytest.raises(ValueError, match="masks must be uint8 of the shape"):
                metric(truth, truth, wrong)
        with pytest.raises(ValueError, match="masks must be uint8 of the shape"):
            lpips_characters(np.zeros((2, 64, 64)), wrong)
    with pytest.raises(ValueError, match="distance map must have the shape"):
        lpips_characters(np.zeros((2, 64)), masks)
