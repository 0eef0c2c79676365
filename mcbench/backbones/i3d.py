"""The I3D network of the Frechet video distance: Inception v1 inflated to three dimensions.

Carreira and Zisserman 2017 (arXiv:1705.07750), trained on Kinetics-400; the tf-hub weights in the key layout of
VideoGPT's port. TensorFlow's "same" padding puts zeros around an input so that a layer of stride s makes ceil(n / s)
values of n: ceil(n / s - 1) * s + k - n zeros in all, the odd one behind.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mcbench.backbones.base import WindowBackbone, fold_norm

__all__ = ["I3D"]

_NORM_EPSILON = 1e-3
_CLASSES = 400

# Of a kernel of 7 at stride 2 on even sizes: 5 zeros, 2 before and 3 behind, in each dimension.
_STEM_PADDING = (2, 3) * 3

_MIXED = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
"""Input channels, and the outputs of b0, b1a, b1b, b2a, b2b, b3b (the paper's figure 3, Szegedy et al. 2015)."""


class Unit(nn.Module):
    """Convolution, batch norm, ReLU. Stride 1 and an odd kernel: "same" padding is the same on both sides."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int | None = None) -> None:
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv3d: nn.Module = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn: nn.Module = nn.BatchNorm3d(outputs, eps=_NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, outputs, T, H, W) of features (B, inputs, T', H', W')."""
        return functional.relu(self.bn(self.conv3d(x)), inplace=True)


class Mixed(nn.Module):
    """Four branches side by side: 1x1x1; 1x1x1 and 3x3x3, twice; max pool and 1x1x1."""

    def __init__(self, inputs: int, outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.b0 = Unit(inputs, outputs[0], 1)
        self.b1a = Unit(inputs, outputs[1], 1)
        self.b1b = Unit(outputs[1], outputs[2], 3)
        self.b2a = Unit(inputs, outputs[3], 1)
        self.b2b = Unit(outputs[3], outputs[4], 3)
        self.b3b = Unit(inputs, outputs[5], 1)

    def forward(self, x: Tensor) -> Tensor:
        """The branches' features, joined along the channels."""
        pooled = functional.max_pool3d(x, 3, stride=1, padding=1)
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], dim=1)


def pool(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    """Max pool with "same" padding, for the even sizes and the strides of 1 and 2 of this network.

    The published ports pad with zeros and then pool. After a ReLU nothing is below zero, so that leaving the zeros
    out changes nothing; and all of the padding is behind (one value, for a kernel of 3 at stride 2 on an even size),
    which is what `ceil_mode` adds.
    """
    return functional.max_pool3d(x, kernel, stride, ceil_mode=True)


class Logits(nn.Module):
    """The classifier: a 1x1x1 convolution with a bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, outputs, T, H, W) of features (B, inputs, T, H, W)."""
        logits: Tensor = self.conv3d(x)
        return logits


class I3D(WindowBackbone):
    """Logits of a window, 400-d, averaged over time."""

    name = "i3d"
    dimension = _CLASSES
    input_size = 224

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, stride=2, padding=0)
        self.Conv3d_2b_1x1 = Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        for name, (inputs, outputs) in _MIXED.items():
            self.add_module(name, Mixed(inputs, outputs))
        self.logits = Logits(1024, _CLASSES)

    def fold(self) -> None:
        """Join batch norms with the convolutions before them."""
        for module in self.modules():
            if isinstance(module, Unit):
                module.conv3d, module.bn = fold_norm(module.conv3d, module.bn), nn.Identity()

    def scale(self, frames: Tensor) -> Tensor:
        """[-1, 1]: x / 127.5 - 1."""
        return frames.div_(127.5).sub_(1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, 400) of windows (B, 3, 16, 224, 224) in [-1, 1]."""
        x = self.Conv3d_1a_7x7(functional.pad(x, _STEM_PADDING))
        x = pool(x, (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x))
        x = pool(x, (1, 3, 3), (1, 2, 2))
        for name in _MIXED:
            if name == "Mixed_4b":
                x = pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "Mixed_5b":
                x = pool(x, (2, 2, 2), (2, 2, 2))
            x = self.get_submodule(name)(x)
        logits: Tensor = self.logits(functional.avg_pool3d(x, (1, 7, 7)))
        return logits.flatten(2).mean(dim=2)
