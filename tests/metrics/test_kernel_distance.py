"""The kernel distance against its definition, and that it is unbiased where the usual estimate is not."""

from __future__ import annotations

import numpy as np
import pytest

from mcbench.metrics import kernel_distance, kid, kvd, pair_matrix


def kernel(a: np.ndarray, b: np.ndarray) -> float:
    return (sum(float(i) * float(j) for i, j in zip(a, b, strict=True)) / len(a) + 1) ** 3


def by_definition(x: list[np.ndarray], y: list[np.ndarray]) -> np.ndarray:
    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([kernel(i, j) for i in a for j in b]))

    h = np.zeros((len(x), len(x)))
    for u in range(len(x)):
        for v in range(len(x)):
            if u != v:
                h[u, v] = mean(x[u], x[v]) + mean(y[u], y[v]) - mean(x[u], y[v]) - mean(y[u], x[v])
    return h


def unbiased_within_sets(x: np.ndarray, y: np.ndarray) -> float:
    """The usual U-statistic over single vectors, as KID is mostly computed."""
    d, n = x.shape[1], len(x)
    kxx, kyy, kxy = ((a @ b.T / d + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    within = sum((k.sum() - np.trace(k)) / (n * (n - 1)) for k in (kxx, kyy))
    return float(within - 2 * (kxy.sum() - np.trace(kxy)) / (n * (n - 1)))


def draw(random: np.random.Generator, videos: int, n: int, d: int, own: float, paired: float) -> list[list[np.ndarray]]:
    """Predictions and truths of one distribution. Vectors of a video share a part, so do prediction and truth."""
    shared = [random.normal(size=(1, d)) * paired for _ in range(videos)]
    scale = np.sqrt(own**2 + 1)
    return [[(s + random.normal(size=(1, d)) * own + random.normal(size=(n, d))) / scale for s in shared] for _ in "xy"]


def test_equals_the_definition() -> None:
    random = np.random.default_rng(1)
    x = [random.normal(size=(n, 5)) for n in (3, 1, 4, 2)]
    y = [random.normal(size=(n, 5)) + 0.3 for n in (2, 3, 4, 2)]
    h = pair_matrix(x, y)
    np.testing.assert_allclose(h, by_definition(x, y), rtol=1e-10, atol=1e-13)
    np.testing.assert_array_equal(h, h.T)
    np.testing.assert_array_equal(np.diag(h), np.zeros(4))
    assert kernel_distance(h) == pytest.approx(by_definition(x, y).sum() / 12, rel=1e-10)
    assert kid(x, y) == kvd(x, y) == kernel_distance(h)


def test_the_truth_itself_is_exactly_0() -> None:
    random = np.random.default_rng(2)
    truth = [random.normal(size=(n, 33)).astype(np.float32) * 50 for n in (17, 3, 40)]
    # Copies that begin at another place in memory, in another layout and type: rounding must not show.
    buffers = [np.zeros(v.size + 1) for v in truth]
    moved = []
    for buffer, v in zip(buffers, truth, strict=True):
        buffer[1:] = v.ravel()
        moved.append(buffer[1:].reshape(v.shape))
    for prediction in (truth, moved, [np.asfortranarray(v) for v in truth]):
        np.testing.assert_array_equal(pair_matrix(prediction, truth), np.zeros((3, 3)))
        assert kernel_distance(pair_matrix(prediction, truth)) == 0.0


def test_only_what_is_wrong_in_two_videos_shows() -> None:
    random = np.random.default_rng(3)
    truth = [random.normal(size=(6, 8)) for _ in range(5)]
    prediction = [v.copy() for v in truth]
    prediction[2] += 1
    np.testing.assert_array_equal(pair_matrix(prediction, truth), np.zeros((5, 5)))
    prediction[4] += 1
    rows, columns = np.nonzero(pair_matrix(prediction, truth))
    assert list(zip(rows, columns, strict=True)) == [(2, 4), (4, 2)]
    assert kid(prediction, truth) > 0


def test_exchanging_prediction_and_truth_changes_the_sign_of_a_video() -> None:
    random = np.random.default_rng(4)
    x = [random.normal(size=(4, 6)) for _ in range(4)]
    y = [random.normal(size=(4, 6)) + 0.5 for _ in range(4)]
    h = pair_matrix(x, y)
    exchanged = pair_matrix([y[0], *x[1:]], [x[0], *y[1:]])
    signs = np.array([-1, 1, 1, 1])
    np.testing.assert_allclose(exchanged, h * np.outer(signs, signs), rtol=1e-10, atol=1e-13)


def test_order_of_videos_does_not_matter() -> None:
    random = np.random.default_rng(5)
    x = [random.normal(size=(n, 6)) for n in (2, 5, 3)]
    y = [random.normal(size=(n, 6)) for n in (2, 5, 3)]
    assert kid(x[::-1], y[::-1]) == pytest.approx(kid(x, y), rel=1e-12)


def test_more_noise_is_further() -> None:
    random = np.random.default_rng(6)
    truth = [random.normal(size=(10, 16)) for _ in range(12)]
    noise = [random.normal(size=v.shape) for v in truth]
    values = [kid([t + s * e for t, e in zip(truth, noise, strict=True)], truth) for s in (0.3, 1.0, 2.0, 4.0)]
    assert values == sorted(values)
    assert values[-1] > 0


def simulate(repetitions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Our estimate and the usual one where the true distance is 0, windows are alike, and predictions are paired."""
    random = np.random.default_rng(seed)
    ours, usual = [], []
    for _ in range(repetitions):
        x, y = draw(random, videos=10, n=6, d=8, own=1.0, paired=0.5)
        ours.append(kid(x, y))
        usual.append(unbiased_within_sets(np.concatenate(x), np.concatenate(y)))
    return np.array(ours), np.array(usual)


def check_bias(repetitions: int, seed: int) -> None:
    ours, usual = simulate(repetitions, seed)
    ours_error, usual_error = (v.std(ddof=1) / repetitions**0.5 for v in (ours, usual))
    assert abs(ours.mean()) < 3.5 * ours_error
    assert usual.mean() > 10 * usual_error
    assert ours_error < usual.mean() / 10


def test_unbiased_over_alike_windows_and_paired_predictions() -> None:
    check_bias(150, 7)


@pytest.mark.slow
def test_unbiased_over_alike_windows_and_paired_predictions_in_many_runs() -> None:
    check_bias(3000, 8)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([np.zeros((2, 3))] * 2, [np.zeros((2, 3))], "2 videos of the prediction and 1 of the truth"),
        ([np.zeros((2, 3)), np.zeros((0, 3))], [np.zeros((2, 3))] * 2, "video without features"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], [np.zeros((2, 3)), np.zeros((2, 4))], "one number of dimensions"),
        ([np.zeros((2, 3))], [np.zeros((2, 4))], "same dimensions"),
        ([np.full((2, 3), np.nan)], [np.zeros((2, 3))], "NaN"),
    ],
)
def test_senseless_features_are_refused(x: list[np.ndarray], y: list[np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pair_matrix(x, y)


def test_a_single_video_has_no_distance() -> None:
    with pytest.raises(ValueError, match="needs two of them"):
        kid([np.zeros((9, 3))], [np.ones((9, 3))])
    with pytest.raises(ValueError, match="must be square"):
        kernel_distance(np.zeros((2, 3)))
