"""Windows cover every frame, and blending leaves no step."""

from __future__ import annotations

import itertools

import pytest
import torch

from fypv2.windows import Blend, window_places, window_weights


@pytest.mark.parametrize("frames", [1, 15, 16, 17, 24, 28, 29, 100, 199])
@pytest.mark.parametrize(("window", "overlap"), [(16, 4), (16, 0), (16, 15), (8, 2), (1, 0)])
def test_every_frame_is_covered_and_neighbours_share(frames: int, window: int, overlap: int) -> None:
    places = window_places(frames, window, overlap)
    assert sorted({i for place in places for i in range(place.start, place.stop)}) == list(range(frames))
    assert {place.stop - place.start for place in places} == {min(frames, window)}
    for one, next_one in itertools.pairwise(places):
        assert one.stop - next_one.start >= overlap
        assert next_one.start > one.start
    # No window too many: leaving any out would leave frames out, or less overlap than asked for.
    assert len(places) == (1 if frames <= window else -(-(frames - window) // (window - overlap)) + 1)


@pytest.mark.parametrize(("frames", "window", "overlap"), [(0, 16, 4), (20, 16, 16), (20, 16, -1), (20, 0, 0)])
def test_windows_that_cannot_cover_are_refused(frames: int, window: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="windows"):
        window_places(frames, window, overlap)


def test_windows_that_agree_change_nothing() -> None:
    clip = torch.randn(1, 2, 40, 3, 3)
    places = window_places(40, 16, 4)
    blend = Blend(clip, places)
    for index, place in enumerate(places):
        blend.add(index, clip[:, :, place])
    torch.testing.assert_close(blend.mean(), clip)


@pytest.mark.parametrize("overlap", [1, 4, 8])
def test_no_step_at_a_border_is_larger_than_within(overlap: int) -> None:
    """Windows that disagree by a constant: the change is spread evenly over what they share, and nowhere else."""
    places = window_places(200, 16, overlap)
    blend = Blend(torch.zeros(1, 1, 200, 1, 1), places)
    for index in range(len(places)):
        blend.add(index, torch.full((1, 1, 16, 1, 1), float(index)))
    steps = blend.mean().flatten().diff()
    assert steps.min() >= -1e-6
    regular = steps[: places[-2].start]
    assert regular.max() <= 1 / max(overlap, 2) + 1e-5


def test_weights_fall_where_another_window_takes_over() -> None:
    places = window_places(28, 16, 4)
    assert window_weights(places, 0).tolist() == pytest.approx([1.0] * 12 + [0.875, 0.625, 0.375, 0.125])
    assert window_weights(places, 1).tolist() == pytest.approx([0.125, 0.375, 0.625, 0.875] + [1.0] * 12)
