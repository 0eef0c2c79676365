"""What the networks have in common: how frames come in, in which arithmetic they run, how they get their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mcbench.backbones.random_weights import RANDOM_SHA256, random_state, state_digest
from mcbench.backbones.resize import resize_matrix, resize_pillow
from mcbench.backbones.state import fill, read_state, tensor_shapes
from mcbench.backbones.weights import RANDOM, WeightsRecord, open_weights
from mcbench.errors import WeightsError

__all__ = ["Backbone", "FrameBackbone", "Frames", "PairBackbone", "WindowBackbone", "as_frames", "batch_size"]

Frames: TypeAlias = "npt.NDArray[np.uint8] | Tensor"
"""Frames of one size, uint8 RGB of shape (N, H, W, 3)."""

WINDOW_LENGTH = 16


@dataclass(frozen=True)
class Batch:
    """How many frames, windows or frame pairs a network runs at a time.

    Attributes:
        cpu: on a CPU, where a few share the reading of the weights and still fit the cache.
        gpu: on a GPU, which more would not keep busier.
        item_bytes: memory that one takes on a GPU at most: activations at 512 x 512, what cuDNN works in, and what is
            kept of both frames of a pair.
    """

    cpu: int
    gpu: int
    item_bytes: int


BATCHES = {
    "inception": Batch(4, 64, 40 << 20),
    "vgg16": Batch(1, 8, 800 << 20),
    "alexnet": Batch(1, 8, 100 << 20),
    "r3d50": Batch(4, 16, 100 << 20),
    "i3d": Batch(1, 16, 200 << 20),  # on a CPU four at a time leave the cache and take half as long again
}


def batch_size(name: str, device: torch.device) -> int:
    """Items of a network to run at a time: on a GPU as many as take a quarter of the memory that is free, at most."""
    batch = BATCHES[name]
    if device.type != "cuda":
        return batch.cpu
    free, _ = torch.cuda.mem_get_info(device)
    # What torch holds back for tensors to come is free too.
    held_back = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return fitting_batch(batch, free + held_back)


def fitting_batch(batch: Batch, free: int) -> int:
    """The GPU batch, halved until its items take at most a quarter of so many free bytes; never below 1.

    Halved and not cut to measure, so that all cards with room enough, and runs on them, have the same batches.
    """
    size = batch.gpu
    while size > 1 and size * batch.item_bytes > free // 4:
        size //= 2
    return size


def as_frames(frames: Frames, device: torch.device) -> Tensor:
    """Frames as a uint8 tensor (N, H, W, 3) on a device.

    Raises:
        ValueError: if they have another shape or type.
    """
    if isinstance(frames, np.ndarray):
        # A tensor can share neither a read-only array nor one with negative strides.
        shareable = frames.flags.writeable and all(stride >= 0 for stride in frames.strides)
        frames = torch.from_numpy(frames if shareable else frames.copy())
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(f"frames must be uint8 of shape (N, H, W, 3), not {frames.dtype} of {tuple(frames.shape)}")
    # What lies in pinned memory is copied while the processor goes on; for anything else this is an ordinary copy.
    return frames.to(device, non_blocking=True)


@contextmanager
def full_precision() -> Iterator[None]:
    """Inference in true float32: no TF32, whose factors have 10 bits, no autocast of a training loop around it."""
    cudnn: Any = torch.backends.cudnn
    # From torch 2.9 on, a precision that was set by the new name makes the old one raise.
    if hasattr(cudnn, "conv") and hasattr(cudnn.conv, "fp32_precision"):
        settings: list[tuple[Any, str, Any]] = [
            (cudnn.conv, "fp32_precision", "ieee"),
            (cudnn.rnn, "fp32_precision", "ieee"),
        ]
    else:
        settings = [(cudnn, "allow_tf32", False)]
    settings += [(cudnn, "benchmark", False), (cudnn, "deterministic", True)]
    before = [getattr(place, name) for place, name, _ in settings]
    try:
        for place, name, value in settings:
            setattr(place, name, value)
        with torch.inference_mode(), torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
    finally:
        for (place, name, _), value in zip(settings, before, strict=True):
            setattr(place, name, value)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch's bilinear resize on the CPU, whose last bits otherwise depend on how many there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def fold_norm(convolution: Any, norm: Any) -> nn.Module:
    """One convolution that does what a convolution and its batch norm do in evaluation, without the extra pass."""
    folded: nn.Module = nn.utils.fuse_conv_bn_eval(convolution, norm)
    return folded


def _layout(convolution: nn.Module) -> torch.memory_format:
    return torch.channels_last if isinstance(convolution, nn.Conv2d) else torch.channels_last_3d


class Convolution(nn.Module):
    """A convolution on the CPU that always runs in oneDNN, with the channels last.

    torch chooses between oneDNN and kernels up to three times slower by batch size and number of threads. With one
    kernel, the same input gives the same feature to the last bit, in whatever batch and by however many threads, so
    that results do not depend on how clips were shared out.
    """

    def __init__(self, source: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        layout = _layout(source)
        self.weight = nn.Parameter(source.weight.contiguous(memory_format=layout), requires_grad=False)
        self.bias = source.bias
        self.geometry: Any = (source.padding, source.stride, source.dilation, source.groups)

    def forward(self, x: Tensor) -> Tensor:
        """As the source."""
        result: Tensor = torch.mkldnn_convolution(x, self.weight, self.bias, *self.geometry)
        return result


class Backbone(nn.Module):
    """A feature network in evaluation mode, without gradients. It stays on the device that it was loaded on.

    Attributes:
        name: as in `BACKBONES`.
        dimension: length of a feature vector.
        record: which weights it holds.
        unused: beginnings of the keys that published files hold and the network does not use.
    """

    name: str
    dimension: int
    record: WeightsRecord
    unused: tuple[str, ...] = ()

    def core(self) -> nn.Module:
        """The module whose state dict has the published files' keys."""
        return self

    def fold(self) -> None:
        """Join batch norms with the convolutions before them."""

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.parameters()).device

    @property
    def batch(self) -> int:
        """Frames, windows or frame pairs to run at a time."""
        return batch_size(self.name, self.device)

    @classmethod
    def load(cls, weights: str, device: torch.device) -> Backbone:
        """Build the network with weights. Arguments, results and errors as in `load_backbone`."""
        # On the meta device no tensor is made before the weights come: initialising them would take seconds.
        with torch.device("meta"):
            network = cls()
        if weights == RANDOM:
            drawn = random_state(tensor_shapes(network.core()))
            network.record = WeightsRecord(network.name, RANDOM, state_digest(drawn))
            if network.record.sha256 != RANDOM_SHA256[network.name]:
                raise WeightsError(
                    f"{RANDOM} for {network.name} came out with SHA-256 {network.record.sha256} on this machine, not "
                    f"{RANDOM_SHA256[network.name]}: numbers would not be comparable; please report numpy's version"
                )
            fill(network.core(), {key: torch.from_numpy(value) for key, value in drawn.items()}, (), RANDOM)
        else:
            with open_weights(network.name, weights) as (file, path, record):
                state = read_state(file, path)
            network.record = record
            fill(network.core(), state, cls.unused, str(path))
        network.eval().fold()
        if device.type == "cuda":
            for module in network.modules():
                if isinstance(module, nn.Conv2d | nn.Conv3d):
                    module.to(memory_format=_layout(module))
        elif torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            for parent in list(network.modules()):
                for name, child in parent.named_children():
                    if isinstance(child, nn.Conv2d | nn.Conv3d):
                        setattr(parent, name, Convolution(child))
        return network.requires_grad_(False).eval().to(device)


