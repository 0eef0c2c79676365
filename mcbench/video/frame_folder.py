"""A folder of PNG or JPEG frames."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mcbench.errors import VideoError
from mcbench.video.common import hash_file, number_key
from mcbench.video.image import decode_image

__all__ = ["IMAGE_SUFFIXES", "FrameFolder"]

Frame = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")

MAX_FILE = 1 << 30
"""Bytes of an image file; the largest picture that Pillow takes has 0.7 GB of pixels."""


@dataclass
class FrameFolder:
    """A folder of PNG or JPEG frames, sorted as numbers (2 before 10).

    8-bit greyscale, palette and opaque alpha images and 16-bit images whose values are 8-bit ones times 257 become
    RGB without loss, and `conversions` says so. What would lose something is an error.

    Attributes:
        path: the folder.
        fps: frames a second, as the caller knows it.
        conversions: what was converted while reading, in words.
    """

    path: Path
    fps: float | None = None
    conversions: set[str] = field(default_factory=set)

    @property
    def container(self) -> str:
        """File kinds in it, as their endings say."""
        return "/".join(sorted({file.suffix.lower().lstrip(".") for file in self.files}))

    @cached_property
    def files(self) -> list[Path]:
        """The image files in the order of their numbers."""
        try:
            entries = [entry for entry in self.path.iterdir() if _is_frame(entry)]
            odd = next((entry for entry in entries if not entry.is_file()), None)
        except OSError as error:
            why = error.strerror or error
            raise VideoError(f"{self.path}: cannot be listed ({why}); mend its permissions") from error
        if odd is not None:  # to read from a pipe would wait for ever
            raise VideoError(f"{odd}: named as a frame, but not a file, or a link to none; remove it")
        files = sorted(entries, key=lambda entry: number_key(entry.stem))
        if not files:
            raise VideoError(f"{self.path}: no frames in it; put one .png or .jpg for each frame there")
        for one, other in itertools.pairwise(files):
            if number_key(one.stem) == number_key(other.stem):
                raise VideoError(f"{self.path}: {one.name} and {other.name} are the same frame number; keep one")
        return files

    @property
    def frames(self) -> int:
        return len(self.files)

    @cached_property
    def size(self) -> tuple[int, int]:
        return self._load(self.files[0]).shape[:2]

    def read(self) -> Iterator[Frame]:
        first: tuple[int, int] | None = None
        for file in self.files:
            frame = self._load(file)
            first = first or frame.shape[:2]
            if frame.shape[:2] != first:
                raise VideoError(
                    f"{file}: {frame.shape[1]} x {frame.shape[0]}, but {self.files[0].name} is"
                    f" {first[1]} x {first[0]}; all frames of a clip have one size"
                )
            yield frame

    def digest(self) -> str:
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(os.fsencode(file.name) + b"\0")
            hash_file(file, digest)
            digest.update(b"\0")
        return digest.hexdigest()

    def _load(self, file: Path) -> Frame:
        try:
            if file.stat().st_size > MAX_FILE:
                raise VideoError(f"{file}: larger than any frame, 1 GiB; write it again")
            data = file.read_bytes()
        except PermissionError as error:
            raise VideoError(f"{file}: no right to read it; mend its permissions") from error
        except OSError as error:
            raise VideoError(f"{file}: cannot be read ({error.strerror or error}); write it again") from error
        return decode_image(data, str(file), self.conversions)


def _is_frame(entry: Path) -> bool:
    return entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".")
