"""A folder of PNG or JPEG frames."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from mcbench.errors import VideoError
from mcbench.video.common import hash_file, number_key, one_line

__all__ = ["IMAGE_SUFFIXES", "FrameFolder"]

Frame = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


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
        except OSError as error:
            why = error.strerror or error
            raise VideoError(f"{self.path}: cannot be listed ({why}); mend its permissions") from error
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
            if file.suffix.lower() == ".png" and _png_bit_depth(file) == 16:
                return self._load_16_bit(file)
            with Image.open(file) as image:
                image.load()
                return self._to_rgb(image, file)
        except VideoError:
            raise
        except PermissionError as error:
            raise VideoError(f"{file}: no right to read it; mend its permissions") from error
        except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise VideoError(f"{file}: this frame does not decode ({one_line(error)}); write it again") from error

    def _to_rgb(self, image: Image.Image, file: Path) -> Frame:
        if image.mode == "RGB" and "transparency" not in image.info:
            return np.asarray(image)
        if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
            rgba = image.convert("RGBA")
            low, _ = rgba.getchannel("A").getextrema()
            if low != 255:
                raise VideoError(f"{file}: has transparent pixels; flatten it onto the background that you mean")
            self.conversions.add("opaque alpha channel dropped")
            return np.asarray(rgba.convert("RGB"))
        if image.mode in {"P", "L", "1"}:
            self.conversions.add({"P": "palette", "L": "greyscale", "1": "black and white"}[image.mode] + " to RGB")
            return np.asarray(image.convert("RGB"))
        raise VideoError(f"{file}: colour mode {image.mode} has no lossless way to 8-bit RGB; write it as RGB")

    def _load_16_bit(self, file: Path) -> Frame:
        # Pillow silently cuts 16-bit RGB to its upper byte; OpenCV keeps both.
        data = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED)
        if data is None:
            raise VideoError(f"{file}: this frame does not decode; write it again")
        if data.dtype == np.uint16:
            if np.any(data % 257):
                raise VideoError(f"{file}: 16 bits a channel, which 8-bit RGB cannot hold; write it as 8-bit RGB")
            data = (data // 257).astype(np.uint8)
        self.conversions.add("16-bit values that are 8-bit ones times 257 to 8 bits")
        if data.ndim == 2:
            return np.repeat(data[:, :, None], 3, axis=2)
        if data.shape[2] == 4:
            if data[:, :, 3].min() != 255:
                raise VideoError(f"{file}: has transparent pixels; flatten it onto the background that you mean")
            data = data[:, :, :3]
        return np.ascontiguousarray(data[:, :, ::-1])


def _is_frame(entry: Path) -> bool:
    return entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".")


def _png_bit_depth(file: Path) -> int | None:
    """Bits a channel of a PNG (PNG specification: the ninth byte of the IHDR chunk's data), None if it is none."""
    with file.open("rb") as stream:
        header = stream.read(25)
    return header[24] if len(header) == 25 and header.startswith(b"\x89PNG\r\n\x1a\n") else None
