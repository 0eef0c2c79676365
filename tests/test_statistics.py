"""Intervals and tests against closed forms and brute force, and by simulation that they hold what they claim."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

from mcbench.metrics import frechet_distance, kernel_distance, pair_matrix
from mcbench.metrics.frechet import frechet_leave_one_out
from mcbench.statistics import (
    FRECHET_NOTE,
    Estimate,
    frechet_estimate,
    holm,
    jackknife_difference,
    kernel_estimate,
    kernel_leave_one_out,
    mean_over_videos,
    paired_difference,
    pooled_mean,
    sign_flip_kernel_test,
    sign_flip_test,
    split_half,
)

Videos = list[np.ndarray]


def videos_of(random: np.random.Generator, videos: int, n: int, d: int, shift: float = 0.0) -> tuple[Videos, Videos]:
    """Predictions and truths. Vectors of a video share a part, so do a prediction and its truth; 0 apart at shift 0."""
    x, y = [], []
    for _ in range(videos):
        shared = random.normal(size=(1, d)) * 0.5
        for side, offset in ((x, shift), (y, 0.0)):
            side.append(shared + random.normal(size=(1, d)) * 0.7 + random.normal(size=(n, d)) + offset)
    return x, y


# Mean over videos


def test_mean_over_videos_is_students_t() -> None:
    # Student's t by SciPy's one-sample interval.
    values = [0.71, 0.69, 0.80, 0.66, 0.75]
    estimate = mean_over_videos(values)
    interval = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert estimate.value == pytest.approx(np.mean(values), rel=1e-14)
    assert estimate.std_error == pytest.approx(scipy.stats.sem(values), rel=1e-13)
    assert estimate.interval == pytest.approx((interval.low, interval.high), rel=1e-12)
    assert estimate.reason is estimate.interval_reason is estimate.interval_note is None


def test_too_few_videos_have_no_interval_and_say_so() -> None:
    assert mean_over_videos([1.0, 3.0]) == Estimate(2.0, interval_reason="an interval needs 3 videos, there are 2")
    assert pooled_mean([1.0, 3.0], [1, 1]) == Estimate(2.0, interval_reason="an interval needs 3 videos, there are 2")
    assert mean_over_videos([1.0, 3.0, 2.0]).interval is not None
    assert mean_over_videos([]) == pooled_mean([], []) == Estimate(None, reason="no video has a value")


def test_numbers_that_are_none_are_refused() -> None:
    for values in ([1.0, np.nan], [np.inf], [[1.0]]):
        with pytest.raises(ValueError, match="one finite number a video"):
            mean_over_videos(values)
    with pytest.raises(ValueError, match="same videos"):
        pooled_mean([1.0, 2.0], [1])
    with pytest.raises(ValueError, match="no count be negative"):
        pooled_mean([1.0, 2.0], [1, -1])


# Pooled mean


def test_pooled_mean_weighs_frames() -> None:
    assert pooled_mean([10.0, 90.0, 40.0], [10, 30, 10]).value == pytest.approx(140 / 50)


def test_pooled_mean_is_the_jackknife_by_brute_force() -> None:
    random = np.random.default_rng(1)
    counts = random.integers(5, 50, 9)
    sums = random.normal(20, 3, 9) * counts
    without = np.array([np.delete(sums, v).sum() / np.delete(counts, v).sum() for v in range(9)])
    error = np.sqrt(8 / 9 * np.sum((without - without.mean()) ** 2))
    estimate = pooled_mean(sums, counts)
    assert estimate.std_error == pytest.approx(error, rel=1e-12)
    reach = scipy.stats.t.ppf(0.975, 8) * error
    assert estimate.interval == pytest.approx((estimate.value - reach, estimate.value + reach), rel=1e-12)


def test_pooled_mean_of_equal_lengths_is_the_mean_over_videos() -> None:
    # For equal counts the jackknife of the ratio is the standard error of the mean, exactly.
    means = np.random.default_rng(2).normal(20, 3, 7)
    pooled, plain = pooled_mean(means * 12, np.full(7, 12)), mean_over_videos(means)
    assert (pooled.value, pooled.std_error) == pytest.approx((plain.value, plain.std_error), rel=1e-12)
    assert pooled.interval == pytest.approx(plain.interval, rel=1e-12)


def test_videos_without_frames_do_not_count() -> None:
    assert pooled_mean([4.0, 0.0, 9.0, 8.0], [2, 0, 3, 2]) == pooled_mean([4.0, 9.0, 8.0], [2, 3, 2])


def coverage(estimate, draws: int, truth: float) -> float:
    return float(np.mean([e.interval[0] <= truth <= e.interval[1] for e in (estimate() for _ in range(draws))]))


def check_coverage_of_pairwise_intervals(draws: int, tolerance: float) -> None:
    random = np.random.default_rng(3)

    def pooled() -> Estimate:
        counts = random.integers(80, 300, 20)
        return pooled_mean(counts * random.normal(18, 2, 20), counts)

    assert coverage(lambda: mean_over_videos(random.normal(18, 2, 20)), draws, 18) == pytest.approx(0.95, abs=tolerance)
    assert coverage(pooled, draws, 18) == pytest.approx(0.95, abs=tolerance)


def test_pairwise_intervals_cover() -> None:
    check_coverage_of_pairwise_intervals(800, 0.03)


@pytest.mark.slow
def test_pairwise_intervals_cover_in_many_runs() -> None:
    # The jackknife of a ratio is approximate: its coverage at 20 videos of very unequal length is near 94%.
    check_coverage_of_pairwise_intervals(20_000, 0.012)


# Fréchet


def test_frechet_estimate_is_the_jackknife_of_the_pooled_distance() -> None:
    x, y = videos_of(np.random.default_rng(4), 9, 5, 12, shift=0.3)
    estimate = frechet_estimate(x, y)
    assert estimate.value == frechet_distance(np.concatenate(x), np.concatenate(y))
    without = np.array(
        [frechet_distance(np.concatenate(x[:v] + x[v + 1 :]), np.concatenate(y[:v] + y[v + 1 :])) for v in range(9)]
    )
    error = np.sqrt(8 / 9 * np.sum((without - without.mean()) ** 2))
    assert estimate.std_error == pytest.approx(error, rel=1e-6)
    reach = scipy.stats.t.ppf(0.975, 8) * error
    assert estimate.interval == pytest.approx((estimate.value - reach, estimate.value + reach), rel=1e-6)
    assert estimate.interval_note == FRECHET_NOTE


def test_frechet_estimate_of_the_truth_is_exactly_0() -> None:
    _, y = videos_of(np.random.default_rng(5), 8, 4, 10)
    estimate = frechet_estimate(y, [v.copy() for v in y])
    assert (estimate.value, estimate.std_error, estimate.interval) == (0.0, 0.0, (0.0, 0.0))


def test_frechet_estimate_says_why_it_gives_nothing() -> None:
    x, y = videos_of(np.random.default_rng(6), 8, 4, 10)
    seven = frechet_estimate(x[:7], y[:7])
    assert seven.interval is seven.std_error is None
    assert seven.value is not None
    assert seven.interval_reason == "an interval needs 8 videos, there are 7"

    one = frechet_estimate([x[0][:1]], [y[0][:1]])
    assert one.value is None
    assert one.reason == "a Fréchet distance needs two feature vectors on each side, there are 1 and 1"
    assert frechet_estimate([], []) == Estimate(None, reason="no video has features")
    assert frechet_estimate([x[0][:0]], [y[0][:0]]) == Estimate(None, reason="no video has features")

    broken = frechet_estimate([*x[:7], x[7] * np.nan], y)
    assert broken.value is None
    assert "NaN" in str(broken.reason)


def test_videos_without_windows_do_not_count() -> None:
    x, y = videos_of(np.random.default_rng(7), 8, 4, 10)
    empty = np.empty((0, 10))
    assert frechet_estimate([*x, empty], [*y, empty]) == frechet_estimate(x, y)
    assert frechet_estimate([*x[:7], empty], [*y[:7], empty]).interval_reason is not None


def test_all_features_in_one_video_leave_no_spread() -> None:
    random = np.random.default_rng(8)
    x = [random.normal(size=(1, 4)) for _ in range(8)]
    # Eight videos of one vector each: seven are left. Two videos that matter: without one of them, one vector is.
    assert frechet_estimate(x, x[::-1]).interval is not None
    few = [x[0], *[np.empty((0, 4))] * 7, x[1]]
    assert frechet_estimate(few, few[::-1]).interval_reason == "an interval needs 8 videos, there are 2"


# Split half


def test_split_half_splits_by_video_and_is_deterministic() -> None:
    _, y = videos_of(np.random.default_rng(9), 10, 6, 8)
    value = split_half(y)
    assert value == split_half([v.copy() for v in y])
    assert value != split_half(y, seed=1)
    # Videos that are all alike inside, and unlike each other: a split by frame would come out near 0.
    random = np.random.default_rng(10)
    unlike = [random.normal(size=(1, 8)) * 5 + random.normal(size=(40, 8)) * 0.1 for _ in range(6)]
    frames = np.random.default_rng(11).permutation(np.concatenate(unlike))
    assert split_half(unlike) > 5 * frechet_distance(frames[:120], frames[120:])


def test_split_half_of_two_videos_is_their_distance() -> None:
    _, y = videos_of(np.random.default_rng(12), 2, 6, 3)
    assert split_half(y) == pytest.approx(frechet_distance(*y), rel=1e-9)


def test_split_half_is_the_mean_over_all_splits_in_the_long_run() -> None:
    _, y = videos_of(np.random.default_rng(13), 4, 5, 3)
    pairs = [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]
    expected = np.mean([frechet_distance(*(np.concatenate([y[v] for v in half]) for half in pair)) for pair in pairs])
    assert split_half(y, splits=3000) == pytest.approx(expected, rel=0.05)


def test_split_half_needs_two_halves() -> None:
    _, y = videos_of(np.random.default_rng(14), 2, 6, 3)
    assert split_half(y[:1]) is None
    assert split_half([]) is None
    assert split_half([y[0][:1], y[1]]) is None
    assert split_half([y[0], np.empty((0, 3))]) is None


def test_split_half_draws_the_same_splits_on_every_machine() -> None:
    # Golden value of the 20 splits of the default seed, from the one-dimensional closed form, NumPy 2.4.
    videos = [np.array([[v], [v * v]], dtype=float) for v in range(8)]
    assert split_half(videos) == pytest.approx(106.72770420901523, rel=1e-9)


# Kernel distance


def test_kernel_leave_one_out_equals_brute_force() -> None:
    x, y = videos_of(np.random.default_rng(15), 9, 3, 5, shift=0.3)
    h = pair_matrix(x, y)
    expected = [kernel_distance(np.delete(np.delete(h, v, 0), v, 1)) for v in range(9)]
    np.testing.assert_allclose(kernel_leave_one_out(h), expected, rtol=1e-10)
    estimate = kernel_estimate(h)
    error = np.sqrt(8 / 9 * np.sum((expected - np.mean(expected)) ** 2))
    assert estimate.value == kernel_distance(h)
    assert estimate.std_error == pytest.approx(error, rel=1e-9)
    assert estimate.interval is not None
    assert sum(estimate.interval) / 2 == pytest.approx(estimate.value, rel=1e-9)


def test_kernel_estimate_says_why_it_gives_nothing() -> None:
    x, y = videos_of(np.random.default_rng(16), 7, 3, 5)
    h = pair_matrix(x, y)
    assert kernel_estimate(h).value == kernel_distance(h)
    assert kernel_estimate(h).interval_reason == "an interval needs 8 videos, there are 7"
    for single in (h[:1, :1], h[:0, :0]):
        assert kernel_estimate(single).value is None
        assert "different videos" in str(kernel_estimate(single).reason)


def test_kernel_estimate_of_the_truth_is_exactly_0() -> None:
    _, y = videos_of(np.random.default_rng(17), 8, 3, 5)
    estimate = kernel_estimate(pair_matrix(y, y))
    assert (estimate.value, estimate.std_error, estimate.interval) == (0.0, 0.0, (0.0, 0.0))


def kernel_intervals(draws: int, shift: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    pairs = (videos_of(random, 20, 4, 6, shift) for _ in range(draws))
    return np.array([kernel_estimate(pair_matrix(x, y)).interval for x, y in pairs])


def check_kernel_interval(draws: int, seed: int) -> None:
    slack = 3 * np.sqrt(0.95 * 0.05 / draws)
    at_zero = kernel_intervals(draws, 0.0, seed)
    assert np.mean((at_zero[:, 0] <= 0) & (at_zero[:, 1] >= 0)) >= 0.95 - slack
    # Away from 0 the true distance is taken from the mean of the intervals' middles, which is unbiased.
    away = kernel_intervals(draws, 1.0, seed + 1)
    truth = away.mean()
    assert truth > 0
    assert 0.92 - slack <= np.mean((away[:, 0] <= truth) & (away[:, 1] >= truth)) <= 0.97 + slack


def test_kernel_interval_holds() -> None:
    check_kernel_interval(60, 18)


@pytest.mark.slow
def test_kernel_interval_holds_in_many_runs() -> None:
    check_kernel_interval(1000, 19)


# Sign flips


def test_sign_flip_test_equals_enumeration() -> None:
    differences = np.random.default_rng(20).normal(0.4, 1, 9)
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((-1, 1), repeat=9)]
    expected = np.mean(np.array(sums) >= abs(differences.sum()) - 1e-12)
    assert sign_flip_test(differences) == pytest.approx(expected, abs=1e-15)
    assert sign_flip_test(-differences) == sign_flip_test(differences)


def test_sign_flip_test_at_its_ends() -> None:
    # All videos agree: only the two extreme signs of 2^V are as large.
    assert sign_flip_test([0.3, 0.1, 0.2, 0.5, 0.4, 0.6]) == 2 / 2**6
    assert sign_flip_test([0.1] * 14) == 2 / 2**14
    assert sign_flip_test([0.0] * 6) == 1.0
    assert sign_flip_test([1.0]) == 1.0
    # Drawn signs: p is never 0, and the observed signs count.
    assert sign_flip_test([0.1] * 40) == pytest.approx(1 / 20_001)
    assert sign_flip_test([0.0] * 40) == 1.0
    with pytest.raises(ValueError, match="needs a video"):
        sign_flip_test([])


def test_drawn_signs_agree_with_enumeration_and_with_themselves() -> None:
    differences = np.random.default_rng(21).normal(0.35, 1, 15)
    sums = np.abs(np.array(list(itertools.product((-1.0, 1.0), repeat=15))) @ differences)
    exact = np.mean(sums >= abs(differences.sum()) - 1e-12)
    assert sign_flip_test(differences) == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))
    assert sign_flip_test(differences) == sign_flip_test(differences.copy())


def test_sign_flip_kernel_test_equals_exchanging_features() -> None:
    # Not through h's signs: prediction and truth are exchanged and h is computed anew.
    x, y = videos_of(np.random.default_rng(22), 5, 3, 4, shift=0.6)
    observed = kernel_distance(pair_matrix(x, y))
    values = []
    for flips in itertools.product((False, True), repeat=5):
        sides = [(b, a) if flip else (a, b) for a, b, flip in zip(x, y, flips, strict=True)]
        values.append(kernel_distance(pair_matrix([a for a, _ in sides], [b for _, b in sides])))
    assert sign_flip_kernel_test(pair_matrix(x, y)) == np.mean(np.array(values) >= observed - 1e-12)


def test_sign_flip_kernel_test_finds_a_difference_and_none_in_the_truth() -> None:
    random = np.random.default_rng(23)
    x, y = videos_of(random, 20, 4, 6, shift=1.0)
    assert sign_flip_kernel_test(pair_matrix(x, y)) < 0.001
    assert sign_flip_kernel_test(np.zeros((20, 20))) == 1.0
    assert sign_flip_kernel_test(np.zeros((8, 8))) == 1.0


def check_rejections(draws: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    slack = 3 * np.sqrt(0.05 * 0.95 / draws)
    pairwise = [sign_flip_test(random.normal(size=10)) <= 0.05 for _ in range(draws)]
    assert np.mean(pairwise) == pytest.approx(0.05, abs=slack)
    kernel = []
    for _ in range(draws):
        x, y = videos_of(random, 10, 3, 4)
        kernel.append(sign_flip_kernel_test(pair_matrix(x, y)) <= 0.05)
    assert np.mean(kernel) == pytest.approx(0.05, abs=slack)


def test_sign_flips_reject_as_often_as_they_should() -> None:
    check_rejections(120, 24)


@pytest.mark.slow
def test_sign_flips_reject_as_often_as_they_should_in_many_runs() -> None:
    check_rejections(3000, 25)


# Comparisons


def test_paired_difference_of_means() -> None:
    random = np.random.default_rng(26)
    a, b = random.normal(20, 2, 12), random.normal(19, 2, 12)
    comparison = paired_difference(a, b)
    interval = scipy.stats.ttest_rel(a, b).confidence_interval(0.95)
    assert comparison.difference == pytest.approx(np.mean(a - b), rel=1e-13)
    assert comparison.interval == pytest.approx((interval.low, interval.high), rel=1e-10)
    assert comparison.p_value == sign_flip_test(a - b)
    assert comparison.reason is None


def test_paired_difference_of_pooled_means() -> None:
    random = np.random.default_rng(27)
    counts = np.array([10, 30, 0, 20, 15, 25, 40])
    a, b = random.normal(20, 2, 7) * counts, random.normal(19, 2, 7) * counts
    comparison = paired_difference(a, b, counts)
    assert comparison.difference == pytest.approx(pooled_mean(a, counts).value - pooled_mean(b, counts).value)
    assert comparison.interval == pooled_mean(a - b, counts).interval
    assert comparison.p_value == sign_flip_test(np.delete(a - b, 2))


def test_few_videos_say_that_nothing_can_be_concluded() -> None:
    five = paired_difference([1.0] * 5, [2.0] * 5)
    assert (five.difference, five.interval, five.p_value) == (-1.0, None, None)
    assert five.reason == "nothing can be concluded from 5 videos, a comparison needs 6"
    assert paired_difference([1.0] * 6, [2.0] * 6).p_value == 2 / 2**6
    pooled = paired_difference([1.0] * 6, [2.0] * 6, [1, 1, 1, 1, 1, 0])
    assert pooled.p_value is None
    seven = jackknife_difference(1.0, [1.0] * 7, 2.0, [2.0] * 7)
    assert (seven.difference, seven.interval, seven.p_value) == (-1.0, None, None)
    assert seven.reason == "nothing can be concluded from 7 videos, a comparison needs 8"


def test_unequal_videos_are_refused() -> None:
    with pytest.raises(ValueError, match="the same videos, there are 3 and 2"):
        paired_difference([1.0] * 3, [1.0] * 2)
    with pytest.raises(ValueError, match="the same videos, there are 9 and 8"):
        jackknife_difference(1.0, [1.0] * 9, 1.0, [1.0] * 8)


def test_jackknife_difference_of_means_is_the_paired_t_test() -> None:
    # For a mean the jackknife is exact, so p and interval are those of the paired t-test.
    random = np.random.default_rng(28)
    a, b = random.normal(3, 1, 11), random.normal(2.5, 1, 11)
    without_a, without_b = ((v.sum() - v) / 10 for v in (a, b))
    comparison = jackknife_difference(a.mean(), without_a, b.mean(), without_b)
    expected = scipy.stats.ttest_rel(a, b)
    assert comparison.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    interval = expected.confidence_interval(0.95)
    assert comparison.interval == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_jackknife_difference_of_a_method_with_itself_is_nothing() -> None:
    x, y = videos_of(np.random.default_rng(29), 9, 4, 6, 0.5)
    value, without = frechet_distance(np.concatenate(x), np.concatenate(y)), frechet_leave_one_out(x, y)
    comparison = jackknife_difference(value, without, value, without)
    assert (comparison.difference, comparison.interval, comparison.p_value) == (0.0, (0.0, 0.0), 1.0)


def test_jackknife_difference_finds_the_worse_method() -> None:
    random = np.random.default_rng(30)
    x, y = videos_of(random, 20, 4, 6, 0.3)
    worse = [v + 1.0 for v in x]
    h, h_worse = pair_matrix(x, y), pair_matrix(worse, y)
    kernel = jackknife_difference(
        kernel_distance(h), kernel_leave_one_out(h), kernel_distance(h_worse), kernel_leave_one_out(h_worse)
    )
    assert kernel.difference < 0
    assert kernel.p_value < 0.01
    values = [frechet_distance(np.concatenate(v), np.concatenate(y)) for v in (x, worse)]
    frechet = jackknife_difference(values[0], frechet_leave_one_out(x, y), values[1], frechet_leave_one_out(worse, y))
    assert frechet.interval[1] < 0
    assert frechet.p_value < 0.01


# Holm


def test_holm_by_hand() -> None:
    # Holm 1979: sorted p times 4, 3, 2, 1, made monotone, at most 1.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_leaves_out_what_says_nothing() -> None:
    assert holm([0.01, None, 0.04]) == pytest.approx([0.02, None, 0.04])
    assert holm([None]) == [None]


def test_holm_lies_between_the_values_and_bonferroni() -> None:
    p_values = np.random.default_rng(31).random(20) ** 3
    adjusted = np.array(holm(list(p_values)))
    assert (adjusted >= p_values).all()
    assert (adjusted <= np.minimum(1, 20 * p_values)).all()
    assert (np.diff(adjusted[np.argsort(p_values)]) >= 0).all()
