"""Sentences say what the corrected p says, no more and no less."""

from __future__ import annotations

from dataclasses import replace

import pytest
from compare_samples import world

from mcbench.compare import Comparisons, Pair, compare_results, conclude, standing
from mcbench.compare.words import format_p

FEW = "nothing can be concluded from 5 videos, a comparison needs 6"


def pair(metric: str, difference: float | None, p_holm: float | None, **more: object) -> Pair:
    """Of a and b, under mcbench@1, on 20 videos; p before correction is a third of the corrected one."""
    interval = None if p_holm is None else (difference - 1.0, difference + 1.0)  # type: ignore[operator]
    p = None if p_holm is None else p_holm / 3
    return Pair("a", "b", "mcbench@1", metric, difference, interval, p, p_holm, (9, 9, 2), videos=20, **more)  # type: ignore[arg-type]


def said(*pairs: Pair) -> list[str]:
    return conclude(Comparisons({}, pairs), "a", "b", "mcbench@1")


def test_a_claim_follows_the_corrected_p_and_names_the_better_one() -> None:
    assert said(pair("psnr", 1.0, 0.012), pair("l1", -0.1, 0.05), pair("fvd", 30.0, 0.001)) == [
        "a is better than b in PSNR and L1 (corrected p at most 0.050).",
        "b is better than a in FVD (corrected p at most 0.001).",
    ]


def test_an_uncorrected_p_claims_nothing() -> None:
    missed = pair("psnr", 1.0, 0.06)
    assert missed.p_value == pytest.approx(0.02)
    (sentence,) = said(missed)
    assert sentence.startswith("In PSNR no difference can be claimed from 20 videos. That does not make the two equal")
    assert "better" not in sentence


def test_nothing_found_is_not_called_equal_but_equal_videos_are() -> None:
    equal = replace(pair("ssim", 0.0, 1.0), interval=(0.0, 0.0), wins=(0, 0, 20))
    assert said(equal)[0] == "In SSIM the two are equal, video by video."
    assert "no difference can be claimed" in said(replace(equal, interval=(-0.1, 0.1)))[0]


def test_reasons_are_said_once() -> None:
    assert said(pair("psnr", 1.0, None, reason=FEW), pair("l1", 1.0, None, reason=FEW)) == [f"PSNR and L1: {FEW}."]


def test_tests_that_could_not_have_told_anything_say_so() -> None:
    few = [replace(pair(metric, 1.0, 0.07), videos=8) for metric in ("psnr", "ssim", "lpips", "l1", "l1_characters")]
    features = [replace(pair(metric, 1.0, 0.5), videos=8, wins=None) for metric in ("fid", "fvd")]
    assert len(said(*few, *features)) == 2
    told = said(*few, *features)[-1]
    # 2 / 2^8 is 0.0078; times 7 tests 0.055.
    assert "With 8 videos a sign-flip test gives no p below 0.008, which is 0.055 once corrected for 7 tests" in told
    assert "PSNR, SSIM, LPIPS, L1 and L1 chars. Compare fewer results at once, or on more videos." in told
    assert len(said(*few, features[0])) == 1  # 6 tests: 0.047 is within reach


def test_p_is_never_0_and_never_rounded_onto_the_level() -> None:
    assert [format_p(p) for p in (1e-9, 0.001, 0.05, 0.0502, 0.0511, 1.0)] == [
        "<0.001", "0.001", "0.050", ">0.050", "0.051", "1.000"
    ]  # fmt: skip


def test_standing_names_the_best_and_who_is_level_with_it() -> None:
    drawn = world(1, videos=14)
    results = [
        drawn.result(drawn.measure(better), name, ["mcbench@1"])
        for name, better in (("bad", 0.0), ("good", 3.0), ("other", 2.9))
    ]
    found = {item.metric: item for item in standing(compare_results(results), "mcbench@1")}
    for metric in ("psnr", "ssim", "lpips", "l1"):
        assert {found[metric].best, *found[metric].level_with} == {"good", "other"}
        values = [result.protocols["mcbench@1"].metrics[metric].value for result in results]
        assert found[metric].value == (max if metric in ("psnr", "ssim") else min)(values)
    # No measurements: distances have a best value, and nothing that tells it from the others.
    assert len(found["fvd"].level_with) == 2
