"""Frames that other people's programs wrote, one image file each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from baselines.external.starts import OutputError

__all__ = ["read_frame_files"]

_FORMATS = ("PNG", "JPEG")
"""Told by content. Pillow knows dozens more, some of which start other programs."""


def read_frame_files(paths: Iterable[Path], size: tuple[int, int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Frames from PNG or JPEG files, one in memory at a time.

    Args:
        paths: the files in order.
        size: height and width in pixels that every one of them must have.

    Yields:
        uint8 RGB (height, width, 3).

    Raises:
        OutputError: if a file is missing, of another size, or no image of 8-bit RGB; names the file.
    """
    for path in paths:
        try:
            with Image.open(path, formats=_FORMATS) as image:
                if (image.height, image.width) != size:
                    raise OutputError(
                        f"{path}: {image.width} x {image.height}, expected {size[1]} x {size[0]}; is the checkout the"
                        " repository's own?"
                    )
                if image.mode != "RGB":
                    raise OutputError(f"{path}: an image of mode {image.mode}, expected RGB")
                yield np.asarray(image)
        except FileNotFoundError:
            raise OutputError(f"{path}: the program did not write this frame") from None
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise OutputError(f"{path}: this frame does not decode ({_reason(error)}); run again") from error


def _reason(error: Exception) -> str:
    # Pillow's own message shows an address in memory, or several lines.
    return "not an image" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())
