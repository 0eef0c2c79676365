"""The metrics as torchmetrics classes, for a training loop: each on top of its function.

They stand apart from the functions because torchmetrics takes seconds to load, which no evaluation needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mcbench.metrics.base import FrameFeatureMetric, Network, PairMetric, WindowFeatureMetric
from mcbench.metrics.fid import fid
from mcbench.metrics.fid_vid import fid_vid
from mcbench.metrics.fvd import fvd
from mcbench.metrics.kid import kid
from mcbench.metrics.kvd import kvd
from mcbench.metrics.l1 import absolute_error, l1_per_area, l1_unit
from mcbench.metrics.lpips import lpips
from mcbench.metrics.psnr import psnr, psnr_wrapped
from mcbench.metrics.ssim import ssim_gaussian, ssim_uniform
from mcbench.protocol import MCBENCH, Protocol

if TYPE_CHECKING:
    from mcbench.backbones import PairBackbone

__all__ = ["FID", "FIDVID", "FVD", "KID", "KVD", "L1", "LPIPS", "PSNR", "SSIM"]

Frames = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Features = Sequence[npt.NDArray[Any]]


class PSNR(PairMetric):
    """PSNR as a torchmetrics metric; higher is better. See `PairMetric` for arguments, inputs and averaging."""

    name = "psnr"
    higher_is_better = True

    def _score(self, prediction: Frames, truth: Frames) -> Values:
        return (psnr if self.protocol.psnr == "exact" else psnr_wrapped)(prediction, truth)


class SSIM(PairMetric):
    """SSIM as a torchmetrics metric; higher is better. See `PairMetric` for arguments, inputs and averaging."""

    name = "ssim"
    higher_is_better = True

    def _score(self, prediction: Frames, truth: Frames) -> Values:
        return (ssim_gaussian if self.protocol.ssim == "gaussian-11" else ssim_uniform)(prediction, truth)


class L1(PairMetric):
    """L1 as a torchmetrics metric; lower is better. See `PairMetric` for arguments, inputs and averaging."""

    name = "l1"
    higher_is_better = False

    def _score(self, prediction: Frames, truth: Frames) -> Values:
        error = absolute_error(prediction, truth)
        if self.protocol.l1 == "unit":
            return l1_unit(error)
        return l1_per_area(error, *truth.shape[1:3])


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


class FID(FrameFeatureMetric):
    """FID as a torchmetrics metric; lower is better. Arguments as in `FeatureMetric`."""

    name = "fid"
    backbone_name = "inception"

    def _distance(self, predictions: Features, truths: Features) -> float:
        return fid(predictions, truths)


class KID(FrameFeatureMetric):
    """KID as a torchmetrics metric of `mcbench@1`; lower is better. Arguments as in `FeatureMetric`."""

    name = "kid"
    backbone_name = "inception"

    def _distance(self, predictions: Features, truths: Features) -> float:
        return kid(predictions, truths)


class FIDVID(WindowFeatureMetric):
    """FIDVID as a torchmetrics metric; lower is better. Arguments as in `FeatureMetric`."""

    name = "fid_vid"
    backbone_name = "r3d50"

    def _distance(self, predictions: Features, truths: Features) -> float:
        return fid_vid(predictions, truths)


class FVD(WindowFeatureMetric):
    """FVD as a torchmetrics metric; lower is better. Arguments as in `FeatureMetric`."""

    name = "fvd"
    backbone_name = "i3d"

    def _distance(self, predictions: Features, truths: Features) -> float:
        return fvd(predictions, truths)


class KVD(WindowFeatureMetric):
    """KVD as a torchmetrics metric of `mcbench@1`; lower is better. Arguments as in `FeatureMetric`."""

    name = "kvd"
    backbone_name = "i3d"

    def _distance(self, predictions: Features, truths: Features) -> float:
        return kvd(predictions, truths)