class FrameBackbone(Backbone):
    """A network that makes one feature vector of each frame."""

    def features(self, frames: Frames) -> Tensor:
        """Feature vectors of frames of any one size.

        Args:
            frames: uint8 RGB, (N, H, W, 3).

        Returns:
            float32 (N, dimension), on the network's device.
        """
        frames = as_frames(frames, self.device)
        with full_precision():
            parts = [self.forward(self.preprocess(part)) for part in torch.split(frames, self.batch) if len(part)]
            return torch.cat(parts) if parts else torch.empty(0, self.dimension, device=self.device)

    def preprocess(self, frames: Tensor) -> Tensor:
        """The network's input, float32 (N, 3, S, S), from uint8 frames (N, H, W, 3)."""
        raise NotImplementedError


class PairBackbone(Backbone):
    """A network that measures how unlike two frames are. It works on activations, which can be kept and compared."""

    def activations(self, frames: Frames, signed: bool) -> tuple[Tensor, ...]:
        """Activations of five layers, each pixel's channels scaled to length 1.

        Args:
            frames: uint8 RGB, (N, H, W, 3), at least 32 pixels a side.
            signed: whether the network is fed [-1, 1], for which it was made; else [0, 1].

        Returns:
            five float32 tensors (N, C, H', W') on the network's device, from the finest to the coarsest. At 512 x 512
            they take 128 MB a frame for vgg16 and 11 MB for alexnet.
        """
        raise NotImplementedError

    def distance(self, a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Tensor:
        """Distances of frames from their activations, float32 (N,); 0 is alike."""
        raise NotImplementedError

    def distance_map(self, a: tuple[Tensor, ...], b: tuple[Tensor, ...], size: tuple[int, int]) -> Tensor:
        """Where frames differ: float32 (N, H, W) for a size (H, W); each layer's map is resized bilinearly."""
        raise NotImplementedError


class WindowBackbone(Backbone):
    """A network that makes one feature vector of each window of 16 frames.

    Attributes:
        input_size: side in pixels of the frames that the network takes.
    """

    input_size: int

    def prepare(self, frames: Frames, each: Callable[..., Iterable[Any]] = map) -> Tensor:
        """Resize and scale frames, once each, however many windows they are in.

        Height and width are resized straight to the input size, without a crop. On the CPU that is Pillow's bicubic
        filter in float (mode F), bit for bit; on a GPU the same filter as two matrix products (`resize_matrix`).

        Args:
            frames: uint8 RGB, (N, H, W, 3).
            each: as `map`; on the CPU, that of a pool of threads works on several frames at once.

        Returns:
            float32 (N, 3, input_size, input_size), on the network's device.
        """
        device = self.device
        with torch.inference_mode():
            if device.type == "cuda":
                resized = resize_matrix(as_frames(frames, device), self.input_size)
            else:
                resized = resize_pillow(as_frames(frames, torch.device("cpu")), self.input_size, each)
            return self.scale(resized.to(device))

    def features(self, windows: Tensor) -> Tensor:
        """Feature vectors of windows.

        Args:
            windows: prepared frames, float32 (B, 16, 3, input_size, input_size).

        Returns:
            float32 (B, dimension), on the network's device.
        """
        expected = (WINDOW_LENGTH, 3, self.input_size, self.input_size)
        if windows.dtype != torch.float32 or windows.ndim != 5 or tuple(windows.shape[1:]) != expected:
            raise ValueError(
                f"{self.name} takes float32 windows of shape (B, {', '.join(map(str, expected))}), "
                f"not {windows.dtype} of {tuple(windows.shape)}"
            )
        device = self.device
        layout = torch.channels_last_3d
        with full_precision():
            parts = [
                self.forward(part.to(device).transpose(1, 2).contiguous(memory_format=layout))
                for part in torch.split(windows, self.batch)
                if len(part)
            ]
            return torch.cat(parts) if parts else torch.empty(0, self.dimension, device=device)

    def scale(self, frames: Tensor) -> Tensor:
        """The network's range from float32 frames (N, 3, S, S) on 0-255."""
        raise NotImplementedError
