"""Windows of the video metrics."""

from __future__ import annotations

import pytest

from mcbench.metrics import window_count, window_starts


@pytest.mark.parametrize(
    ("frames", "stride", "starts"),
    [
        (0, 1, []),
        (15, 1, []),
        (16, 1, [0]),
        (18, 1, [0, 1, 2]),
        (15, 16, []),
        (16, 16, [0]),
        (31, 16, [0]),
        (32, 16, [0, 16]),
        (50, 16, [0, 16, 32]),
    ],
)
def test_starts(frames: int, stride: int, starts: list[int]) -> None:
    assert window_starts(frames, stride) == starts
    assert window_count(frames, stride) == len(starts)


def test_no_window_is_partial_and_none_is_missing() -> None:
    for frames in range(60):
        assert window_count(frames, 1) == max(0, frames - 15)
        assert window_count(frames, 16) == frames // 16
        for stride in (1, 5, 16):
            starts = window_starts(frames, stride)
            assert all(start + 16 <= frames for start in starts)
            assert (starts[-1] + stride if starts else 0) + 16 > frames


def test_multi_character_has_3617_windows() -> None:
    # PROTOCOL.md: 20 videos of 3917 frames give 3617 windows at stride 1, however the frames are spread.
    lengths = [196] * 19 + [3917 - 19 * 196]
    assert sum(window_count(n, 1) for n in lengths) == 3617


@pytest.mark.parametrize("arguments", [(-1, 1, 16), (20, 0, 16), (20, 1, 0)])
def test_senseless_arguments_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no windows"):
        window_starts(*arguments)
