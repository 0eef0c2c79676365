"""SSIM and its luma against scikit-image, OpenCV and the definition, on random and adversarial frames."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

from mcbench.metrics import luma, ssim_gaussian, ssim_uniform

WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def grey(values: np.ndarray) -> np.ndarray:
    """A frame whose luma is `values`: OpenCV's weights sum to 2^15."""
    return np.repeat(values[..., None], 3, axis=-1)


def frame_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(5)
    noise = random.integers(0, 256, (2, 96, 80, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:96, :80]
    smooth = grey(np.clip(128 + 60 * np.sin(rows / 9) + 50 * np.cos(columns / 7), 0, 255).astype(np.uint8))
    board = grey(((rows + columns) % 2 * 255).astype(np.uint8))
    constant = np.full((96, 80, 3), 7, np.uint8)
    return {
        "unrelated": (noise[0], noise[1]),
        "identical": (noise[0], noise[0]),
        "smooth and noisy": (np.clip(smooth + random.normal(0, 9, smooth.shape), 0, 255).astype(np.uint8), smooth),
        "16 apart": (smooth, np.clip(smooth.astype(int) + 16, 0, 255).astype(np.uint8)),
        "128 apart": (constant, constant + np.uint8(128)),
        "black and white": (np.zeros_like(constant), np.full_like(constant, 255)),
        "both black": (np.zeros_like(constant), np.zeros_like(constant)),
        "both white": (np.full_like(constant, 255), np.full_like(constant, 255)),
        "inverted board": (board, 255 - board),
        "odd size": (noise[0, :61, :47], noise[1, :61, :47]),
        "one window": (noise[0, :11, :11], noise[1, :11, :11]),
        "one strip and a row": (noise[0, :75, :20], noise[1, :75, :20]),
        "view": (noise[0, ::-1, ::-1], noise[1, ::-1, ::-1]),
    }


@pytest.mark.parametrize("name", frame_pairs())
def test_equals_scikit_image(name: str) -> None:
    prediction, truth = (frame[None] for frame in frame_pairs()[name])
    x, y = (cv2.cvtColor(np.ascontiguousarray(frame[0]), cv2.COLOR_RGB2GRAY) for frame in (prediction, truth))
    assert ssim_uniform(prediction, truth)[0] == pytest.approx(structural_similarity(x, y), abs=1e-12)
    assert ssim_gaussian(prediction, truth)[0] == pytest.approx(structural_similarity(x, y, **WANG), abs=1e-11)


def test_uniform_equals_scikit_image_at_the_protocols_size() -> None:
    random = np.random.default_rng(6)
    truth = cv2.GaussianBlur(random.integers(0, 256, (512, 512, 3), dtype=np.uint8), (9, 9), 2)
    prediction = np.clip(truth + random.normal(0, 12, truth.shape), 0, 255).astype(np.uint8)
    x, y = cv2.cvtColor(prediction, cv2.COLOR_RGB2GRAY), cv2.cvtColor(truth, cv2.COLOR_RGB2GRAY)
    assert ssim_uniform(prediction[None], truth[None])[0] == pytest.approx(structural_similarity(x, y), abs=1e-12)
    assert ssim_gaussian(prediction[None], truth[None])[0] == pytest.approx(
        structural_similarity(x, y, **WANG), abs=1e-11
    )


def test_value_of_one_window_by_hand() -> None:
    # One 7 x 7 window, 25 pixels a and 24 pixels b, so means, sample variances and covariance are plain fractions.
    x, y = np.full(49, 10), np.full(49, 40)
    x[:25], y[:25] = 30, 50
    mean_x, mean_y = (25 * 30 + 24 * 10) / 49, (25 * 50 + 24 * 40) / 49
    spread = 25 * 24 / 49 / 48
    variance_x, variance_y, covariance = 20**2 * spread, 10**2 * spread, 20 * 10 * spread
    c1, c2 = 2.55**2, 7.65**2
    expected = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    expected /= (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    frames = [grey(v.reshape(7, 7).astype(np.uint8))[None] for v in (x, y)]
    assert ssim_uniform(*frames)[0] == pytest.approx(expected, rel=1e-13)


def test_meaning() -> None:
    pairs = frame_pairs()
    for metric in (ssim_uniform, ssim_gaussian):
        values = {name: metric(p[None], t[None])[0] for name, (p, t) in pairs.items()}
        assert values["identical"] == values["both white"] == pytest.approx(1, abs=1e-14)
        assert values["inverted board"] < -0.9
        assert values["black and white"] < 1e-3
        assert abs(values["unrelated"]) < 0.05 < values["smooth and noisy"] < 1


def test_luma_equals_opencv_on_every_colour() -> None:
    colours = np.indices((256, 256, 256), dtype=np.uint8).reshape(3, 4096, 4096).transpose(1, 2, 0)
    np.testing.assert_array_equal(luma(colours[None])[0], cv2.cvtColor(colours.copy(), cv2.COLOR_RGB2GRAY))


def test_luma_by_hand() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [1, 2, 3], [255, 255, 255]]], np.uint8)
    expected = [(9798 * int(r) + 19235 * int(g) + 3735 * int(b) + 16384) // 32768 for r, g, b in colours[0]]
    assert luma(colours[None]).tolist() == [[expected]] == [[[76, 150, 29, 2, 255]]]


def test_luma_of_pillow_is_another() -> None:
    frame = np.random.default_rng(7).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    differing = np.count_nonzero(luma(frame[None])[0] != np.asarray(Image.fromarray(frame).convert("L")))
    assert 100 < differing < 5000


def test_small_frames_are_refused() -> None:
    frames = np.zeros((1, 6, 20, 3), np.uint8)
    with pytest.raises(ValueError, match="smaller than the 7 x 7 window"):
        ssim_uniform(frames, frames)
    frames = np.zeros((1, 20, 10, 3), np.uint8)
    with pytest.raises(ValueError, match="smaller than the 11 x 11 window"):
        ssim_gaussian(frames, frames)


def test_other_frames_are_refused() -> None:
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    with pytest.raises(ValueError, match="must be uint8"):
        ssim_gaussian(frames / 255, frames)
    with pytest.raises(ValueError, match="one shape"):
        ssim_uniform(frames, frames[:1])


@pytest.mark.slow
def test_is_much_faster_than_scikit_image() -> None:
    prediction, truth = np.random.default_rng(8).integers(0, 256, (2, 5, 512, 512, 3), dtype=np.uint8)
    x, y = luma(prediction), luma(truth)

    def best(work) -> float:
        durations = []
        for _ in range(5):
            start = time.perf_counter()
            work()
            durations.append(time.perf_counter() - start)
        return min(durations)

    theirs = best(lambda: [structural_similarity(a, b, **WANG) for a, b in zip(x, y, strict=True)])
    assert best(lambda: ssim_gaussian(prediction, truth)) < theirs / 2
    theirs = best(lambda: [structural_similarity(a, b) for a, b in zip(x, y, strict=True)])
    assert best(lambda: ssim_uniform(prediction, truth)) < theirs / 2
