"""The metrics as torchmetrics classes: what they share.

Each takes whole videos, since windows, averages and the kernel distance are a matter of videos, and keeps one entry a
video. States are flat float64 vectors joined by `cat`, so that processes with any number of videos, or none, can be
synchronised, and a video's entries stay in one order in all states.

The frames are taken as they come: a value is that of its protocol only for frames with the protocol's geometry,
512 x 512 after the centre-crop (`mcbench.geometry.to_square`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

from mcbench.backbones import load_backbone
from mcbench.backbones.weights import record_of
from mcbench.errors import UsageError
from mcbench.metrics.windows import window_starts
from mcbench.protocol import MCBENCH, MetricName, Protocol, get_protocol

if TYPE_CHECKING:
    from mcbench.backbones import FrameBackbone, PairBackbone, WindowBackbone

__all__ = ["FeatureMetric", "FrameFeatureMetric", "PairMetric", "VideoMetric", "WindowFeatureMetric"]

Frames = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


class Network:
    """The backbone of a metric, loaded where the metric is when it is first used.

    It is no submodule of the metric: its weights are constants, which must not enter a model's state dict, follow its
    `half`, or be trained with it.

    Args:
        name: a backbone.
        weights: `published`, `random@1`, or the path of a file.
        ready: a backbone to use instead, wherever it is.

    Raises:
        WeightsError: if the weights are missing or damaged.
    """

    def __init__(self, name: str, weights: str, ready: Any | None = None) -> None:
        self._name = name
        self._weights = weights
        self._ready = ready
        self._loaded: tuple[torch.device, Any] | None = None
        # Weights that are missing are an error now, not after the first epoch.
        self.key = "given" if ready is not None else record_of(name, weights).sha256[:8]

    def on(self, device: torch.device) -> Any:
        """The backbone on a device."""
        if self._ready is not None:
            # A training loop may have set its batch norms free.
            return self._ready.eval()
        if self._loaded is None or self._loaded[0] != device:
            self._loaded = device, load_backbone(self._name, self._weights, device)
        return self._loaded[1]


class VideoMetric(Metric):
    """Base of all metrics: the protocol, and the videos' way in.

    Args:
        protocol: id of a protocol, or the protocol itself.
        **kwargs: of `torchmetrics.Metric`.

    Raises:
        UsageError: if there is no such protocol, or it does not have this metric.
    """

    full_state_update = False
    is_differentiable = False
    name: ClassVar[MetricName]

    def __init__(self, protocol: str | Protocol = MCBENCH, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.protocol = get_protocol(protocol) if isinstance(protocol, str) else protocol
        if self.name not in self.protocol.metrics:
            raise UsageError(f"{self.protocol.id} has no {self.name}; it is a metric of {MCBENCH.id}")
        # A process without videos takes part in a synchronisation with empty vectors of this type.
        self.set_dtype(torch.float64)

    def _add_states(self, *names: str, key: str = "") -> None:
        """Lists joined by `cat`.

        A MetricCollection takes metrics for one whose states have the same names and values after the first update,
        so the names say what is measured.
        """
        kind = re.sub(r"\W", "_", f"{self.name}_{self.protocol.id}_{key}")
        self._states = {name: f"{kind}_{name}" for name in names}
        for state in self._states.values():
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, truth: Tensor) -> None:
        """Add videos; all of them or, on an error, none.

        Args:
            predictions: uint8 RGB, V videos (V, T, H, W, 3) or one (T, H, W, 3).
            truth: the same shape.

        Raises:
            ValueError: for another dtype or shape, or a video that the metric cannot measure.
        """
        entries = [self._measure(p, t) for p, t in zip(*_whole_videos(predictions, truth), strict=True)]
        for entry in entries:
            for state, values in entry.items():
                vector = torch.as_tensor(values).detach().clone().flatten()
                getattr(self, self._states[state]).append(vector.to(self.device, torch.float64))

    def compute(self) -> Tensor:
        """The metric over all videos, a float64 scalar.

        Raises:
            ValueError: where the videos so far have no value; says why.
        """
        return torch.tensor(self._value(), dtype=torch.float64, device=self.device)

    def _measure(self, prediction: Tensor, truth: Tensor) -> dict[str, Any]:
        """What the states keep of one video (T, H, W, 3)."""
        raise NotImplementedError

    def _value(self) -> float:
        raise NotImplementedError

    def _gather(self, state: str) -> Values:
        """A state as one vector: a list before synchronisation, a tensor after it."""
        parts: list[Tensor] | Tensor = getattr(self, self._states[state])
        if not isinstance(parts, Tensor):
            parts = torch.cat(parts) if parts else torch.empty(0)
        return np.asarray(parts.detach().cpu().numpy(), dtype=np.float64)


class PairMetric(VideoMetric):
    """A metric of each frame against its truth, averaged as the protocol says.

    `mcbench@1`: over the frames of a video, then over videos. `disco-legacy@1`: over all frames of all videos.

    Args:
        protocol: id of a protocol, or the protocol itself.
        reference_frame: frame that the method was given, None if it is not in the videos. `mcbench@1` leaves it out.
        **kwargs: of `torchmetrics.Metric`.

    Raises:
        UsageError: if there is no such protocol.
        ValueError: for a negative reference frame.
    """

    def __init__(self, protocol: str | Protocol = MCBENCH, reference_frame: int | None = 0, **kwargs: Any) -> None:
        super().__init__(protocol, **kwargs)
        if reference_frame is not None and reference_frame < 0:
            raise ValueError(f"the reference frame must be 0 or more, or None, not {reference_frame}")
        self.reference_frame = reference_frame if self.protocol.drop_reference else None
        self._add_states("sums", "counts", key=str(self.reference_frame))

    def _score(self, prediction: Frames, truth: Frames) -> Values:
        """The metric of each frame, (T,)."""
        raise NotImplementedError

    def _measure(self, prediction: Tensor, truth: Tensor) -> dict[str, Any]:
        counted = np.arange(len(truth))
        if self.reference_frame is not None:
            if self.reference_frame >= len(truth):
                raise ValueError(f"a video of {len(truth)} frames has no frame {self.reference_frame}, its reference")
            counted = np.delete(counted, self.reference_frame)
        if len(counted) == 0:
            raise ValueError(f"a video of nothing but its reference frame has no {self.name} under {self.protocol.id}")
        values = self._score(prediction.cpu().numpy()[counted], truth.cpu().numpy()[counted])
        return {"sums": values.sum(), "counts": float(len(values))}

    def _value(self) -> float:
        sums, counts = self._gather("sums"), self._gather("counts")
        if len(counts) == 0:
            raise ValueError(f"{self.name} has no value before the first video")
        if self.protocol.pool == "frames":
            return float(sums.sum() / counts.sum())
        return float((sums / counts).mean())


class FeatureMetric(VideoMetric):
    """A distance of two sets of features.

    `forward` also scores the batch by itself, and raises where that has too few frames, windows or videos; `update`
    never asks for that.

    Args:
        protocol: id of a protocol, or the protocol itself.
        weights: of the backbone: `published`, `random@1`, or the path of a file.
        backbone: a ready backbone in place of `weights`, to share it between metrics.
        **kwargs: of `torchmetrics.Metric`.

    Raises:
        UsageError: if there is no such protocol, or it does not have this metric.
        WeightsError: if the weights are missing or damaged.
    """

    higher_is_better = False
    backbone_name: ClassVar[str]
    unit: ClassVar[str]

    def __init__(
        self,
        protocol: str | Protocol = MCBENCH,
        weights: str = "published",
        backbone: FrameBackbone | PairBackbone | WindowBackbone | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(protocol, **kwargs)
        self._network = Network(self.backbone_name, weights, backbone)
        self._add_states("prediction_features", "truth_features", "lengths", key=self._network.key)

    @property
    def backbone(self) -> Any:
        """The network, on the metric's device."""
        return self._network.on(self.device)

    def _features(self, frames: Tensor) -> Tensor:
        """Features of one video, (n, d)."""
        raise NotImplementedError

    def _distance(self, predictions: Sequence[Values], truths: Sequence[Values]) -> float:
        """The distance from the features of each video."""
        raise NotImplementedError

    def _measure(self, prediction: Tensor, truth: Tensor) -> dict[str, Any]:
        features = self._features(truth)
        return {
            "prediction_features": self._features(prediction),
            "truth_features": features,
            "lengths": float(len(features)),
        }

    def _value(self) -> float:
        lengths = self._gather("lengths").astype(int)
        if lengths.sum() == 0:
            raise ValueError(f"{self.name} has no value: {len(lengths)} videos have no {self.unit}")
        ends = np.cumsum(lengths)[:-1]
        sides = []
        for state in ("prediction_features", "truth_features"):
            vectors = self._gather(state).reshape(lengths.sum(), -1)
            sides.append([video for video in np.split(vectors, ends) if len(video)])
        return self._distance(*sides)


