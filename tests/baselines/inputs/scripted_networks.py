"""TorchScript files with the interface of DensePose's, a few kilobytes each."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn


class Boxes(nn.Module):
    """People in given boxes: each all of one part, u the red of the picture's first pixel, v the blue; in BGR."""

    def __init__(self, boxes: list[list[float]], parts: list[int], hole: bool = False) -> None:
        super().__init__()
        self.register_buffer("boxes", torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        self.register_buffer("parts", torch.tensor(parts, dtype=torch.int64))
        self.hole = hole

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        people = self.boxes.shape[0]
        coarse = torch.zeros(people, 2, 8, 8)
        coarse[:, 1] = 1.0
        if self.hole:
            coarse[:, 0, :4] = 2.0
        fine = torch.zeros(people, 25, 8, 8)
        u, v = torch.zeros(people, 25, 8, 8), torch.zeros(people, 25, 8, 8)
        for k in range(people):
            part = int(self.parts[k])
            fine[k, part] = 1.0
            u[k, part] = image[2, 0, 0].float() / 255
            v[k, part] = image[0, 0, 0].float() / 255
        return self.boxes, coarse, fine, u, v


class Counting(nn.Module):
    """One person on the whole picture, of the part that the picture's first pixel says, by its green."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        boxes = torch.tensor([[0.0, 0.0, float(image.shape[2]), float(image.shape[1])]])
        coarse = torch.zeros(1, 2, 4, 4)
        coarse[:, 1] = 1.0
        fine = torch.zeros(1, 25, 4, 4)
        fine[0, int(image[1, 0, 0]) % 24 + 1] = 1.0
        return boxes, coarse, fine, torch.rand(1, 25, 4, 4), torch.zeros(1, 25, 4, 4)


class Single(nn.Module):
    """Gives one tensor."""

    def forward(self, image: Tensor) -> Tensor:
        return image


class TooFewParts(nn.Module):
    """A segmentation of 24 channels where there should be 25."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        maps = torch.zeros(1, 24, 4, 4)
        return torch.zeros(1, 4), torch.zeros(1, 2, 4, 4), maps, maps, maps


class Failing(nn.Module):
    """Breaks."""

    def forward(self, image: Tensor) -> Tensor:
        raise RuntimeError("CUDA out of memory: tried to allocate 9 GiB")


def save(module: nn.Module, path: Path) -> str:
    """Writes a module as TorchScript; returns the file's SHA-256."""
    torch.jit.script(module).save(str(path))
    return hashlib.sha256(path.read_bytes()).hexdigest()
