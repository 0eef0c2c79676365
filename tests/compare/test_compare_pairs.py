"""Every two results: the tests of the protocol, what may be claimed, and what may not be compared at all."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from compare_samples import World, world

from mcbench.compare import Comparisons, compare_results
from mcbench.errors import ResultError, UsageError
from mcbench.measurement import Measurement
from mcbench.protocol import PROTOCOLS
from mcbench.results import Result, read_result
from mcbench.statistics import holm, sign_flip_test, smallest_p

FEATURES = ("fid", "fid_vid", "fvd", "kid", "kvd")


def two_runs(folder: Path, drawn: World, better: float = 0.0) -> tuple[Path, Path]:
    return drawn.run(folder / "first", drawn.measure(better)), drawn.run(folder / "second", drawn.measure())


def by_metric(found: Comparisons, protocol: str = "mcbench@1") -> dict[str, Any]:
    return {pair.metric: pair for pair in found.select(protocol)}


def clip_means(run: Path, metric: str, protocol: str = "mcbench@1") -> np.ndarray:
    clips = read_result(run).protocols[protocol].clips
    return np.array([getattr(clips[name], metric) for name in sorted(clips)])


# The numbers


def test_a_difference_is_that_of_the_two_results_values(tmp_path: Path) -> None:
    runs = two_runs(tmp_path, world(1, videos=9))
    found = compare_results(runs)
    first, second = (read_result(run) for run in runs)
    for id, protocol in PROTOCOLS.items():
        pairs = by_metric(found, id)
        assert list(pairs) == list(protocol.metrics)
        for metric, pair in pairs.items():
            values = [result.protocols[id].metrics[metric].value for result in (first, second)]
            assert pair.difference == pytest.approx(values[0] - values[1], rel=1e-9, abs=1e-12)
            assert (pair.a, pair.b, pair.reason) == ("first", "second", None)
            assert pair.interval[0] <= pair.difference <= pair.interval[1]
            assert 0 < pair.p_value <= pair.p_holm <= 1


@pytest.mark.parametrize("videos", [6, 8, 11])
def test_sign_flips_go_through_all_signs_of_few_videos(tmp_path: Path, videos: int) -> None:
    runs = two_runs(tmp_path, world(videos, videos=videos), better=0.8)
    found = compare_results(runs)
    differences = clip_means(runs[0], "psnr") - clip_means(runs[1], "psnr")
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((-1, 1), repeat=videos)]
    pair = by_metric(found)["psnr"]
    assert pair.p_value == np.mean(np.array(sums) >= abs(differences.sum()) - 1e-9)
    interval = scipy.stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert pair.interval == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert pair.wins == (int((differences > 0).sum()), int((differences < 0).sum()), 0)


def test_pooled_metrics_weigh_long_clips(tmp_path: Path) -> None:
    drawn = world(2, videos=8, frames=(17, 90))
    measured = [drawn.measure(), drawn.measure()]
    found = compare_results([drawn.run(tmp_path / name, m) for name, m in zip("ab", measured, strict=True)])
    sums = np.array([[item.arrays["ssim_uniform"].sum() for item in sorted(m, key=lambda i: i.clip)] for m in measured])
    frames = np.array([item.frames for item in measured[0]])
    differences = sums[0] - sums[1]
    pair = by_metric(found, "disco-legacy@1")["ssim"]
    assert pair.difference == pytest.approx(differences.sum() / frames.sum(), rel=1e-9)
    flips = [abs(np.dot(signs, differences)) for signs in itertools.product((-1, 1), repeat=8)]
    assert pair.p_value == np.mean(np.array(flips) >= abs(differences.sum()) - 1e-9)


def test_a_feature_metric_is_t_on_the_jackknife_of_the_difference(tmp_path: Path) -> None:
    drawn = world(3, videos=9)
    measured = [drawn.measure(offset=0.6), drawn.measure(offset=0.3)]
    found = compare_results([drawn.run(tmp_path / name, m) for name, m in zip("ab", measured, strict=True)])

    def fvd(of: list[Measurement], without: str) -> float | None:
        left = drawn.result([item for item in of if item.clip != without], "x", ["mcbench@1"])
        return left.protocols["mcbench@1"].metrics["fvd"].value

    # By hand: whole results without one clip.
    values = [[fvd(of, item.clip) for of in measured] for item in measured[0]]
    left_out = np.subtract(*np.array(values).T)
    error = np.sqrt(8 / 9 * np.sum((left_out - left_out.mean()) ** 2))
    pair = by_metric(found)["fvd"]
    assert pair.p_value == pytest.approx(2 * scipy.stats.t.sf(abs(pair.difference) / error, 8), rel=1e-5)
    reach = scipy.stats.t.ppf(0.975, 8) * error
    assert pair.interval == pytest.approx((pair.difference - reach, pair.difference + reach), rel=1e-5)
    assert pair.wins is None


def test_holm_is_over_the_metrics_of_one_protocol_and_all_pairs(tmp_path: Path) -> None:
    drawn = world(4, videos=8)
    found = compare_results([drawn.run(tmp_path / name, drawn.measure()) for name in "abc"])
    for id, protocol in PROTOCOLS.items():
        family = found.select(id)
        assert len(family) == 3 * len(protocol.metrics) == found.tests(id)
        assert [pair.p_holm for pair in family] == holm([pair.p_value for pair in family])
    assert [(pair.a, pair.b) for pair in found.select("mcbench@1")][:: len(PROTOCOLS["mcbench@1"].metrics)] == [
        ("a", "b"), ("a", "c"), ("b", "c")
    ]  # fmt: skip
    only = compare_results([tmp_path / name for name in "abc"], protocols=["mcbench@1"])
    assert only.pairs == found.select("mcbench@1")


def test_the_order_of_arguments_changes_signs_only(tmp_path: Path) -> None:
    runs = two_runs(tmp_path, world(5, videos=10, masked=True), better=0.5)
    there, back = compare_results(runs), compare_results(runs[::-1])
    assert len(there.pairs) == len(back.pairs) > 16
    for one, other in zip(there.pairs, back.pairs, strict=True):
        assert (one.metric, one.protocol, one.a, one.b) == (other.metric, other.protocol, other.b, other.a)
        assert one.difference == -other.difference
        assert one.interval == (-other.interval[1], -other.interval[0])
        assert (one.p_value, one.p_holm, one.better) == (other.p_value, other.p_holm, other.better)
        assert one.wins == (other.wins and (other.wins[1], other.wins[0], other.wins[2]))


def test_which_way_is_better_depends_on_the_metric(tmp_path: Path) -> None:
    drawn = world(6, videos=12, masked=True)
    good, bad = drawn.measure(better=4.0, offset=0.2), drawn.measure(offset=1.5)
    found = compare_results([drawn.run(tmp_path / "good", good), drawn.run(tmp_path / "bad", bad)])
    assert {pair.better for pair in found.pairs} == {"good"}
    for pair in found.pairs:
        assert (pair.difference > 0) == (pair.metric in ("psnr", "ssim"))
        assert pair.wins is None if pair.metric in FEATURES else pair.wins[0] >= 10


# Ties, and nothing to tell


def test_a_method_against_its_own_frames_is_a_tie_everywhere(tmp_path: Path) -> None:
    drawn = world(7, videos=9)
    measured = drawn.measure()
    found = compare_results([drawn.run(tmp_path / "a", measured), drawn.run(tmp_path / "b", measured)])
    for pair in found.pairs:
        assert (pair.difference, pair.interval, pair.p_value, pair.p_holm) == (0.0, (0.0, 0.0), 1.0, 1.0)
        assert pair.wins == (None if pair.metric in FEATURES else (0, 0, 9))
        assert pair.better is None


def test_equal_videos_are_ties_and_give_the_test_nothing(tmp_path: Path) -> None:
    drawn = world(8, videos=10)
    first, other = drawn.measure(), drawn.measure(better=3.0)
    second = [*first[:6], *other[6:]]
    pair = by_metric(compare_results([drawn.run(tmp_path / "a", first), drawn.run(tmp_path / "b", second)]))["psnr"]
    assert pair.wins == (0, 4, 6)
    # Four videos that agree: 2 of their 16 signs are as large, whatever the six zeros' signs are.
    assert pair.p_value == 2 / 16


@pytest.mark.parametrize("videos", [3, 4, 5, 6, 8, 20])
def test_what_few_videos_can_say(tmp_path: Path, videos: int) -> None:
    drawn = world(9, videos=videos)
    runs = drawn.run(tmp_path / "a", drawn.measure(better=30.0, offset=0.1)), drawn.run(tmp_path / "b", drawn.measure())
    pairs = by_metric(compare_results(runs))
    psnr, fvd = pairs["psnr"], pairs["fvd"]
    assert psnr.wins == (videos, 0, 0)
    assert psnr.difference > 0
    assert fvd.difference is not None
    assert psnr.p_value == (None if videos < 6 else 2 / 2**videos if videos <= 14 else 1 / 20_001)
    assert (fvd.p_value is None) == (videos < 8)
    assert (psnr.better == "a") == (videos == 20)  # at 8, 2/2^8 times 9 tests is 0.07
    assert psnr.reason == (
        None if videos >= 6 else f"nothing can be concluded from {videos} videos, a comparison needs 6"
    )


def test_the_smallest_p_is_that_of_videos_that_all_agree() -> None:
    assert [smallest_p(videos) for videos in (1, 6, 8, 14)] == [1.0, 2 / 2**6, 2 / 2**8, 2 / 2**14]
    assert smallest_p(8) == sign_flip_test(np.arange(1.0, 9.0))
    assert smallest_p(15) == pytest.approx(2 / 2**15, abs=3e-4)  # 1.2 of the 20,000 drawn signs are expected
    assert smallest_p(30) == 1 / 20_001


# Without measurements


def test_results_alone_compare_pairwise_and_say_what_features_lack(tmp_path: Path) -> None:
    runs = two_runs(tmp_path, world(10, videos=9))
    whole, alone = compare_results(runs), compare_results([runs[0], read_result(runs[1])])
    assert len(whole.pairs) == len(alone.pairs)
    for one, other in zip(whole.pairs, alone.pairs, strict=True):
        assert (one.metric, one.a, one.b) == (other.metric, other.a, other.b)
        assert other.difference == pytest.approx(one.difference, rel=1e-9)
        if one.metric in FEATURES:
            assert (other.interval, other.p_value, other.p_holm, other.wins) == (None, None, None, None)
            assert other.reason == "second has no measurements beside its result; give its run folder"
        else:
            assert (other.interval, other.p_value, other.wins) == (one.interval, one.p_value, one.wins)
            assert other.p_holm <= one.p_holm  # fewer tests


def test_the_file_of_a_run_is_as_good_as_its_folder(tmp_path: Path) -> None:
    runs = two_runs(tmp_path, world(11, videos=9))
    assert compare_results([run / "result.json" for run in runs]).pairs == compare_results(runs).pairs


def test_variants_on_masks_need_the_measurements_of_both(tmp_path: Path) -> None:
    runs = two_runs(tmp_path, world(12, videos=9, masked=True))
    pairs = by_metric(compare_results(runs))
    assert list(pairs)[-3:] == ["l1_characters", "lpips_characters", "background_motion"]
    assert pairs["lpips_characters"].p_value is not None
    lacking = by_metric(compare_results([read_result(runs[0]), runs[1]]))["l1_characters"]
    assert (lacking.difference, lacking.p_value, lacking.wins) == (None, None, None)
    assert lacking.reason == "first has no measurements on masks; give its run folder"


# What leaderboards ask


def test_indistinguishable_is_what_may_not_be_claimed() -> None:
    drawn = world(13, videos=14)
    good, other, bad = (
        drawn.result(drawn.measure(better), name, ["mcbench@1"])
        for name, better in (("good", 3.0), ("other", 2.9), ("bad", 0.0))
    )
    found = compare_results([good, other, bad])
    assert found.indistinguishable("good", "other", "mcbench@1", "psnr")
    assert not found.indistinguishable(good, bad, "mcbench@1", "psnr")
    assert not found.indistinguishable(bad, "good", "mcbench@1", "psnr")
    # What was not tested cannot be told apart either.
    assert found.indistinguishable("good", "bad", "mcbench@1", "fvd")
    with pytest.raises(KeyError, match="nobody was not compared"):
        found.indistinguishable("nobody", "bad", "mcbench@1", "psnr")
    with pytest.raises(KeyError, match="not compared in kid under disco-legacy@1"):
        found.indistinguishable("good", "bad", "disco-legacy@1", "kid")


# Labels and refusals


def test_two_results_of_one_method_are_told_by_their_paths(tmp_path: Path) -> None:
    drawn = world(14, videos=6)
    runs = [drawn.run(tmp_path / place, drawn.measure(), "fypv2") for place in ("seed-0", "seed-1")]
    assert list(compare_results(runs).results) == [f"fypv2 ({run})" for run in runs]
    assert list(compare_results([read_result(run) for run in runs]).results) == ["fypv2 (1)", "fypv2 (2)"]


def changed(result: Result, change: Callable[[dict[str, Any]], object]) -> Result:
    document = json.loads(result.to_json())
    change(document)
    return Result.model_validate(document)


def rename(document: dict[str, Any]) -> None:
    for protocol in document["protocols"].values():
        protocol["clips"] = {f"x-{name}": clip for name, clip in protocol["clips"].items()}


def lengthen(document: dict[str, Any]) -> None:
    for clip in document["protocols"]["mcbench@1"]["clips"].values():
        clip["frames"] += 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["dataset"].update(fingerprint="e" * 64),
            "not comparable: fingerprints .* and eeeeeeeeeeee differ",
        ),
        (
            lambda d: d["protocols"]["mcbench@1"]["metrics"]["lpips"].update(weights="published"),
            r"a and b, mcbench@1: lpips has other weights of alexnet, random@1 \(\w{12}\) and published",
        ),
        (
            lambda d: d["protocols"]["mcbench@1"]["metrics"]["fvd"].update(weights_sha256="e" * 64),
            r"fvd has other weights of i3d, random@1 \(\w{12}\) and random@1 \(eeeeeeeeeeee\)",
        ),
        (rename, "a and b, disco-legacy@1: different clips, as 'clip-00'"),
        (lengthen, "a and b: ssim under mcbench@1 is of different clips or frames"),
        (lambda d: d["protocols"].clear(), "a has disco-legacy@1 and mcbench@1; b has none"),
    ],
)
def test_what_may_not_be_compared_is_one_line(change: Callable[[dict[str, Any]], object], message: str) -> None:
    drawn = world(15, videos=6)
    first, second = drawn.result(drawn.measure(), "a"), drawn.result(drawn.measure(), "b")
    with pytest.raises(ResultError, match=message) as caught:
        compare_results([first, changed(second, change)])
    assert "\n" not in str(caught.value)


def test_protocols_are_never_mixed(tmp_path: Path) -> None:
    drawn = world(16, videos=6)
    old = drawn.result(drawn.measure(), "old", ["disco-legacy@1"])
    new, both = drawn.result(drawn.measure(), "new", ["mcbench@1"]), drawn.result(drawn.measure(), "both")
    assert compare_results([old, both]).protocols == ("disco-legacy@1",)
    with pytest.raises(ResultError, match="old has disco-legacy@1; new has mcbench@1; measure them under one"):
        compare_results([old, new])
    with pytest.raises(ResultError, match="no protocol that all were measured under"):
        compare_results([old, both], protocols=["mcbench@1"])
    with pytest.raises(UsageError, match="no protocol is called 'mcbench@9'"):
        compare_results([old, both], protocols=["mcbench@9"])


def test_other_datasets_and_part_of_one_are_refused() -> None:
    whole, other = world(17, videos=8), world(17, videos=8, dataset="other")
    measured = whole.measure()
    first = whole.result(measured, "a")
    with pytest.raises(ResultError, match=r"a and b: not comparable.*the data sets are 'custom' and 'other'"):
        compare_results([first, other.result(other.measure(), "b")])
    with pytest.raises(ResultError, match="8 and 7 clips of 'custom'"):
        compare_results([first, whole.result(measured[:7], "b")])


def test_one_result_or_one_twice_is_no_comparison(tmp_path: Path) -> None:
    drawn = world(18, videos=6)
    run = drawn.run(tmp_path / "a", drawn.measure())
    with pytest.raises(UsageError, match="two results or more"):
        compare_results([run])
    with pytest.raises(UsageError, match="is given twice"):
        compare_results([run, run / "result.json"])


def test_enormous_scores_give_no_infinity(tmp_path: Path) -> None:
    drawn = world(19, videos=8)

    def enormous(sign: float) -> list[Measurement]:
        measured = drawn.measure()
        for item in measured:
            item.arrays["psnr"][:] = sign * 1e99
        return measured

    found = compare_results([drawn.run(tmp_path / "a", enormous(1)), drawn.run(tmp_path / "b", enormous(-1))])
    json.dumps(found.document(), allow_nan=False)
    assert by_metric(found)["psnr"].difference == pytest.approx(2e99)


def test_the_document_has_just_these_keys(tmp_path: Path) -> None:
    runs = two_runs(tmp_path, world(20, videos=7))
    document = json.loads(json.dumps(compare_results(runs).document(), allow_nan=False))
    assert list(document) == ["pairs"]
    keys = ["a", "b", "protocol", "metric", "difference", "interval", "p_value", "p_holm", "wins"]
    for pair in document["pairs"]:
        assert list(pair) == (keys if pair["p_value"] is not None else [*keys, "reason"])
        assert (pair["wins"] is None) == (pair["metric"] in FEATURES)
    assert {pair["metric"] for pair in document["pairs"] if "reason" in pair} == set(FEATURES)
