"""LPIPS: distance of deep activations (Zhang, Isola, Efros, Shechtman and Wang 2018), lpips 0.1.4 with v0.1 heads.

`mcbench@1` runs AlexNet on [-1, 1], the range that the network expects. `disco-legacy@1` runs VGG-16 on [0, 1], as
DisCo's published evaluator does. A clip's value is the mean of its frames' distances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mcbench.metrics.base import Network, PairMetric
from mcbench.metrics.frames import check_frames
from mcbench.protocol import MCBENCH, Protocol

if TYPE_CHECKING:
    from mcbench.backbones import PairBackbone

__all__ = ["LPIPS", "lpips"]

Frames = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

FRAMES_AT_A_TIME = 4
"""VGG-16's activations take 128 MB a frame and side at 512 x 512."""


def lpips(prediction: Frames, truth: Frames, backbone: PairBackbone, signed: bool) -> Values:
    """LPIPS of each frame.

    Args:
        prediction: uint8 RGB (T, H, W, 3), at least 32 pixels on each side.
        truth: the same shape.
        backbone: `vgg16` or `alexnet` of `mcbench.backbones`.
        signed: feed [-1, 1] instead of [0, 1].

    Returns:
        (T,) float64, 0 for identical frames.

    Raises:
        ValueError: for another dtype or shape.
    """
    check_frames(prediction, truth)
    parts = []
    for first in range(0, len(truth), FRAMES_AT_A_TIME):
        block = slice(first, first + FRAMES_AT_A_TIME)
        distances = backbone.distance(
            backbone.activations(prediction[block], signed), backbone.activations(truth[block], signed)
        )
        parts.append(distances.cpu().numpy())
    return np.concatenate(parts).astype(np.float64)


class LPIPS(PairMetric):
    """LPIPS as a torchmetrics metric; lower is better. Inputs and averaging as in `PairMetric`.

    Args:
        protocol: id of a protocol, or the protocol itself.
        reference_frame: as in `PairMetric`.
        weights: of the network: `published`, `random@1`, or the path of a file.
        backbone: a ready backbone in place of `weights`.
        **kwargs: of `torchmetrics.Metric`.

    Raises:
        UsageError: if there is no such protocol.
        WeightsError: if the weights are missing or damaged.
    """

    name = "lpips"
    higher_is_better = False

    def __init__(
        self,
        protocol: str | Protocol = MCBENCH,
        reference_frame: int | None = 0,
        weights: str = "published",
        backbone: PairBackbone | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(protocol, reference_frame, **kwargs)
        self._network = Network(self.protocol.lpips_network, weights, backbone)
        self._add_states("sums", "counts", key=f"{self.reference_frame}_{self._network.key}")

    @property
    def backbone(self) -> Any:
        """The network, on the metric's device."""
        return self._network.on(self.device)

    def _score(self, prediction: Frames, truth: Frames) -> Values:
        return lpips(prediction, truth, self.backbone, self.protocol.lpips_range == "signed")
