"""Where the windows of the video metrics begin.

A window is 16 consecutive frames of one video. No window is partial and none crosses from one video to the next:
a video of n frames has n - 15 windows at stride 1 (`disco-legacy@1`) and n // 16 at stride 16 (`mcbench@1`).
"""

from __future__ import annotations

__all__ = ["window_count", "window_starts"]

WINDOW_LENGTH = 16


def window_starts(frames: int, stride: int, length: int = WINDOW_LENGTH) -> list[int]:
    """First frames of the windows of a video, in order; empty if the video is shorter than a window.

    Args:
        frames: number of frames of the video.
        stride: frames from one window to the next, at least 1.
        length: frames in a window, at least 1.

    Raises:
        ValueError: for a negative number of frames, or a stride or length below 1.
    """
    if frames < 0 or stride < 1 or length < 1:
        raise ValueError(f"no windows of {length} frames at stride {stride} can be cut from {frames} frames")
    return list(range(0, frames - length + 1, stride))


def window_count(frames: int, stride: int, length: int = WINDOW_LENGTH) -> int:
    """Number of windows of a video; arguments and errors as in `window_starts`."""
    return len(window_starts(frames, stride, length))
