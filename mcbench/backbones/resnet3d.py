"""The 3D-ResNet-50 of FID-VID.

Hara, Kataoka and Satoh 2018 (arXiv:1711.09577): a ResNet whose convolutions also run over time, shortcuts of type B
(1x1x1 convolutions where shapes change), trained on Kinetics-400 with 16 frames of 112 x 112; the release of 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mcbench.backbones.base import WindowBackbone, fold_norm

__all__ = ["ResNet3D50"]

_BLOCKS = (3, 4, 6, 3)
_EXPANSION = 4

# The training set's mean colour on 0-255, RGB (of ActivityNet, as the release uses it).
_MEAN = (114.7748, 107.7354, 99.4750)


class Bottleneck(nn.Module):
    """1x1x1, 3x3x3 with the stride, and 1x1x1 convolutions around a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1: nn.Module = nn.Conv3d(inputs, width, 1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm3d(width)
        self.conv2: nn.Module = nn.Conv3d(width, width, 3, stride, padding=1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm3d(width)
        self.conv3: nn.Module = nn.Conv3d(width, outputs, 1, bias=False)
        self.bn3: nn.Module = nn.BatchNorm3d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))

    def fold(self) -> None:
        """Join batch norms with the convolutions before them."""
        for number in "123":
            folded = fold_norm(self.get_submodule(f"conv{number}"), self.get_submodule(f"bn{number}"))
            setattr(self, f"conv{number}", folded)
            setattr(self, f"bn{number}", nn.Identity())
        if self.downsample is not None:
            self.downsample = nn.Sequential(fold_norm(self.downsample[0], self.downsample[1]))

    def forward(self, x: Tensor) -> Tensor:
        """Features of the block's stride and width."""
        out = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        out = functional.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return functional.relu(out, inplace=True)


class ResNet3D50(WindowBackbone):
    """Features of a window after the last average pool, 2048-d."""

    name = "r3d50"
    dimension = 512 * _EXPANSION
    input_size = 112
    unused = ("fc.",)
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Networks are built on the meta device, and no file gives this one.
        mean = torch.tensor(_MEAN, dtype=torch.float32, device="cpu").view(3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.conv1: nn.Module = nn.Conv3d(3, 64, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1: nn.Module = nn.BatchNorm3d(64)
        inputs = 64
        for stage, count in enumerate(_BLOCKS):
            width = 64 << stage
            blocks = []
            for block in range(count):
                blocks.append(Bottleneck(inputs, width, stride=2 if stage and not block else 1))
                inputs = width * _EXPANSION
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))

    def fold(self) -> None:
        """Join batch norms with the convolutions before them."""
        self.conv1, self.bn1 = fold_norm(self.conv1, self.bn1), nn.Identity()
        for module in self.modules():
            if isinstance(module, Bottleneck):
                module.fold()

    def scale(self, frames: Tensor) -> Tensor:
        """0-255 minus the mean colour; no division."""
        return frames.sub_(self.mean)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, 2048) of windows (B, 3, 16, 112, 112)."""
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = functional.max_pool3d(x, 3, stride=2, padding=1)
        for stage in range(len(_BLOCKS)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return functional.avg_pool3d(x, (1, 4, 4), stride=1).flatten(1)
