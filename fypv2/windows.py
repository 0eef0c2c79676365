"""Long clips in overlapping windows: where the windows lie, and how their results are blended."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Blend", "window_places", "window_weights"]


def window_places(frames: int, window: int, overlap: int) -> list[slice]:
    """Windows that cover a clip, neighbours sharing at least `overlap` frames.

    Args:
        frames: of the clip, at least 1.
        window: frames denoised together.
        overlap: less than `window`.

    Returns:
        One window of all frames where the clip is no longer than that. Else windows of full length; the last one is
        moved back so that it ends with the clip.

    Raises:
        ValueError: if windows cannot advance.
    """
    if frames < 1 or not 0 <= overlap < window:
        raise ValueError(f"no windows of {window} frames sharing {overlap} cover {frames} frames")
    if frames <= window:
        return [slice(0, frames)]
    starts = list(range(0, frames - window, window - overlap))
    return [slice(start, start + window) for start in [*starts, frames - window]]


def window_weights(places: list[slice], index: int) -> Tensor:
    """How much each frame of a window counts: falls linearly where another window takes over.

    A plain mean over windows, as MultiDiffusion takes it, steps by half the difference of two windows at either end of
    what they share; a ramp spreads the difference evenly over the shared frames.

    Args:
        places: of `window_places`.
        index: which window.

    Returns:
        float32 (window,), greater than 0.
    """
    here = places[index]
    weights = torch.ones(here.stop - here.start)
    if index > 0 and (shared := places[index - 1].stop - here.start) > 0:
        weights[:shared] *= (torch.arange(shared) + 0.5) / shared
    if index + 1 < len(places) and (shared := here.stop - places[index + 1].start) > 0:
        weights[-shared:] *= ((torch.arange(shared) + 0.5) / shared).flip(0)
    return weights


class Blend:
    """The weighted mean of what the windows say of each frame.

    Args:
        like: (b, c, T, h, w), of the whole clip.
        places: of `window_places`.
    """

    def __init__(self, like: Tensor, places: list[slice]) -> None:
        self._places = places
        self._sum = torch.zeros_like(like, dtype=torch.float32)
        self._weight = torch.zeros(like.shape[2], device=like.device)

    def add(self, index: int, values: Tensor) -> None:
        """What window `index` says, (b, c, window, h, w)."""
        weights = window_weights(self._places, index).to(values.device)
        self._sum[:, :, self._places[index]] += values.float() * weights[:, None, None]
        self._weight[self._places[index]] += weights

    def mean(self) -> Tensor:
        """float32 (b, c, T, h, w)."""
        return self._sum / self._weight[:, None, None]
