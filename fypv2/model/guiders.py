"""The guiders: what turns a drawn condition into features of the size of the latent."""

from __future__ import annotations

from collections.abc import Mapping

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor, nn

__all__ = ["Guider", "guide"]


class Guider(ControlNetConditioningEmbedding, ModelMixin, ConfigMixin):
    """One guider: 3x3 convolutions with SiLU, stride 2 between widths, the last one zero at the start.

    It is ControlNet's condition embedding (same layers, same key names), so that it can start from a published one. As
    the last convolution starts at zero, a guider changes nothing until it has been trained.

    Args:
        channels: of the features; the U-Net's first width.
        block_channels: widths from the picture inwards.
    """

    @register_to_config
    def __init__(self, channels: int = 320, block_channels: tuple[int, ...] = (16, 32, 96, 256)) -> None:
        super().__init__(channels, 3, tuple(block_channels))

    def forward(self, conditioning: Tensor) -> Tensor:
        """Features of drawn conditions.

        Args:
            conditioning: (b, 3, f, H, W) in [0, 1]; f may be 1.

        Returns:
            (b, channels, f, H / 8, W / 8) for four widths.
        """
        batch, _, frames = conditioning.shape[:3]
        flat = conditioning.transpose(1, 2).flatten(0, 1)
        features: Tensor = super().forward(flat)
        return features.unflatten(0, (batch, frames)).transpose(1, 2)


def guide(guiders: Mapping[str, nn.Module], conditions: Mapping[str, Tensor]) -> Tensor:
    """The sum of the conditions' features, which Eq. 10 adds to the denoiser's first features.

    Args:
        guiders: by name; those that the model has.
        conditions: by the same names, (b, 3, f, H, W) in [0, 1]; one with f = 1 holds for all frames (Eq. 9).

    Returns:
        (b, c, f, h, w).

    Raises:
        ValueError: if a guider's condition is missing.
    """
    missing = [name for name in guiders if name not in conditions]
    if missing or not guiders:
        raise ValueError(f"the conditions lack {', '.join(missing) or 'everything: there is no guider'}")
    parts: list[Tensor] = [module(conditions[name]) for name, module in guiders.items()]
    total = parts[0]
    for part in parts[1:]:
        total = total + part  # a single frame is broadcast over all
    return total
