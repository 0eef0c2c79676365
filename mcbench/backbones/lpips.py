"""LPIPS: the distance of two images in the activations of a classification network.

Zhang et al. 2018 (arXiv:1801.03924), as the package `lpips` 0.1.4 computes it with `net="vgg"` or `net="alex"`,
version 0.1. A distance is the sum over five layers of the mean over pixels of sum_c w_c (a_c - b_c)^2, where a and b
are activations with each pixel's channels scaled to length 1, and w are the layer's linear head. The heads are small
and come from the installed package, whatever the weights of the network beneath them; with `random@1` only the
network beneath is random.
"""

from __future__ import annotations

import hashlib
import io
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import alexnet, vgg16

from mcbench.backbones.base import Frames, PairBackbone, as_frames, full_precision, one_thread
from mcbench.errors import WeightsError

__all__ = ["HEADS", "VGG16", "AlexNet"]

HEADS = {
    "vgg.pth": "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    "alex.pth": "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
}
"""SHA-256 of the linear heads v0.1 in the package `lpips`."""

_EPSILON = 1e-10
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)

# Floats that are worked on at a time on the CPU, so that intermediate values stay in the cache (512 KiB).
_BLOCK = 1 << 17


class LPIPS(PairBackbone):
    """Base of the two networks.

    Attributes:
        taps: index in `features` of the ReLU at the end of each of the five layers.
        heads_file: name of the heads' file in the package.
    """

    taps: tuple[int, ...]
    heads_file: str
    shift: Tensor
    scale: Tensor
    unused = ("classifier.",)

    def __init__(self, features: nn.Sequential) -> None:
        super().__init__()
        self.features = features[: self.taps[-1] + 1]
        # No part of a state dict: published files do not have them, and none may replace them.
        for layer, head in enumerate(_load_heads(self.heads_file)):
            self.register_buffer(f"head{layer}", head, persistent=False)
        for name, values in (("shift", _SHIFT), ("scale", _SCALE)):
            # A type of their own: a method may have left another default behind. Networks are built on the meta device.
            constant = torch.tensor(values, dtype=torch.float32, device="cpu")
            self.register_buffer(name, constant, persistent=False)

    @property
    def heads(self) -> list[Tensor]:
        """The five linear heads, float32 (C,) each, on the network's device."""
        return [self.get_buffer(f"head{layer}") for layer in range(len(self.taps))]

    def activations(self, frames: Frames, signed: bool) -> tuple[Tensor, ...]:
        """As in `PairBackbone`. The images are x / 127.5 - 1 if signed, else x / 255."""
        frames = as_frames(frames, self.device)
        with full_precision():
            images = frames.to(torch.float32)
            images = images.div_(127.5).sub_(1) if signed else images.div_(255)
            images.sub_(self.shift).div_(self.scale)
            layers = self.forward(images.permute(0, 3, 1, 2))
            for layer in layers:
                _normalise(layer)
        return tuple(layers)

    def distance(self, a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Tensor:
        """As in `PairBackbone`."""
        with full_precision():
            means = [layer.flatten(1).mean(dim=1, dtype=torch.float64) for layer in self._maps(a, b)]
            return torch.stack(means).sum(dim=0).to(torch.float32)

    def distance_map(self, a: tuple[Tensor, ...], b: tuple[Tensor, ...], size: tuple[int, int]) -> Tensor:
        """As in `PairBackbone`."""
        with full_precision(), one_thread():
            maps = [
                functional.interpolate(layer[:, None], size, mode="bilinear", align_corners=False)
                for layer in self._maps(a, b)
            ]
            return torch.stack(maps).sum(dim=0)[:, 0]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Outputs of the five layers for scaled images (N, 3, H, W)."""
        layers = []
        for index, module in enumerate(self.features):
            images = module(images)
            if index in self.taps:
                layers.append(images)
        return layers

    def _maps(self, a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> list[Tensor]:
        return [_weighted(x, y, head) for x, y, head in zip(a, b, self.heads, strict=True)]


class VGG16(LPIPS):
    """LPIPS on VGG-16 (Simonyan and Zisserman 2015)."""

    name = "vgg16"
    dimension = 64 + 128 + 256 + 512 + 512
    taps = (3, 8, 15, 22, 29)
    heads_file = "vgg.pth"

    def __init__(self) -> None:
        super().__init__(vgg16(weights=None, init_weights=False).features)


class AlexNet(LPIPS):
    """LPIPS on AlexNet (Krizhevsky 2014)."""

    name = "alexnet"
    dimension = 64 + 192 + 384 + 256 + 256
    taps = (1, 4, 7, 9, 11)
    heads_file = "alex.pth"

    def __init__(self) -> None:
        super().__init__(alexnet(weights=None).features)


def _load_heads(file: str) -> list[Tensor]:
    """The five heads, float32 (C,) each, on the CPU."""
    package = find_spec("lpips")
    if package is None or package.origin is None:
        raise WeightsError("the package lpips, which holds the heads of LPIPS, is missing: `pip install lpips==0.1.4`")
    path = Path(package.origin).parent / "weights" / "v0.1" / file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}; `pip install --force-reinstall lpips`") from error
    if hashlib.sha256(content).hexdigest() != HEADS[file]:
        raise WeightsError(f"{path} is not the file of lpips 0.1.4; `pip install --force-reinstall lpips==0.1.4`")
    heads = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return [heads[f"lin{layer}.model.1.weight"].flatten() for layer in range(5)]


def _rows(x: Tensor) -> Tensor | None:
    """Pixels x channels, as a view, if the channels are last in memory; else None."""
    if x.device.type != "cpu" or not x.is_contiguous(memory_format=torch.channels_last):
        return None
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _normalise(x: Tensor) -> None:
    """Scale each pixel's channels of (N, C, H, W) to length 1, in place."""
    rows = _rows(x)
    if rows is None:
        x.div_(torch.linalg.vector_norm(x, dim=1, keepdim=True).add_(_EPSILON))
        return
    for block in torch.split(rows, max(1, _BLOCK // rows.shape[1])):
        block.div_(torch.linalg.vector_norm(block, dim=1, keepdim=True).add_(_EPSILON))


def _weighted(x: Tensor, y: Tensor, head: Tensor) -> Tensor:
    """sum_c w_c (x_c - y_c)^2 for each pixel, (N, H, W)."""
    x_rows, y_rows = _rows(x), _rows(y)
    if x_rows is None or y_rows is None:
        return ((x - y).square_() * head[:, None, None]).sum(dim=1)
    size = max(1, _BLOCK // x_rows.shape[1])
    sums = [
        torch.mv((left - right).square_(), head)
        for left, right in zip(torch.split(x_rows, size), torch.split(y_rows, size), strict=True)
    ]
    return torch.cat(sums).view(x.shape[0], *x.shape[2:])
