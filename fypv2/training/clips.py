"""Clips to train on: frames, and everything that an estimator or the drawing said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from fypv2.conditions import Poses, background_flow, crop_resize_flow, motion_between
from mcbench import UserError

__all__ = ["AffineFlow", "ClipInfo", "ClipSource", "DenseFlow", "Flow", "ShardError", "TrainingClip"]


class ShardError(UserError):
    """Training data that is missing, damaged, unfinished or not to be trusted."""


@dataclass(frozen=True)
class AffineFlow:
    """Exact motion of a background, as the synthetic annotations have it.

    Attributes:
        motion: float64 (T, 2, 3): affine map from a background pixel of frame i - 1 to its place in frame i; the
            identity where there is no frame before.
        size: height and width of the frames in pixels.
    """

    motion: npt.NDArray[np.float64]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.motion)

    def dense(self, index: int) -> npt.NDArray[np.float32]:
        """Backward flow of one frame: float32 (H, W, 2), x then y in pixels; p of frame i is at p + flow[p] before."""
        return background_flow(self.motion[index][None], self.size)[0]

    def choose(self, frames: Sequence[int]) -> AffineFlow:
        """The flow of chosen frames, rising: each from the chosen one before, the first from its true predecessor."""
        motion = motion_between(self.motion, frames)
        if len(frames):
            motion[0] = self.motion[frames[0]]
        return AffineFlow(motion, self.size)


@dataclass(frozen=True)
class DenseFlow:
    """Estimated motion.

    Attributes:
        vectors: float16 (T, h, w, 2), x then y, backward, in pixels of their own grid; zero where there is no frame
            before. The grid may be coarser than the frames.
        size: height and width of the frames in pixels.
    """

    vectors: npt.NDArray[np.float16]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.vectors)

    def dense(self, index: int) -> npt.NDArray[np.float32]:
        """Backward flow of one frame: float32 (H, W, 2), x then y in pixels; p of frame i is at p + flow[p] before."""
        return crop_resize_flow(self.vectors[index].astype(np.float32), *self.size)

    def choose(self, frames: Sequence[int]) -> DenseFlow:
        """The flow of chosen frames, rising: each from the chosen one before, the first from its true predecessor.

        Steps between are joined by following each pixel; what leaves the picture keeps the motion at its border.
        """
        if any(later <= earlier for earlier, later in pairwise(frames)):
            raise ValueError(f"frames {list(frames)} do not rise")
        starts = [frames[0] - 1, *frames[:-1]] if len(frames) else []
        chosen = [_joined(self.vectors[start + 1 : stop + 1]) for start, stop in zip(starts, frames, strict=True)]
        return DenseFlow(np.stack(chosen) if chosen else self.vectors[:0], self.size)


Flow: TypeAlias = AffineFlow | DenseFlow


@dataclass(frozen=True)
class ClipInfo:
    """What is known of a clip before it is read.

    Attributes:
        name: unique in its source.
        frames: T.
        size: height and width in pixels.
        fps: frames a second.
        people: K.
    """

    name: str
    frames: int
    size: tuple[int, int]
    fps: float
    people: int


@dataclass(frozen=True)
class TrainingClip:
    """One stretch of video without a cut; T frames of H x W pixels, K characters.

    Attributes:
        name: unique in its source.
        frames: uint8 (T, H, W, 3), RGB.
        fps: frames a second.
        poses: in pixels of H x W; identity is the index on the K axis.
        flow: motion of the background, from each frame to the one before; None where none was estimated.
        nearness: float16 (T, H, W), larger is nearer, in any unit.
        masks: uint8 (T, H, W), 0 background, k + 1 character k, where they are known exactly; else None.
    """

    name: str
    frames: npt.NDArray[np.uint8]
    fps: float
    poses: Poses
    flow: Flow | None
    nearness: npt.NDArray[np.float16]
    masks: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        count, height, width = self.frames.shape[:3]
        if self.frames.dtype != np.uint8 or self.frames.shape != (count, height, width, 3):
            raise ValueError(f"frames are {self.frames.dtype} of shape {self.frames.shape}; give uint8 (T, H, W, 3)")
        if self.poses.frames != count or self.poses.size != (height, width):
            raise ValueError(f"poses of {self.poses.frames} frames of {self.poses.size} for {count} of {height, width}")
        if self.flow is not None and (len(self.flow) != count or self.flow.size != (height, width)):
            raise ValueError(f"flow of {len(self.flow)} frames of {self.flow.size} for {count} of {height, width}")
        for what, array in (("nearness", self.nearness), ("masks", self.masks)):
            if array is not None and array.shape != (count, height, width):
                raise ValueError(f"{what} of shape {array.shape} for {count} frames of {height, width}")


class ClipSource(Protocol):
    """What a trainer draws from. Safe to pickle and to read from many processes at once."""

    def __len__(self) -> int:
        """How many clips there are."""

    def info(self, index: int) -> ClipInfo:
        """What is known of a clip without reading its pixels."""

    def read(self, index: int, frames: Sequence[int] | None = None) -> TrainingClip:
        """A clip, or chosen frames of it alone: only what is asked for is decoded.

        Args:
            index: 0 to len - 1.
            frames: rising indices of frames; all if None. The flow of a chosen frame is then from the chosen one
                before it, that of the first from its true predecessor in the clip.
        """

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the manifest, which itself holds the digests of everything."""


def _joined(steps: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
    """One backward flow out of those of consecutive frames, the last of which is where it starts."""
    total = steps[-1].astype(np.float32)
    if len(steps) == 1:
        return steps[-1]
    x, y = np.meshgrid(np.arange(total.shape[1], dtype=np.float32), np.arange(total.shape[0], dtype=np.float32))
    for step in steps[-2::-1]:
        total += cv2.remap(
            step.astype(np.float32), x + total[..., 0], y + total[..., 1], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
    return total.astype(np.float16)
