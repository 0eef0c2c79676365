"""Fréchet distance against closed forms and SciPy's matrix square root; the leave-one-out against brute force."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.linalg

from mcbench.metrics import fid, fid_vid, frechet_distance, fvd
from mcbench.metrics.frechet import frechet_leave_one_out


def by_square_root(x: np.ndarray, y: np.ndarray) -> float:
    """The textbook formula, for covariances of full rank."""
    covariance_x, covariance_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(covariance_x @ covariance_y).real
    difference = x.mean(axis=0) - y.mean(axis=0)
    return float(difference @ difference + np.trace(covariance_x + covariance_y - 2 * root))


def videos_of(lengths: list[int], d: int, seed: int, rank: int | None = None) -> list[np.ndarray]:
    """Videos whose vectors share a part, with a spectrum that falls off."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(rank or d, d)) * np.exp(-np.arange(d) / d)
    return [(random.normal(size=(1, rank or d)) + random.normal(size=(n, rank or d))) @ mixing + 3 for n in lengths]


def test_equals_the_matrix_square_root_where_it_is_well_conditioned() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(500, 40)) @ random.normal(size=(40, 40)) + 1
    y = random.normal(size=(400, 40)) @ random.normal(size=(40, 40))
    assert frechet_distance(x, y) == pytest.approx(by_square_root(x, y), rel=1e-9)
    assert frechet_distance(x, y, quick=True) == pytest.approx(by_square_root(x, y), rel=1e-9)


