"""Who is in front, by frames that are drawn again without one of their figures."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from figure_order import LEAST_DIFFERENCE, LEAST_SHARE, Overlap, exchanged, find_overlaps, wrong_overlaps

from mcbench import render_clip
from mcbench.datasets.synthetic import clip_specs

FRAMES = 24


@pytest.fixture(scope="module")
def drawn() -> tuple[list[np.ndarray], list[Overlap], list[np.ndarray], list[np.ndarray]]:
    """A clip of two who hug: frames, overlaps, masks, depths."""
    spec = replace(clip_specs("synthetic-mini")[1], size=64)
    frames = list(render_clip(spec))
    overlaps = list(find_overlaps(spec, range(0, FRAMES, 4)))
    return [frame.image for frame in frames], overlaps, [frame.mask for frame in frames], [f.depth for f in frames]


def test_the_truth_has_no_error_and_the_exchanged_truth_nothing_else(drawn) -> None:  # type: ignore[no-untyped-def]
    truth, overlaps, _, _ = drawn
    assert len(overlaps) >= 3
    assert wrong_overlaps(truth, overlaps) == [False] * len(overlaps)
    assert wrong_overlaps(exchanged(truth, overlaps), overlaps) == [True] * len(overlaps)


def test_an_overlap_is_where_one_figure_hides_another(drawn) -> None:  # type: ignore[no-untyped-def]
    truth, overlaps, masks, _ = drawn
    for overlap in overlaps:
        assert overlap.front != overlap.behind
        assert len(overlap.rows) >= LEAST_SHARE * 64 * 64
        assert (masks[overlap.frame][overlap.rows, overlap.columns] == overlap.front + 1).all()
        assert np.array_equal(truth[overlap.frame][overlap.rows, overlap.columns], overlap.true)
        assert np.abs(overlap.true.astype(int) - overlap.exchanged).mean() >= LEAST_DIFFERENCE


def test_only_the_overlap_is_exchanged(drawn) -> None:  # type: ignore[no-untyped-def]
    truth, overlaps, _, _ = drawn
    other = exchanged(truth, overlaps)
    changed = {overlap.frame for overlap in overlaps}
    for index, (frame, swapped) in enumerate(zip(truth, other, strict=True)):
        inside = np.zeros(frame.shape[:2], bool)
        for overlap in overlaps:
            if overlap.frame == index:
                inside[overlap.rows, overlap.columns] = True
        assert np.array_equal(frame[~inside], swapped[~inside])
        assert bool((frame != swapped).any()) == (index in changed)


def test_noise_and_another_size_do_not_change_the_order(drawn) -> None:  # type: ignore[no-untyped-def]
    """What a small model makes is soft and grainy; an overlap of some width still tells."""
    truth, overlaps, _, _ = drawn
    random = np.random.default_rng(0)
    large = [overlap for overlap in overlaps if len(overlap.rows) > 40]
    assert large

    def spoilt(frames: list[np.ndarray]) -> list[np.ndarray]:
        noisy = [np.clip(frame + random.normal(0, 12, frame.shape), 0, 255).astype(np.uint8) for frame in frames]
        return [np.asarray(cv2.resize(frame, (48, 48), interpolation=cv2.INTER_AREA)) for frame in noisy]

    assert not any(wrong_overlaps(spoilt(truth), large))
    assert all(wrong_overlaps(spoilt(exchanged(truth, overlaps)), large))


def test_a_prediction_that_ends_early_is_an_error(drawn) -> None:  # type: ignore[no-untyped-def]
    truth, overlaps, _, _ = drawn
    with pytest.raises(ValueError, match="ends before frame"):
        wrong_overlaps(truth[:1], [overlap for overlap in overlaps if overlap.frame > 0])
