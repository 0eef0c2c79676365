"""What `compare` claims, held against worlds in which the answer is known: drawn, written to disk, read, compared.

The figures stand in docs/compare.md.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compare_samples import SCORES, World, world

from mcbench.compare import Comparisons, compare_results

pytestmark = pytest.mark.slow

LUCK = {name: spread[2] for name, spread in SCORES.items()}
"""What `World.measure(better=1)` gains in each score."""
KNOWN = {
    ("disco-legacy@1", "psnr"): LUCK["psnr_wrapped"],
    ("disco-legacy@1", "ssim"): LUCK["ssim_uniform"],
    ("disco-legacy@1", "lpips"): -LUCK["lpips/vgg16"],
    ("disco-legacy@1", "l1"): -LUCK["absolute_error"] / 512**2,
    ("mcbench@1", "psnr"): LUCK["psnr"],
    ("mcbench@1", "ssim"): LUCK["ssim_gaussian"],
    ("mcbench@1", "lpips"): -LUCK["lpips/alexnet"],
    ("mcbench@1", "l1"): -LUCK["absolute_error"] / 255,
}
KERNEL = ("kid", "kvd")
DIMENSION = 48
"""Of the features. In few dimensions the cubes of a kernel have tails that real networks, with 400 and more, lack."""


def many(
    folder: Path, runs: int, seed: int, others: Callable[[World], list], **attributes: object
) -> tuple[dict[tuple[str, str], np.ndarray], list[Comparisons]]:
    """Compare in many worlds: p, difference, low and high of the first pair by protocol and metric, (runs, 4)."""
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    calls = []
    for run in range(runs):
        drawn = world(seed * 100_000 + run, dimension=DIMENSION, **attributes)
        methods = [drawn.measure(), *others(drawn)]
        calls.append(compare_results([drawn.run(folder / "abc"[i], found) for i, found in enumerate(methods)]))
        for pair in calls[-1].pairs:
            if (pair.a, pair.b) == ("a", "b") and pair.interval is not None:
                assert pair.p_value is not None
                assert pair.difference is not None
                rows.setdefault((pair.protocol, pair.metric), []).append(
                    (pair.p_value, pair.difference, *pair.interval)
                )
    return {key: np.array(values) for key, values in rows.items()}, calls


def family_wise(calls: list[Comparisons], protocol: str) -> float:
    """How many calls claim any difference under a protocol."""
    return float(np.mean([any(pair.better for pair in call.select(protocol)) for call in calls]))


def check_rate(found: float, expected: float, runs: int) -> None:
    """Within three standard deviations of the binomial distribution."""
    assert found == pytest.approx(expected, abs=3 * np.sqrt(expected * (1 - expected) / runs))


def covered(rows: np.ndarray, truth: float) -> float:
    return float(np.mean((rows[:, 2] <= truth) & (rows[:, 3] >= truth)))


def test_methods_without_a_difference_are_told_apart_in_5_percent(tmp_path: Path) -> None:
    runs = 1000
    # The two have faults in different directions of the same length: other faults, no difference in distance.
    rows, calls = many(tmp_path, runs, 1, lambda drawn: [drawn.measure(direction=1)])
    assert len(rows) == 16
    for (_, metric), found in rows.items():
        assert len(found) == runs
        rate = float(np.mean(found[:, 0] <= 0.05))
        if metric in KERNEL:  # the jackknife overstates the spread of sums over pairs: fewer false claims, never more
            assert rate <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
        else:
            check_rate(rate, 0.05, runs)
    for protocol in ("disco-legacy@1", "mcbench@1"):
        assert family_wise(calls, protocol) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_intervals_cover_a_known_difference(tmp_path: Path) -> None:
    runs = 1000
    rows, _ = many(tmp_path, runs, 4, lambda drawn: [drawn.measure(better=-0.5, offset=0.9)])
    for key, found in rows.items():
        # Of distances the known one is their mean over the worlds: the difference at this number of videos.
        truth = 0.5 * KNOWN[key] if key in KNOWN else float(found[:, 1].mean())
        assert found[:, 1].mean() == pytest.approx(truth, abs=4 * found[:, 1].std() / np.sqrt(runs))
        assert 0.93 <= covered(found, truth) <= 0.97, key


def test_more_results_and_fewer_videos_do_not_make_more_false_claims(tmp_path: Path) -> None:
    for videos, runs, methods in ((20, 200, 3), (8, 400, 2), (6, 400, 2)):
        _, calls = many(
            tmp_path, runs, 3 + videos, lambda drawn, n=methods: [drawn.measure() for _ in range(n - 1)], videos=videos
        )
        for protocol in ("disco-legacy@1", "mcbench@1"):
            assert family_wise(calls, protocol) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
