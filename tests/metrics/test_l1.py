"""L1 against its definition in whole numbers."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.metrics import absolute_error, l1_per_area, l1_unit


@pytest.fixture
def clips() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    prediction, truth = random.integers(0, 256, (2, 3, 37, 41, 3), dtype=np.uint8)
    return prediction, truth


def test_equals_the_definition(clips: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, truth = clips
    sums = np.abs(prediction.astype(np.int64) - truth).reshape(3, -1).sum(axis=1)
    np.testing.assert_array_equal(absolute_error(prediction, truth), sums / (37 * 41 * 3))


def test_extremes() -> None:
    black, white = np.zeros((1, 512, 512, 3), np.uint8), np.full((1, 512, 512, 3), 255, np.uint8)
    assert absolute_error(black, white) == [255.0]
    assert absolute_error(white, black) == [255.0]
    assert absolute_error(white, white) == [0.0]
    assert l1_unit(absolute_error(black, white)) == [1.0]


@pytest.mark.parametrize("difference", [1, 16, 127, 128, 129, 254, 255])
def test_differences_do_not_wrap(difference: int) -> None:
    """In uint8, 16 squares to 0 modulo 256, a difference of 128 is its own negative, and 255 is 1 backwards."""
    low, high = np.zeros((1, 9, 7, 3), np.uint8), np.full((1, 9, 7, 3), difference, np.uint8)
    assert absolute_error(high, low) == absolute_error(low, high) == [float(difference)]
    one = low.copy()
    one[0, 4, 3, 1] = difference
    assert absolute_error(low, one) == [difference / (9 * 7 * 3)]
    assert l1_unit(absolute_error(high, low)) == [difference / 255]
    assert l1_per_area(absolute_error(high, low), 9, 7) == [difference / 63]


def test_views_are_read_as_they_look(clips: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, truth = clips
    mirrored = absolute_error(prediction[:, ::-1, ::-2], truth[:, ::-1, ::-2])
    np.testing.assert_array_equal(
        mirrored, absolute_error(prediction[:, ::-1, ::-2].copy(), truth[:, ::-1, ::-2].copy())
    )


def test_legacy_value_of_the_paper() -> None:
    # Table 1 prints 0.73E-04 at 512 x 512, which is a mean error of 19.1 grey levels (PROTOCOL.md).
    assert l1_per_area(np.array([19.1]), 512, 512)[0] == pytest.approx(0.73e-4, abs=0.005e-4)


def test_legacy_depends_on_the_resolution() -> None:
    small = np.zeros((1, 64, 64, 3), np.uint8), np.full((1, 64, 64, 3), 20, np.uint8)
    large = np.zeros((1, 128, 128, 3), np.uint8), np.full((1, 128, 128, 3), 20, np.uint8)
    errors = absolute_error(*small), absolute_error(*large)
    assert l1_unit(errors[0]) == l1_unit(errors[1])
    assert l1_per_area(errors[0], 64, 64) == 4 * l1_per_area(errors[1], 128, 128)


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8, 3), np.uint8), "prediction must be uint8"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 8, 3), np.float32), "truth must be uint8"),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8), "must have the shape"),
        (np.zeros((2, 8, 8, 1), np.uint8), np.zeros((2, 8, 8, 1), np.uint8), "must have the shape"),
        (np.zeros((0, 8, 8, 3), np.uint8), np.zeros((0, 8, 8, 3), np.uint8), "must have the shape"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros((3, 8, 8, 3), np.uint8), "one shape"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 9, 3), np.uint8), "one shape"),
    ],
)
def test_other_frames_are_refused(prediction: np.ndarray, truth: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        absolute_error(prediction, truth)
