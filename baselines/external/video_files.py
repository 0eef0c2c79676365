"""Videos that go to other people's programs without loss, and those that come back from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from baselines.external.starts import OutputError
from mcbench import MethodError, UserError, open_frames

__all__ = ["read_tile", "write_exact_video"]

Frame = npt.NDArray[np.uint8]


def write_exact_video(path: Path, frames: Iterable[Frame], fps: float) -> int:
    """Write an .mp4 whose decoded frames equal these, value for value.

    It holds H.264 in RGB with a quantiser of 0. FFmpeg, and so PyAV, decord, OpenCV and imageio, decodes it to the RGB
    that went in; browsers do not play it. A pose drawing or DensePose picture in the usual yuv420p would lose half
    the resolution of its colours, which are all that it says.

    Args:
        path: the file to make, in a folder that is there.
        frames: (height, width, 3) uint8 RGB each, of one size.
        fps: frames a second.

    Returns:
        How many were written.

    Raises:
        MethodError: if there is no frame, or the disk is full or not to be written to.
    """
    import av

    count = 0
    try:
        with av.open(str(path), "w", format="mp4") as container:
            stream: Any = None
            for frame in frames:
                if stream is None:
                    stream = container.add_stream("libx264rgb", rate=Fraction(fps).limit_denominator(1001))
                    stream.height, stream.width = frame.shape[:2]
                    stream.pix_fmt = "rgb24"
                    stream.options = {"qp": "0", "preset": "veryfast"}
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
                count += 1
            if stream is None:
                raise MethodError(f"{path}: there is no frame to write")
            container.mux(stream.encode(None))
    except (av.error.FFmpegError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        raise MethodError(f"{path}: cannot be written ({why}); free space there, or mend its permissions") from error
    return count


def read_tile(
    video: Path, *, frames: int, counts: Iterable[int], size: tuple[int, int], tile: tuple[int, int, int]
) -> Iterator[Frame]:
    """The first frames of a video that a program wrote, cut to one square tile.

    Args:
        video: the file.
        frames: how many to return.
        counts: how many the video may hold; the last of them have no meaning where that is more than `frames`.
        size: height and width that it must have.
        tile: left, top and side of the square to return.

    Yields:
        `frames` arrays, uint8 RGB (side, side, 3).

    Raises:
        OutputError: if the file is missing or damaged, or its size or its number of frames is another.
    """
    left, top, side = tile
    count = 0
    try:
        for frame in open_frames(video).read():
            if frame.shape[:2] != size:
                raise OutputError(
                    f"{video}: {frame.shape[1]} x {frame.shape[0]}, expected {size[1]} x {size[0]}; is the checkout the"
                    " repository's own?"
                )
            if count < frames:
                yield np.ascontiguousarray(frame[top : top + side, left : left + side])
            count += 1
    except OutputError:
        raise
    except UserError as error:
        raise OutputError(f"the program's output cannot be read: {error}") from error
    allowed = sorted(set(counts))
    if count not in allowed:
        raise OutputError(f"{video}: {count} frames, expected {' or '.join(map(str, allowed))}")
