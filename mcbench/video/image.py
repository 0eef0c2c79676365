"""One image file to one frame: what becomes 8-bit RGB without loss does, and all else is refused."""

from __future__ import annotations

import io

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from mcbench.errors import VideoError
from mcbench.video.common import one_line

__all__ = ["decode_image"]

Frame = npt.NDArray[np.uint8]

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
"""Told by content, whatever the file is called. Pillow knows dozens more, some of which start other programs."""
_NAMES = {"P": "palette", "L": "greyscale", "1": "black and white"}


def decode_image(data: bytes, where: str, conversions: set[str], remedy: str = "write it again") -> Frame:
    """Decode an image file that is held in memory.

    8-bit greyscale, palette and opaque alpha images, and 16-bit ones whose values are 8-bit ones times 257, become
    RGB without loss. An image that asks by EXIF to be turned or mirrored is.

    Args:
        data: the bytes of the file.
        where: file or row, for messages.
        conversions: what was converted is added to it, in words.
        remedy: what to do about a file that does not decode, for the message.

    Returns:
        uint8 RGB (height, width, 3).

    Raises:
        VideoError: if it does not decode, or would lose something on its way to 8-bit RGB.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if _png_bit_depth(data) == 16:
                return _from_16_bit(data, where, conversions, remedy)
            image.load()
            return _to_rgb(_upright(image, conversions), where, conversions)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise VideoError(f"{where}: this frame does not decode ({_reason(error)}); {remedy}") from error


def _upright(image: Image.Image, conversions: set[str]) -> Image.Image:
    """The picture as viewers show it: cameras store it lying, and note so."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # whatever nonsense stands there is no fault of the pixels
        return image
    if orientation not in range(2, 9):
        return image
    conversions.add("turned or mirrored as its EXIF data asks")
    return ImageOps.exif_transpose(image)


def _to_rgb(image: Image.Image, where: str, conversions: set[str]) -> Frame:
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema()[0] != 255:
            raise _transparent(where)
        conversions.add("opaque alpha channel dropped")
        return np.asarray(rgba.convert("RGB"))
    if image.mode in _NAMES:
        conversions.add(f"{_NAMES[image.mode]} to RGB")
        return np.asarray(image.convert("RGB"))
    raise VideoError(f"{where}: colour mode {image.mode} has no lossless way to 8-bit RGB; write it as RGB")


def _from_16_bit(data: bytes, where: str, conversions: set[str], remedy: str) -> Frame:
    # Pillow silently cuts 16-bit RGB to its upper byte; OpenCV keeps both.
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise VideoError(f"{where}: this frame does not decode ({one_line(error)}); {remedy}") from error
    if values is None:
        raise VideoError(f"{where}: this frame does not decode; {remedy}")
    if values.dtype == np.uint16:
        if np.any(values % 257):
            raise VideoError(f"{where}: 16 bits a channel, which 8-bit RGB cannot hold; write it as 8-bit RGB")
        values = values // 257
    frame = np.asarray(values, np.uint8)
    conversions.add("16-bit values that are 8-bit ones times 257 to 8 bits")
    if frame.ndim == 2:
        return np.repeat(frame[:, :, None], 3, axis=2)
    if frame.shape[2] == 4:
        if frame[:, :, 3].min() != 255:
            raise _transparent(where)
        frame = frame[:, :, :3]
    return np.ascontiguousarray(frame[:, :, ::-1])


def _transparent(where: str) -> VideoError:
    return VideoError(f"{where}: has transparent pixels; flatten it onto the background that you mean")


def _png_bit_depth(data: bytes) -> int | None:
    """Bits a channel of a PNG (PNG specification: the ninth byte of the IHDR chunk's data), None if it is none."""
    return data[24] if len(data) > 24 and data.startswith(b"\x89PNG\r\n\x1a\n") else None


def _reason(error: Exception) -> str:
    # Pillow names the object in memory, which tells nobody anything.
    return "not an image" if isinstance(error, UnidentifiedImageError) else one_line(error)
