"""Videos: which there are, and whether one can be used at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fypv2.training.clips import ShardError
from mcbench import UserError, open_frames

__all__ = ["BadVideoError", "Footage", "find_videos", "open_footage", "reason_of"]

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".gif")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")

MOST_PIXELS = 7680 * 4320
"""Of a frame: 8K. What announces more is an error or an attack, and its frames would take 100 MB each."""

_CONTAINERS = {"mp4", "matroska", "avi", "gif", "mpegts", "mpeg", "flv", "ogg", "asf"}
"""FFmpeg's names of formats that hold a video themselves."""
_HDR = {16: "PQ", 18: "HLG"}
"""Transfer characteristics of ITU-T H.273 whose numbers, taken for ordinary ones, give pale and shifted colours."""


class BadVideoError(UserError):
    """A video that cannot be used; it is listed with its reason, and the run goes on."""


@dataclass(frozen=True)
class Footage:
    """An open video.

    Attributes:
        path: where it lies.
        source: its frames, a `mcbench.FrameSource`.
        frames: how many.
        size: height and width in pixels.
        fps: frames a second, None where nobody says.
    """

    path: Path
    source: Any
    frames: int
    size: tuple[int, int]
    fps: float | None

    @property
    def notes(self) -> set[str]:
        """What was converted while reading, in words; complete when all is read."""
        return set(self.source.conversions)


def find_videos(places: Sequence[Path]) -> dict[str, Path]:
    """All videos in folders, however deep, and videos named themselves.

    A folder that holds images is one video. Hidden files, and links to folders, are passed over.

    Args:
        places: folders and files.

    Returns:
        Name to path, sorted by name: the path relative to its folder; where several places are given, with the place's
        own name in front.

    Raises:
        ShardError: if a place is missing or cannot be listed, two videos get one name, or there is none.
    """
    found: dict[str, Path] = {}
    for place in places:
        if not place.exists():
            raise ShardError(f"{place}: no such file or folder; give videos, or a folder of videos")
        front = f"{place.resolve().name}/" if len(places) > 1 else ""
        videos = {"": place} if place.is_file() or _is_frame_folder(place) else _walk(place)
        for relative, path in videos.items():
            name = front + relative if relative else place.resolve().name
            # Names of files are bytes; what is no UTF-8 among them could stand in no JSON.
            name = name.encode("utf-8", "backslashreplace").decode()
            if name in found:
                raise ShardError(f"{path}: {found[name]} has the name '{name}' too; rename one")
            found[name] = path
    if not found:
        raise ShardError(
            f"{places[0]}: holds no video; give folders with {' '.join(VIDEO_SUFFIXES)} files or folders of images"
        )
    return dict(sorted(found.items()))


def open_footage(path: Path) -> Footage:
    """Opens a video, and refuses at once what can be refused.

    Raises:
        BadVideoError: with the reason.
    """
    if path.is_file():
        _check_container(path)
    try:
        source = open_frames(path)
        height, width = source.size
        footage = Footage(path, source, source.frames, (height, width), source.fps)
    except UserError as error:
        raise BadVideoError(reason_of(error, path)) from error
    # A decoder that meets a hostile file may raise anything; no file may end the run.
    except Exception as error:
        raise BadVideoError(f"unreadable ({type(error).__name__}: {reason_of(error, path)})") from error
    if height * width > MOST_PIXELS:
        raise BadVideoError(f"gigantic: frames of {width} x {height} pixels; 7680 x 4320 are the most")
    return footage


def _check_container(path: Path) -> None:
    """Refuses what is no video in itself, and colours that would be read wrongly."""
    import av

    try:
        # A playlist may name other files and other machines; it is told before any of them is opened.
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            kinds = set(container.format.name.split(","))
            transfer = int(container.streams.video[0].codec_context.color_trc or 0) if container.streams.video else 0
    except Exception as error:
        why = getattr(error, "strerror", None) or reason_of(error, path)
        raise BadVideoError(f"not a video that can be read ({why})") from error
    if not kinds & _CONTAINERS:
        raise BadVideoError(f"not a video that can be read (its content is {min(kinds)}, whatever it is called)")
    if transfer in _HDR:
        raise BadVideoError(f"wrong colour: high dynamic range ({_HDR[transfer]}); convert it to BT.709 first")


def _walk(folder: Path) -> dict[str, Path]:
    videos = {}

    def fail(error: OSError) -> None:
        raise ShardError(f"{error.filename}: cannot be listed ({error.strerror}); mend its permissions")

    for parent, folders, files in os.walk(folder, onerror=fail):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if here != folder and any(_has(name, IMAGE_SUFFIXES) for name in files):
            videos[here.relative_to(folder).as_posix()] = here
        for name in files:
            if _has(name, VIDEO_SUFFIXES):
                videos[(here / name).relative_to(folder).as_posix()] = here / name
    return videos


def _is_frame_folder(folder: Path) -> bool:
    try:
        return any(_has(entry.name, IMAGE_SUFFIXES) for entry in folder.iterdir())
    except OSError as error:
        raise ShardError(f"{folder}: cannot be listed ({error.strerror or error}); mend its permissions") from error


def _has(name: str, suffixes: tuple[str, ...]) -> bool:
    return not name.startswith(".") and name.lower().endswith(suffixes)


def reason_of(error: BaseException, path: Path) -> str:
    """An error's message in one line, without the path, of which the list has its own name."""
    text = " ".join(str(error).split())
    return text.replace(f"{path}: ", "").replace(f"{path}/", "")[:300] or type(error).__name__
