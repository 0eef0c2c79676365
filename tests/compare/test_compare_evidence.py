"""A measurement is behind a result only if all that the result says of its clip follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from compare_samples import world

from mcbench.compare.evidence import is_behind
from mcbench.measurement import Measurement, Plan
from mcbench.protocol import DISCO_LEGACY, PROTOCOLS


def with_array(item: Measurement, name: str, change: float) -> Measurement:
    return replace(item, arrays={**item.arrays, name: item.arrays[name] + change})


def test_a_result_is_made_of_its_own_measurements_and_of_no_others() -> None:
    drawn = world(1, videos=3)
    mine, other = drawn.measure(), drawn.measure()
    result = drawn.result(mine)
    for item, again in zip(mine, other, strict=True):
        assert is_behind(item, result)
        assert not is_behind(again, result)


def test_what_was_measured_for_more_protocols_is_behind_each() -> None:
    drawn = world(1, videos=3)
    mine = drawn.measure()
    for id in PROTOCOLS:
        assert is_behind(mine[0], drawn.result(mine, protocols=[id]))
    narrow = replace(mine[0], plan=Plan.of([DISCO_LEGACY]))
    assert is_behind(narrow, drawn.result(mine, protocols=[DISCO_LEGACY.id]))
    assert not is_behind(narrow, drawn.result(mine))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda item: replace(item, arrays={}),
        lambda item: replace(item, clip="clip-99"),
        lambda item: replace(item, reference_frame=None),
        lambda item: with_array(item, "psnr", 1e-6),
        lambda item: with_array(item, "ssim_uniform", -1e-6),
        lambda item: with_array(item, "lpips/alexnet", 1e-6),
        lambda item: with_array(item, "absolute_error", 1e-3),
        lambda item: replace(
            item, weights={**item.weights, "alexnet": replace(item.weights["alexnet"], sha256="f" * 64)}
        ),
        lambda item: replace(item, weights={name: item.weights[name] for name in ("inception", "r3d50", "i3d")}),
    ],
    ids=["no-array", "clip", "reference", "psnr", "ssim", "lpips", "l1", "other-weights", "no-weights"],
)
def test_one_thing_that_differs_is_enough(spoil: Callable[[Measurement], Measurement]) -> None:
    drawn = world(1, videos=3)
    mine = drawn.measure()
    assert not is_behind(spoil(mine[0]), drawn.result(mine))
