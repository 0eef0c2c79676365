"""PSNR, exact and wrapped, against definitions written out in whole numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mcbench.metrics import psnr, psnr_wrapped


def noisy(truth: np.ndarray, deviation: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, deviation, truth.shape)
    return np.clip(np.rint(truth + noise), 0, 255).astype(np.uint8)


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(3).integers(60, 196, (4, 48, 40, 3), dtype=np.uint8)


def test_exact_equals_the_definition(truth: np.ndarray) -> None:
    prediction = noisy(truth, 30)
    for value, p, t in zip(psnr(prediction, truth), prediction, truth, strict=True):
        squares = sum((int(a) - int(b)) ** 2 for a, b in zip(p.ravel(), t.ravel(), strict=True))
        assert value == pytest.approx(10 * math.log10(255**2 * p.size / squares), rel=1e-13)


def test_wrapped_equals_the_definition(truth: np.ndarray) -> None:
    # The published evaluator: d = p - t in uint8, then d * d in uint8; both modulo 256. Here in Python's integers.
    prediction = noisy(truth, 30)
    for value, p, t in zip(psnr_wrapped(prediction, truth), prediction, truth, strict=True):
        differences = [(int(a) - int(b)) % 256 for a, b in zip(p.ravel(), t.ravel(), strict=True)]
        squares = sum(d * d % 256 for d in differences)
        assert value == pytest.approx(20 * math.log10(255 / math.sqrt(squares / p.size)), rel=1e-13)


def test_known_values() -> None:
    black = np.zeros((1, 512, 512, 3), np.uint8)
    assert psnr(black, black + np.uint8(255)) == pytest.approx([0.0], abs=1e-12)
    assert psnr(black, black + np.uint8(1)) == pytest.approx([20 * math.log10(255)], rel=1e-13)
    # 15 * 15 = 225 fits into a byte, 16 * 16 = 256 is 0, 17 * 17 = 289 is 33.
    assert psnr_wrapped(black, black + np.uint8(15)) == psnr(black, black + np.uint8(15))
    assert psnr_wrapped(black, black + np.uint8(16)) == [100.0]
    assert psnr_wrapped(black, black + np.uint8(17)) == pytest.approx([20 * math.log10(255 / math.sqrt(33))], rel=1e-13)


def test_identical_frames_are_100_db(truth: np.ndarray) -> None:
    np.testing.assert_array_equal(psnr(truth, truth), np.full(4, 100.0))
    np.testing.assert_array_equal(psnr_wrapped(truth, truth), np.full(4, 100.0))


def test_wrapped_is_symmetric_although_it_wraps(truth: np.ndarray) -> None:
    prediction = noisy(truth, 80)
    np.testing.assert_array_equal(psnr_wrapped(prediction, truth), psnr_wrapped(truth, prediction))


def test_wrapped_never_falls_below_its_floor() -> None:
    # 249 is the largest square modulo 256: 20 log10(255 / sqrt(249)) = 24.17 dB.
    assert max(d * d % 256 for d in range(256)) == 249
    root = next(d for d in range(256) if d * d % 256 == 249)
    frames = np.zeros((1, 16, 16, 3), np.uint8)
    assert psnr_wrapped(frames, frames + np.uint8(root)) == pytest.approx([24.168810137721742], rel=1e-13)


def test_wrapping_flatters_a_bad_prediction(truth: np.ndarray) -> None:
    # A true 18 dB prints as more than 26 (PROTOCOL.md: MRAA's 18.14 was printed as 29.39).
    prediction = noisy(truth, 32.2)
    assert psnr(prediction, truth).mean() == pytest.approx(18, abs=0.1)
    assert psnr_wrapped(prediction, truth).mean() > 26


def test_more_noise_lowers_the_exact_value_only(truth: np.ndarray) -> None:
    exact = [psnr(noisy(truth, d), truth).mean() for d in (2, 8, 32, 64)]
    assert exact == sorted(exact, reverse=True)
    wrapped = [psnr_wrapped(noisy(truth, d), truth).mean() for d in (32, 64)]
    assert abs(wrapped[0] - wrapped[1]) < 1 < exact[2] - exact[3]


@pytest.mark.parametrize("metric", [psnr, psnr_wrapped])
def test_other_frames_are_refused(metric, truth: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be uint8"):
        metric(truth / 255, truth)
    with pytest.raises(ValueError, match="one shape"):
        metric(truth[:2], truth)
