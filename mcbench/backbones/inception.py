"""The Inception network of the Frechet Inception distance, as pytorch-fid 0.3.0 has it.

Heusel et al. 2017 (arXiv:1706.08500) used TensorFlow's Inception of 2015-12-05; pytorch-fid ported its weights and
its deviations from torchvision's network (how average pools treat borders, a max pool in the last block).
"""

from __future__ import annotations

import torch
from pytorch_fid.inception import FIDInceptionA, FIDInceptionC, FIDInceptionE_1, FIDInceptionE_2
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import inception_v3
from torchvision.models.inception import BasicConv2d

from mcbench.backbones.base import FrameBackbone, fold_norm, one_thread

__all__ = ["Inception"]

_INPUT_SIZE = 299
_PUBLISHED_CLASSES = 1008


class Inception(FrameBackbone):
    """Pool3 features of a frame, 2048-d."""

    name = "inception"
    dimension = 2048
    unused = ("fc.", "AuxLogits.")

    def __init__(self) -> None:
        super().__init__()
        network = inception_v3(weights=None, num_classes=_PUBLISHED_CLASSES, aux_logits=False, init_weights=False)
        network.Mixed_5b = FIDInceptionA(192, pool_features=32)
        network.Mixed_5c = FIDInceptionA(256, pool_features=64)
        network.Mixed_5d = FIDInceptionA(288, pool_features=64)
        network.Mixed_6b = FIDInceptionC(768, channels_7x7=128)
        network.Mixed_6c = FIDInceptionC(768, channels_7x7=160)
        network.Mixed_6d = FIDInceptionC(768, channels_7x7=160)
        network.Mixed_6e = FIDInceptionC(768, channels_7x7=192)
        network.Mixed_7b = FIDInceptionE_1(1280)
        network.Mixed_7c = FIDInceptionE_2(2048)
        network.fc = nn.Identity()
        self.network = network

    def core(self) -> nn.Module:
        """The torchvision network, whose keys the published file has."""
        network: nn.Module = self.network
        return network

    def fold(self) -> None:
        """Join batch norms with the convolutions before them."""
        for module in self.network.modules():
            if isinstance(module, BasicConv2d):
                module.conv = fold_norm(module.conv, module.bn)
                module.bn = nn.Identity()

    def preprocess(self, frames: Tensor) -> Tensor:
        """[0, 1], then bilinear to 299 x 299 (no antialiasing, corners not aligned), then 2x - 1."""
        unit = frames.permute(0, 3, 1, 2).to(torch.float32).div_(255)
        with one_thread():
            sized = functional.interpolate(unit, (_INPUT_SIZE, _INPUT_SIZE), mode="bilinear", align_corners=False)
        return sized.mul_(2).sub_(1)

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, 2048) of images (N, 3, 299, 299) in [-1, 1]."""
        features: Tensor = self.network(images)
        return features
