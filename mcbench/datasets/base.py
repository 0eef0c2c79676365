"""Clip and Dataset: what every data set gives, whatever its files look like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from mcbench.errors import DatasetError

__all__ = ["KEYPOINT_NAMES", "Annotations", "Clip", "Dataset", "FrameSource", "ReferenceAnnotations"]

KEYPOINT_NAMES = (
    "nose", "neck",
    "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""OpenPose's 18 body keypoints in their order. Right and left are the character's own."""


@runtime_checkable
class FrameSource(Protocol):
    """Frames on disk: `mcbench.video.open_frames` makes one from a video file or a folder.

    `conversions` collects, while reading, what was converted without loss, in words.
    """

    conversions: set[str]

    @property
    def container(self) -> str:
        """File kind, such as `png` or `mp4`."""

    @property
    def frames(self) -> int:
        """Number of frames."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""

    @property
    def fps(self) -> float | None:
        """Frames a second, None where the container does not say."""

    def read(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Every frame in order, uint8 RGB of shape (height, width, 3)."""

    def digest(self) -> str:
        """SHA-256 (hex) over the names and bytes of the files."""


@dataclass(frozen=True)
class ReferenceAnnotations:
    """What is known of a reference image that is not a frame of its clip. Fields as in `Annotations`, without time."""

    keypoints: npt.NDArray[np.float32]
    visibility: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]


@runtime_checkable
class Annotations(Protocol):
    """What an estimator would have to guess, known exactly. T frames, K characters, pixels of the clip's own size.

    A character keeps its index on the K axis through the whole clip: that is its identity. A character that is out
    of the scene has visibility 0 everywhere.
    """

    @property
    def keypoints(self) -> npt.NDArray[np.float32]:
        """(T, K, 18, 2), x then y in pixels; the centre of the top left pixel is (0, 0). Order: KEYPOINT_NAMES."""

    @property
    def visibility(self) -> npt.NDArray[np.uint8]:
        """(T, K, 18): 0 outside the picture or absent, 1 hidden behind something, 2 visible (COCO's three states)."""

    @property
    def background_motion(self) -> npt.NDArray[np.float64]:
        """(T, 2, 3): affine map from a background pixel of frame i-1 to its place in frame i; identity for frame 0."""

    def masks(self, start: int = 0, stop: int | None = None) -> npt.NDArray[np.uint8]:
        """Instance masks of frames [start, stop), (n, H, W): 0 background, k + 1 character k."""

    def depth(self, start: int = 0, stop: int | None = None) -> npt.NDArray[np.float32]:
        """Depth of frames [start, stop), (n, H, W): metres from the camera, smaller is nearer."""

    def reference(self) -> ReferenceAnnotations | None:
        """Of the reference image, where it is not a frame of the clip; else None."""


@dataclass(frozen=True)
class Clip:
    """One video of a data set.

    Attributes:
        name: unique in the data set, and a file name: predictions carry the same name.
        source: the true frames.
        frames: how many frames count (the first `frames` of the source).
        fps: frames a second.
        reference_frame: index of the frame given to the method as appearance, None where `reference_source` holds it.
        reference_source: a source of one frame, where the reference image is not a frame of the clip.
        annotations: exact annotations where they exist.
    """

    name: str
    source: FrameSource
    frames: int
    fps: float
    reference_frame: int | None = 0
    reference_source: FrameSource | None = None
    annotations: Annotations | None = None

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith(".") or set(self.name) & set("/\\\0"):
            raise DatasetError(
                f"a clip cannot be called {self.name!r}: its name must be a file name without a leading dot"
            )
        if self.frames < 1:
            raise DatasetError(f"clip '{self.name}': {self.frames} frames; it needs at least 1")
        if (self.reference_frame is None) == (self.reference_source is None):
            raise DatasetError(f"clip '{self.name}': give either a reference frame or a reference image of its own")
        if self.reference_frame is not None and self.reference_frame < 0:
            raise DatasetError(f"clip '{self.name}': reference frame {self.reference_frame}; frames are counted from 0")


@dataclass(frozen=True)
class Dataset:
    """A named, versioned list of clips.

    Attributes:
        name: as `mcbench datasets` lists it, `custom` for a folder of truths.
        version: changes whenever a frame changes.
        clips: in the order in which they are measured.
        folder: where a folder of truths lies, None for a named data set.
    """

    name: str
    version: str
    clips: tuple[Clip, ...]
    folder: Path | None = None
