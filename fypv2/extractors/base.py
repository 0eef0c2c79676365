"""What reads poses, motion and depth: three small interfaces behind which estimators and exact annotations swap places.

An extractor is given frames as uint8 RGB arrays (H, W, 3), and tells in its `record` what it is: its name, the versions
of the libraries that it runs on, and the SHA-256 of its weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from fypv2.conditions.poses import Poses
from mcbench import UserError

__all__ = [
    "DepthExtractor",
    "ExtractorError",
    "ExtractorRecord",
    "FlowExtractor",
    "Frame",
    "PoseExtractor",
    "PoseFileError",
    "WeightsUsed",
    "library_versions",
    "missing_library",
    "sized_frames",
]

Frame = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]


class ExtractorError(UserError):
    """Frames, weights or libraries with which an extractor cannot work."""


class PoseFileError(UserError):
    """A file of poses that cannot be read as one, or cannot be written."""


@dataclass(frozen=True)
class WeightsUsed:
    """A weights file that an extractor runs with.

    Attributes:
        file: name of the file, without its folder.
        sha256: of its bytes, hexadecimal.
        source: `published` where the file's hash is the published one's; `by-name` where it has a published file's name
            and no hash is published; `custom` for any other.
    """

    file: str
    sha256: str
    source: str


@dataclass(frozen=True)
class ExtractorRecord:
    """What was used; it goes into results and caches, so equal records mean equal output.

    Attributes:
        name: of the extractor, such as `dwpose-l-384`.
        libraries: name to version of what computes.
        weights: the files, in the order of their use; none for exact annotations.
        settings: what else decides the output.
    """

    name: str
    libraries: dict[str, str]
    weights: tuple[WeightsUsed, ...] = ()
    settings: dict[str, float | int | str | bool | None] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


class PoseExtractor(ABC):
    """Finds people and follows them."""

    @property
    @abstractmethod
    def record(self) -> ExtractorRecord:
        """What it is and which weights it runs with."""

    @abstractmethod
    def poses(self, frames: Iterable[Frame], *, characters: int | None = None) -> Poses:
        """Poses of everyone in a clip, each with one index on the K axis throughout.

        Args:
            frames: uint8 RGB (H, W, 3), all of one size; read once, in order, and not kept.
            characters: how many people there are, where that is known; nobody beyond them is returned.

        Raises:
            ExtractorError: if there are no frames, their sizes differ, or nobody is found in any of them.
        """


class FlowExtractor(ABC):
    """Estimates motion."""

    @property
    @abstractmethod
    def record(self) -> ExtractorRecord:
        """What it is and which weights it runs with."""

    @abstractmethod
    def flows(self, frames: Iterable[Frame]) -> Iterator[Array]:
        """Backward flow, frame by frame: memory for two frames only.

        Args:
            frames: uint8 RGB (H, W, 3), all of one size; read once, in order.

        Yields:
            For frame i float32 (H, W, 2), x then y: the pixel p of v_i is found at p + flow[p] in v_{i-1}. Zero for
            the first frame.

        Raises:
            ExtractorError: if the sizes differ.
        """

    def flow(self, frames: Iterable[Frame]) -> Array:
        """The same as one array: float32 (T, H, W, 2), pixels from v_i to v_{i-1}, [0] = 0.

        Raises:
            ExtractorError: if there are no frames, or their sizes differ.
        """
        made = list(self.flows(frames))
        if not made:
            raise ExtractorError("no frames to find the motion of; give at least one")
        return np.stack(made)


class DepthExtractor(ABC):
    """Estimates who is in front."""

    @property
    @abstractmethod
    def record(self) -> ExtractorRecord:
        """What it is and which weights it runs with."""

    @abstractmethod
    def nearness(self, frame: Frame) -> Array:
        """Nearness of each pixel: float32 (H, W), finite, larger is nearer; its scale and its zero mean nothing.

        Args:
            frame: uint8 RGB (H, W, 3).

        Raises:
            ExtractorError: if that is not a frame.
        """


def sized_frames(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The same frames, checked one by one.

    Raises:
        ExtractorError: if one is not uint8 (H, W, 3), or has another size than the first.
    """
    first: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise ExtractorError(
                f"frame {index} is {frame.dtype} of shape {frame.shape}; give uint8 RGB of shape (height, width, 3)"
            )
        first = first or frame.shape
        if frame.shape != first:
            raise ExtractorError(
                f"frame {index} is {frame.shape[1]} x {frame.shape[0]} pixels and the first {first[1]} x {first[0]}; "
                "give frames of one size"
            )
        yield frame


def library_versions(*names: str) -> dict[str, str]:
    """Installed versions of distributions; one that is not installed is left out."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def missing_library(task: str, error: ImportError) -> ExtractorError:
    """One line for a library that is not installed; to be raised from the error that told so."""
    return ExtractorError(f"{task} needs '{error.name}', which is not installed; run: pip install 'mcbench[extract]'")
