"""The feature networks: their architectures, preprocessing and weights.

| name | network | features | metric |
|---|---|---|---|
| `inception` | Inception of 2015, as in pytorch-fid | 2048 a frame | FID, KID |
| `vgg16`, `alexnet` | trunks of LPIPS with its heads v0.1 | distances of frames | LPIPS |
| `r3d50` | 3D-ResNet-50, Kinetics-400 | 2048 a window | FID-VID |
| `i3d` | I3D, Kinetics-400 | 400 a window | FVD, KVD |

Importing this package does not import torch; loading a network does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcbench.errors import UsageError

if TYPE_CHECKING:
    import torch

    from mcbench.backbones.base import FrameBackbone, PairBackbone, WindowBackbone

__all__ = ["BACKBONES", "FrameBackbone", "PairBackbone", "WindowBackbone", "load_backbone"]

BACKBONES = ("inception", "vgg16", "alexnet", "r3d50", "i3d")


def load_backbone(
    name: str, weights: str = "published", device: str | torch.device = "cpu"
) -> FrameBackbone | PairBackbone | WindowBackbone:
    """Build a network with weights, ready to measure: evaluation mode, no gradients, float32.

    Args:
        name: one of `BACKBONES`.
        weights: `published`, the registered file from the weights folder; `random@1`, drawn from the tensors' names
            (of vgg16 and alexnet only the trunk is drawn, the heads of LPIPS stay those of v0.1); or the path of a
            file with a state dict in the published layout (`.safetensors`, or written by `torch.save`).
        device: where it runs.

    Raises:
        UsageError: if there is no such backbone.
        WeightsError: if the weights are missing, damaged, of another hash, or of another network. Nothing else is
            ever loaded in their place.
    """
    import torch

    from mcbench.backbones.base import FrameBackbone, PairBackbone, WindowBackbone

    if name not in BACKBONES:
        raise UsageError(f"no backbone is called '{name}'; there are {', '.join(BACKBONES)}")
    network = _network_class(name).load(weights, torch.device(device))
    assert isinstance(network, FrameBackbone | PairBackbone | WindowBackbone)
    return network


def _network_class(name: str) -> Any:
    if name == "inception":
        from mcbench.backbones.inception import Inception

        return Inception
    if name == "r3d50":
        from mcbench.backbones.resnet3d import ResNet3D50

        return ResNet3D50
    if name == "i3d":
        from mcbench.backbones.i3d import I3D

        return I3D
    from mcbench.backbones.lpips import VGG16, AlexNet

    return VGG16 if name == "vgg16" else AlexNet


def __getattr__(name: str) -> Any:
    if name in ("FrameBackbone", "PairBackbone", "WindowBackbone"):
        from mcbench.backbones import base

        return getattr(base, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
