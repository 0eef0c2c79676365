"""Splits in DisCo's TSV layout, written by the tests themselves."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

PARTS = ("images", "poses", "masks", "vid2line")


def encode(frame: np.ndarray, kind: str = "PNG") -> str:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, kind)
    return base64.b64encode(stream.getvalue()).decode()


def write_rows(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """A TSV and the `.lineidx` beside it."""
    offsets, place = [], 0
    with path.open("wb") as stream:
        for row in rows:
            offsets.append(place)
            place += stream.write("\t".join(row).encode() + b"\n")
    path.with_suffix(".lineidx").write_text("".join(f"{offset}\n" for offset in offsets))


def make_videos(frames: dict[str, int], size: tuple[int, int] = (24, 16)) -> dict[str, np.ndarray]:
    """Random videos, uint8 (frames, height, width, 3), by clip."""
    random = np.random.default_rng(len(frames))
    return {clip: random.integers(0, 256, (count, *size, 3), np.uint8) for clip, count in frames.items()}


def write_split(
    folder: Path, videos: dict[str, np.ndarray], split: str = "new10val", first: int = 1, relative: bool = False
) -> Path:
    """All files of a split. Pose drawings are the frames upside down; masks are white where red is above 127."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[tuple[str, ...]]] = {part: [] for part in PARTS}
    for clip, video in videos.items():
        start = len(rows["images"])
        span = [start, start + len(video) - 1]
        for number, frame in enumerate(video):
            key = f"{clip}_{number + first:04d}.png"
            rows["images"].append((key, encode(frame)))
            rows["poses"].append((key, encode(frame[::-1])))
            rows["masks"].append((key, encode(np.where(frame[..., 0] > 127, 255, 0).astype(np.uint8)), "True"))
            base = start + number if relative else 0
            rows["vid2line"].append((key, json.dumps([bound - base for bound in span])))
    for part in PARTS:
        write_rows(folder / f"{split}_{part}.tsv", rows[part])
    return folder


def edit(path: Path, change: Callable[[list[list[str]]], list[list[str]]]) -> None:
    """Rewrite the rows of a TSV, and its `.lineidx`."""
    write_rows(path, change([line.split("\t") for line in path.read_text().splitlines()]))
