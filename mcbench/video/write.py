"""Frames to disk: lossless folders, and videos that browsers play. Both appear whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from mcbench.atomic import replacing_folder
from mcbench.errors import VideoError
from mcbench.video.common import one_line

__all__ = ["write_frames", "write_video"]

Frame = npt.NDArray[np.uint8]

_WRITTEN = re.compile(r"\d{5,}\.png")
_COLOURS = {"color_primaries": "bt709", "color_trc": "bt709", "colorspace": "smpte170m", "color_range": "tv"}
"""What FFmpeg makes of RGB. Where a file does not say so, browsers take BT.709's matrix for 720 lines and more, and
show colours up to 18 levels off; they only believe a file that names all four."""


def write_frames(folder: Path, frames: Iterable[Frame]) -> int:
    """Write frames as `00000.png …`; the folder appears whole or not at all, and replaces one that is there.

    Temporary folders that a killed process left beside it are removed; only one process may write a folder at a time.

    Args:
        folder: the folder to make.
        frames: (height, width, 3) uint8 RGB each. What they raise themselves goes to the caller as it is.

    Returns:
        How many were written.

    Raises:
        VideoError: if the disk is full, the place cannot be written to, or the folder holds anything but such frames.
    """
    count = 0
    with replacing_folder(folder, "frames", partial(_unwritable, folder)) as temporary:
        for frame in frames:
            try:
                # Level 1 is a third of the time of Pillow's default 6 for files 10% larger.
                Image.fromarray(frame).save(temporary / f"{count:05d}.png", compress_level=1)
            except OSError as error:
                raise _unwritable(folder, error) from error
            count += 1
        _check_replaceable(folder)
    return count


def write_video(
    path: Path, frames: Iterable[Frame], fps: float, *, crf: int = 18, keyframe_every: int | None = None
) -> int:
    """Write an H.264 video that browsers play (yuv420p, faststart); it appears whole or not at all.

    Args:
        path: the .mp4 file to make.
        frames: (height, width, 3) uint8 RGB each, of one even size.
        fps: frames a second.
        crf: constant rate factor of x264, 0 (lossless) to 51; 18 is visually lossless.
        keyframe_every: at most so many frames from one keyframe to the next: fewer make a larger file in which a
            player finds any frame sooner. x264's own choice by default, up to 250.

    Returns:
        How many were written.

    Raises:
        VideoError: if the disk is full, the place cannot be written to, or there is no frame.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    try:
        with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream: Any = None
            for frame in frames:
                if stream is None:
                    stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
                    stream.height, stream.width = frame.shape[:2]
                    stream.pix_fmt = "yuv420p"
                    stream.options = {"crf": str(crf), **_COLOURS}
                    if keyframe_every is not None:
                        stream.options["g"] = str(keyframe_every)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
                count += 1
            if stream is None:
                raise VideoError(f"{path}: there is no frame to write")
            container.mux(stream.encode(None))
        temporary.replace(path)
    except (av.error.FFmpegError, OSError) as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _check_replaceable(folder: Path) -> None:
    """Refuse to replace a folder that holds anything but frames as they are written here."""
    try:
        strange = next((entry for entry in folder.iterdir() if not _WRITTEN.fullmatch(entry.name)), None)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(folder, error) from error
    if strange is not None:
        raise VideoError(f"{folder}: holds {strange.name}, which is no frame of ours; name another folder")


def _unwritable(path: Path, error: Exception) -> VideoError:
    why = getattr(error, "strerror", None) or one_line(error)
    return VideoError(f"{path}: cannot be written ({why}); free space there, or mend its permissions")
