"""Small networks with the interfaces of `mcbench.backbones`, for tests of what is built on them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def as_tensor(frames: object) -> Tensor:
    return torch.as_tensor(frames).to(torch.float32)


class FrameFake(nn.Module):
    """Six moments of a frame. Like a batch norm, it gives something else in training mode."""

    def features(self, frames: Tensor) -> Tensor:
        pixels = as_tensor(frames).flatten(1, 2) / 255
        moments = torch.cat([pixels.mean(dim=1), pixels.std(dim=1)], dim=1)
        return moments * 7 if self.training else moments


class WindowFake(nn.Module):
    """Colours and their changes in a window."""

    batch = 3

    def prepare(self, frames: Tensor) -> Tensor:
        return as_tensor(frames).permute(0, 3, 1, 2)[:, :, ::4, ::4] / 255

    def features(self, windows: Tensor) -> Tensor:
        assert windows.shape[1] == 16
        colours = windows.mean(dim=(1, 3, 4))
        return torch.cat([colours, windows.diff(dim=1).abs().mean(dim=(1, 3, 4))], dim=1)


class PairFake(nn.Module):
    """Mean square of the difference of two frames, in the range that was asked for."""

    batch = 3

    def activations(self, frames: object, signed: bool) -> tuple[Tensor, ...]:
        return ((as_tensor(frames) / 127.5 - 1 if signed else as_tensor(frames) / 255),)

    def distance(self, a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Tensor:
        return (a[0] - b[0]).square().flatten(1).mean(dim=1)


def clips(videos: int, frames: int, seed: int, side: int = 16) -> tuple[Tensor, Tensor]:
    """Predictions and truth, uint8 (V, T, H, W, 3)."""
    generator = torch.Generator().manual_seed(seed)
    level = torch.randint(60, 190, (videos, frames, 1, 1, 3), generator=generator)
    noise = torch.randint(-30, 31, (2, videos, frames, side, side, 3), generator=generator)
    truth, prediction = level + noise[0], level + noise[1] + 8
    return prediction.to(torch.uint8), truth.to(torch.uint8)
