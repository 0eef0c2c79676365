"""Videos of YouTube, through yt-dlp, which is an optional extra: `pip install 'mcbench[youtube]'`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mcbench.download.faults import DownloadError
from mcbench.download.fetch import sole_process

__all__ = ["fetch_videos", "video_ids"]

_ID = r"[A-Za-z0-9_-]{11}"


def video_ids(text: str) -> list[str]:
    """The ids in `youtube:ID,ID` or in the address of a video; empty for any other text."""
    if text.startswith("youtube:"):
        ids = text.removeprefix("youtube:").split(",")
    else:
        parts = urlsplit(text)
        host = (parts.hostname or "").removeprefix("www.").removeprefix("m.")
        if parts.scheme not in ("http", "https") or host not in ("youtube.com", "youtu.be"):
            return []
        ids = parse_qs(parts.query).get("v") or [parts.path.rstrip("/").rsplit("/", 1)[-1]]
    return list(dict.fromkeys(ids)) if all(re.fullmatch(_ID, id) for id in ids) else []


def fetch_videos(
    ids: Sequence[str],
    folder: Path,
    *,
    offline: bool = False,
    on_note: Callable[[str], None] = lambda text: None,
) -> Path:
    """Fetch videos into `<folder>/<id>.mp4`; those that are there are not fetched again.

    Videos rot: those that are gone are told to `on_note`, and the others are fetched all the same.

    Args:
        ids: of the videos.
        folder: where they go.
        offline: never touch the network.
        on_note: called with one line about the videos that cannot be had.

    Returns:
        `folder`.

    Raises:
        DownloadError: if yt-dlp is not installed, or none of the videos can be had.
    """
    with sole_process(folder, lambda: on_note("waiting for another process that fetches the same videos")):
        missing = [id for id in ids if not (folder / f"{id}.mp4").is_file()]
        if missing and not offline:
            gone = _download(missing, folder)
        else:
            gone = dict.fromkeys(missing, "--offline forbids to fetch it")
    if len(gone) == len(ids):
        raise DownloadError(f"none of {len(ids)} videos of YouTube can be had: {_listed(gone)}")
    if gone:
        on_note(f"{len(gone)} of {len(ids)} videos of YouTube cannot be had: {_listed(gone)}")
    return folder


def _download(ids: Sequence[str], folder: Path) -> dict[str, str]:
    """Those that cannot be had, and why."""
    try:
        import yt_dlp
    except ImportError:
        raise DownloadError(
            "videos of YouTube are fetched with yt-dlp, which is not installed; pip install 'mcbench[youtube]'"
        ) from None
    options: dict[str, Any] = {
        # A single file of video and sound needs no second program to be put together; sound is of no use here.
        "format": "bestvideo[ext=mp4]/best[ext=mp4]",
        "outtmpl": str(folder / ".%(id)s.part.mp4"),
        "continuedl": True,
        "noplaylist": True,
        "quiet": True,
        "noprogress": True,
        "no_warnings": True,
        "logger": _Silent(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    gone = {}
    with yt_dlp.YoutubeDL(options) as loader:
        for id in ids:
            try:
                loader.download([f"https://www.youtube.com/watch?v={id}"])
                (folder / f".{id}.part.mp4").replace(folder / f"{id}.mp4")
            except (yt_dlp.utils.YoutubeDLError, OSError) as error:
                gone[id] = " ".join(str(error).split())[:120]
    return gone


class _Silent:
    """What yt-dlp would print; its faults come as exceptions too."""

    def debug(self, text: str) -> None: ...

    def info(self, text: str) -> None: ...

    def warning(self, text: str) -> None: ...

    def error(self, text: str) -> None: ...


def _listed(gone: dict[str, str]) -> str:
    shown = [f"{id} ({reason})" for id, reason in list(gone.items())[:3]]
    return ", ".join(shown) + (" and more" if len(gone) > len(shown) else "")