class FrameFeatureMetric(FeatureMetric):
    """Features of single frames; the reference frame is among them in both protocols."""

    unit = "frame"

    def _features(self, frames: Tensor) -> Tensor:
        features: Tensor = self.backbone.features(frames)
        return features


class WindowFeatureMetric(FeatureMetric):
    """Features of windows of 16 frames; a shorter video has none and does not count."""

    unit = "window of 16 frames"

    def _features(self, frames: Tensor) -> Tensor:
        starts = window_starts(len(frames), self.protocol.window_stride, self.protocol.window_length)
        if not starts:
            return torch.empty(0, device=self.device)
        backbone = self.backbone
        prepared = backbone.prepare(frames)
        # Not all are cut out at once: at stride 1 they repeat each frame 16 times.
        parts, step = [], backbone.batch
        for first in range(0, len(starts), step):
            block = starts[first : first + step]
            windows = torch.stack([prepared[start : start + self.protocol.window_length] for start in block])
            parts.append(backbone.features(windows))
        return torch.cat(parts)


def _whole_videos(predictions: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    for name, frames in (("predictions", predictions), ("truth", truth)):
        if not isinstance(frames, Tensor) or frames.dtype != torch.uint8:
            kind = frames.dtype if isinstance(frames, Tensor) else type(frames).__name__
            raise ValueError(f"{name} must be a uint8 tensor with values in [0, 255], not {kind}")
        if frames.ndim not in (4, 5) or frames.shape[-1] != 3 or frames.numel() == 0:
            shape = tuple(frames.shape)
            raise ValueError(f"{name} must have the shape ([videos,] frames, height, width, 3), not {shape}")
    if predictions.shape != truth.shape:
        shapes = f"{tuple(predictions.shape)} and {tuple(truth.shape)}"
        raise ValueError(f"predictions and truth must have one shape, not {shapes}")
    return (predictions[None], truth[None]) if truth.ndim == 4 else (predictions, truth)