def by_singular_values(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The distance from the singular values of A B^T, with nothing reduced before; and the traces."""
    difference = x.mean(axis=0) - y.mean(axis=0)
    a, b = ((side - side.mean(axis=0)) / np.sqrt(len(side) - 1) for side in (x, y))
    traces = np.sum(a * a) + np.sum(b * b)
    return float(difference @ difference + traces - 2 * scipy.linalg.svdvals(a @ b.T).sum()), float(traces)


@pytest.mark.parametrize("decay", [0.01, 0.5, 3.0, 8.0])
@pytest.mark.parametrize("silent", [0, 7])
def test_covariances_are_as_good_as_singular_values(decay: float, silent: int) -> None:
    # Spectra from nearly flat to one of which nothing but rounding is left at the end; features as of a network whose
    # units are ever silent in part.
    random = np.random.default_rng(11)
    mixing = random.normal(size=(80, 80)) * np.exp(-decay * np.arange(80) / 20)[:, None]
    x, y = (np.maximum(random.normal(size=(n, 80)) @ mixing + shift, -5) for n, shift in ((300, 0.0), (260, 0.1)))
    if silent:
        x[:, :silent], y[:, silent : 2 * silent] = 0.3, 0
    expected, traces = by_singular_values(x, y)
    assert frechet_distance(x, y) == pytest.approx(expected, abs=1e-10 * traces)
    assert frechet_distance(y, x) == pytest.approx(expected, abs=1e-10 * traces)


@pytest.mark.parametrize("floor", [1e-3, 1e-4, 1e-5, 1e-7])
@pytest.mark.parametrize("at", [0, 56])
def test_a_few_dimensions_with_nearly_all_of_the_variance(floor: float, at: int) -> None:
    # Whichever place they have among the others, whose digits they would take.
    random = np.random.default_rng(15)
    x, y = random.normal(size=(2, 300, 60)) * floor
    for side, shape in ((x, [1.0, 0.3]), (y, [1.1, 0.4])):
        side[:, at : at + 4] += (random.normal(size=(300, 2)) * shape) @ random.normal(size=(2, 4))
    expected, traces = by_singular_values(x, y)
    assert frechet_distance(x, y) == pytest.approx(expected, abs=1e-11 * traces)
    assert frechet_distance(y, x) == pytest.approx(expected, abs=1e-11 * traces)


@pytest.mark.parametrize("d", [3, 10, 40])
def test_a_dimension_that_others_give_is_none_of_its_own(d: int) -> None:
    # By rounding, half of such covariances pass for positive definite.
    for seed in range(20):
        x, y = np.random.default_rng(seed).normal(size=(2, 200, d))
        x[:, -1] = x[:, 0] + x[:, 1]
        expected, traces = by_singular_values(x, y)
        assert frechet_distance(x, y) == pytest.approx(expected, abs=1e-12 * traces)
        assert frechet_distance(y, x) == pytest.approx(expected, abs=1e-12 * traces)


@pytest.mark.parametrize("scale", [1e-90, 1e-20, 1e20, 1e90])
def test_any_scale_and_any_type(scale: float) -> None:
    x, y = np.random.default_rng(16).normal(size=(2, 100, 12)) + np.arange(12) / 9
    value = frechet_distance(x, y * 1.3)
    assert frechet_distance(x * scale, y * 1.3 * scale) == pytest.approx(value * scale**2, rel=1e-10)
    for kind in (np.float16, np.float32, np.longdouble):
        exact = frechet_distance(*((side * 4).astype(kind).astype(np.float64) for side in (x, y)))
        assert frechet_distance((x * 4).astype(kind), (y * 4).astype(kind)) == pytest.approx(exact, rel=1e-12)


def test_sets_that_are_almost_equal_keep_their_digits() -> None:
    # What covariances leave of such a distance is more than it may be off.
    random = np.random.default_rng(12)
    rotation = np.linalg.qr(random.normal(size=(60, 60)))[0]
    x = random.normal(size=(400, 60)) * np.exp(-np.arange(60) / 3.3) @ rotation
    y = x + random.normal(size=x.shape) * 0.01 * x.std(axis=0)
    expected, traces = by_singular_values(x, y)
    assert 0 < expected < 1e-3 * traces
    assert frechet_distance(x, y) == pytest.approx(expected, abs=1e-14 * traces)


def test_silent_units_do_not_cost_the_quicker_way(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(14)
    x, y = random.normal(size=(2, 200, 30))
    x[:, 3], y[:, 5:7] = 0.1, 0
    expected, _ = by_singular_values(x, y)
    monkeypatch.setattr("mcbench.metrics.frechet._nuclear_norm", None)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_a_set_of_a_few_vectors_repeated_keeps_its_digits() -> None:
    # A still picture for each clip: hundreds of frames, and a covariance of the clips' number.
    random = np.random.default_rng(13)
    truth = random.normal(size=(500, 90))
    still = np.repeat(truth[::50], 50, axis=0)
    for x, y in ((still, truth), (truth, still), (still, np.roll(still, 1, axis=1))):
        expected, traces = by_singular_values(x, y)
        assert frechet_distance(x, y) == pytest.approx(expected, abs=1e-13 * traces)


def test_closed_form_in_one_dimension() -> None:
    random = np.random.default_rng(2)
    x, y = random.normal(2, 3, (50, 1)), random.normal(-1, 0.5, (7, 1))
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-13)


def test_closed_form_at_rank_two_of_2048_dimensions() -> None:
    # Four vectors +-a e_i, +-b e_j have covariance diag(2 a^2 / 3, 2 b^2 / 3): diagonal, so its root is known.
    def cross(directions: dict[int, float], mean: float) -> np.ndarray:
        vectors = np.zeros((4, 2048))
        for row, (axis, length) in enumerate(directions.items()):
            vectors[2 * row, axis], vectors[2 * row + 1, axis] = length, -length
        return vectors + mean

    x, y = cross({0: 3.0, 5: 2.0}, 0.5), cross({0: 7.0, 9: 1.0}, 0.25)
    traces = 2 / 3 * (9 + 4 + 49 + 1)
    expected = 2048 * 0.25**2 + traces - 2 * (2 / 3 * 3 * 7)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-13)
    assert frechet_distance(x, y, quick=True) == pytest.approx(expected, rel=1e-9)


def test_closed_form_of_commuting_covariances_of_any_rank() -> None:
    # A shared orthonormal basis U, scores orthogonal with known lengths: S_x = U diag(s^2) U^T, S_y = U diag(r^2) U^T.
    random = np.random.default_rng(3)
    basis = np.linalg.qr(random.normal(size=(30, 30)))[0]
    for n, rank in ((12, 6), (80, 17), (80, 30)):
        scores = np.linalg.qr(random.normal(size=(n, rank)) - random.normal(size=(n, rank)).mean(axis=0))[0]
        scores = np.linalg.qr(scores - scores.mean(axis=0))[0]
        s, r = random.uniform(0.1, 3, (2, rank))
        x = scores * s * np.sqrt(n - 1) @ basis[:rank]
        y = np.roll(scores, 1, axis=0) * r * np.sqrt(n - 1) @ basis[:rank]
        assert frechet_distance(x, y) == pytest.approx(np.sum((s - r) ** 2), rel=1e-11)


def test_identical_sets_are_exactly_0() -> None:
    x = np.random.default_rng(4).normal(size=(100, 20)).astype(np.float32)
    assert frechet_distance(x, x.copy()) == 0.0
    assert frechet_distance(x, x.astype(np.float64)) == 0.0
    # The same set in another order is the same Gaussian, up to rounding; never below 0.
    assert 0 <= frechet_distance(x, x[::-1]) < 1e-12


def test_symmetric_and_invariant_to_rotation() -> None:
    random = np.random.default_rng(5)
    x, y = random.normal(size=(30, 50)), random.normal(size=(90, 50)) * 2
    rotation = np.linalg.qr(random.normal(size=(50, 50)))[0]
    value = frechet_distance(x, y)
    assert frechet_distance(y, x) == pytest.approx(value, rel=1e-12)
    assert frechet_distance(x @ rotation, y @ rotation) == pytest.approx(value, rel=1e-12)
    assert frechet_distance(10 * x, 10 * y) == pytest.approx(100 * value, rel=1e-12)


def test_a_shift_counts_with_its_square() -> None:
    x = np.random.default_rng(6).normal(size=(40, 16))
    assert frechet_distance(x + 0.5, x) == pytest.approx(16 * 0.25, rel=1e-12)


def test_large_means_do_not_cost_precision() -> None:
    random = np.random.default_rng(7)
    x, y = random.normal(size=(60, 10)), random.normal(size=(60, 10))
    assert frechet_distance(x + 1e6, y + 1e6) == pytest.approx(frechet_distance(x, y), rel=1e-8)


def test_more_noise_is_further() -> None:
    random = np.random.default_rng(8)
    truth = random.normal(size=(300, 32))
    values = [frechet_distance(truth + random.normal(0, s, truth.shape), truth) for s in (0.1, 0.3, 1.0, 3.0)]
    assert values == sorted(values)


def test_collapse_is_far() -> None:
    truth = np.random.default_rng(9).normal(size=(300, 32))
    collapsed = np.repeat(truth[:1] * 0 + truth.mean(axis=0), 300, axis=0)
    assert frechet_distance(collapsed, truth) == pytest.approx(np.trace(np.cov(truth, rowvar=False)), rel=1e-9)


@pytest.mark.parametrize("metric", [fid, fid_vid, fvd])
def test_metrics_pool_their_videos(metric) -> None:
    x, y = videos_of([5, 9, 2], 12, 1), videos_of([5, 9, 2], 12, 2)
    assert metric(x, y) == frechet_distance(np.concatenate(x), np.concatenate(y))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((1, 4)), np.zeros((9, 4)), "two feature vectors on each side, there are 1 and 9"),
        (np.zeros((9, 4)), np.zeros((0, 4)), "there are 9 and 0"),
        (np.zeros((9, 4)), np.full((9, 4), np.nan), "truth hold NaN"),
        (np.full((9, 4), np.inf), np.zeros((9, 4)), "prediction hold NaN or infinite"),
        (np.zeros((9, 4)), np.zeros((9, 5)), "same dimensions, not 4 and 5"),
        (np.zeros(9), np.zeros(9), "must have the shape"),
    ],
)
def test_senseless_features_are_refused(x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frechet_distance(x, y)


@pytest.mark.parametrize(
    ("lengths", "d", "rank"),
    [
        ([4, 7, 3, 9, 5], 60, None),  # fewer vectors than dimensions
        ([40, 31, 22, 50, 37], 24, None),  # more
        ([40, 31, 22, 50, 37], 24, 9),  # more, but dimensions that say nothing
        ([9, 9, 9, 4, 4], 30, None),  # more in all, fewer once a video is out
        ([90, 3, 4, 0, 5], 20, None),  # one long video, one without vectors
    ],
)
def test_leave_one_out_equals_brute_force(lengths: list[int], d: int, rank: int | None) -> None:
    x, y = videos_of(lengths, d, 1, rank), videos_of(lengths[::-1], d, 2, rank)
    expected = [
        frechet_distance(np.concatenate(x[:v] + x[v + 1 :]), np.concatenate(y[:v] + y[v + 1 :])) for v in range(5)
    ]
    np.testing.assert_allclose(frechet_leave_one_out(x, y), expected, rtol=1e-7)


def test_leave_one_out_of_equal_sets_is_exactly_0() -> None:
    x = videos_of([40, 31, 22], 24, 1)
    np.testing.assert_array_equal(frechet_leave_one_out(x, [v.copy() for v in x]), np.zeros(3))


def test_leave_one_out_needs_something_left() -> None:
    x = videos_of([5, 1], 4, 1)
    with pytest.raises(ValueError, match="two feature vectors"):
        frechet_leave_one_out(x, videos_of([5, 1], 4, 2))
    with pytest.raises(ValueError, match="two feature vectors"):
        frechet_leave_one_out(x, x)
    with pytest.raises(ValueError, match="2 videos of the prediction and 1 of the truth"):
        frechet_leave_one_out(x, x[:1])


@pytest.mark.slow
def test_faster_than_the_matrix_square_root_and_equal_to_it() -> None:
    # PROTOCOL.md: 3917 x 2048 features in 3.2 s against 24.6 s, equal to 1e-7 where the square root is good.
    lengths = [196] * 19 + [193]
    x, y = (np.concatenate(videos_of(lengths, 2048, seed)) for seed in (1, 2))
    start = time.perf_counter()
    value = frechet_distance(x, y)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    expected = by_square_root(x, y)
    theirs = time.perf_counter() - start
    assert value == pytest.approx(expected, rel=1e-6)
    assert ours < theirs / 2

    few_x, few_y = x[::16], y[::16]
    start = time.perf_counter()
    frechet_distance(few_x, few_y)
    assert time.perf_counter() - start < theirs / 20


@pytest.mark.slow
def test_is_biased_at_small_numbers_of_vectors() -> None:
    # Why a value carries its N and comes with `split_half`: two sets of one distribution are far apart at small N.
    random = np.random.default_rng(10)
    spectrum = np.exp(-np.arange(400) / 60)
    ratios = []
    for n in (20, 245, 2048):
        x, y = random.normal(size=(2, n, 400)) * np.sqrt(spectrum)
        ratios.append(frechet_distance(x, y) / spectrum.sum())
    assert ratios[0] > 0.8
    assert 0.15 < ratios[1] < 0.6
    assert ratios[2] < 0.06
