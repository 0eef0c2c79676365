"""Decode and encode: the only place that touches pixels on disk.

Frames are uint8 RGB arrays of shape (height, width, 3) everywhere. Three kinds of source are read, frame by frame,
in order, never through a change of rate: a folder of PNG or JPEG files, a video, a GIF.

Videos go through PyAV, which refuses damage when it is told to. decord is as fast and equal byte for byte on whole
8-bit files, but returns wrong frames from damaged ones without a word, and is tens of grey levels off on 10-bit video.
"""

from __future__ import annotations

from pathlib import Path

from mcbench.errors import VideoError
from mcbench.video.common import number_key
from mcbench.video.frame_folder import IMAGE_SUFFIXES, FrameFolder
from mcbench.video.image import decode_image
from mcbench.video.video_file import VIDEO_SUFFIXES, VideoFile
from mcbench.video.write import write_frames, write_video

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "FrameFolder",
    "VideoFile",
    "decode_image",
    "find_clips",
    "open_frames",
    "write_frames",
    "write_video",
]


def open_frames(path: Path | str, fps: float | None = None) -> FrameFolder | VideoFile:
    """Frames at `path`: a folder of images, or a video file.

    Args:
        path: folder or file.
        fps: frames a second of a folder of images, which cannot say it itself.

    Raises:
        VideoError: if there is nothing to read, or it cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return FrameFolder(path, fps)
        if path.is_file():
            if path.suffix.lower() not in VIDEO_SUFFIXES:
                raise VideoError(f"{path}: not a video that is read here; use one of {' '.join(VIDEO_SUFFIXES)}")
            return VideoFile(path)
    except PermissionError as error:
        raise VideoError(f"{path}: no right to read it; mend its permissions") from error
    raise VideoError(f"{path}: no such file or folder")


def find_clips(folder: Path) -> dict[str, Path]:
    """The clips in a folder of predictions or truths: `<clip>/` with images, or `<clip>.mp4` and the like.

    Returns:
        Clip name to path, in the order of the names' numbers.

    Raises:
        VideoError: if the folder is missing, unreadable or empty, or two entries claim one clip name.
    """
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except FileNotFoundError:
        raise VideoError(f"{folder}: no such folder") from None
    except NotADirectoryError:
        raise VideoError(
            f"{folder}: not a folder; give the folder that holds one video or folder for each clip"
        ) from None
    except OSError as error:
        raise VideoError(f"{folder}: cannot be listed ({error.strerror or error}); mend its permissions") from error
    clips: dict[str, Path] = {}
    for entry in sorted(entries, key=lambda entry: number_key(entry.name)):
        try:
            is_folder = entry.is_dir()
        except OSError as error:
            raise VideoError(f"{folder}: no right to look into it; mend its permissions") from error
        if is_folder:
            name = entry.name
        elif entry.suffix.lower() in VIDEO_SUFFIXES:
            name = entry.stem
        else:
            continue
        if not _is_text(name):
            raise VideoError(f"{folder}: the name {name!r} is not UTF-8, and no result could hold it; rename it")
        if name in clips:
            raise VideoError(f"{folder}: {clips[name].name} and {entry.name} are both clip '{name}'; keep one")
        clips[name] = entry
    if not clips:
        raise VideoError(f"{folder}: holds no clip; it should have <clip>/*.png or <clip>.mp4 for each clip")
    return clips


def _is_text(name: str) -> bool:
    """Whether a file's name was valid UTF-8: Python keeps bytes that are not as surrogates, which no file takes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
