"""Frames of other programs: the files that they must be, and words for those that they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baselines.base import OutputError
from baselines.external.frame_files import read_frame_files


def write(path: Path, value: int = 7, size: tuple[int, int] = (16, 16), mode: str = "RGB") -> Path:
    Image.new(mode, size, (value,) * len(mode) if len(mode) > 1 else value).save(path)
    return path


def test_png_and_jpeg_come_in_the_order_given(tmp_path: Path) -> None:
    files = [write(tmp_path / name, value) for name, value in (("b.png", 3), ("a.png", 5), ("c.jpg", 128))]
    frames = list(read_frame_files(files, (16, 16)))
    assert [frame.shape for frame in frames] == [(16, 16, 3)] * 3
    assert {frame.dtype for frame in frames} == {np.dtype(np.uint8)}
    assert [set(frame.ravel().tolist()) for frame in frames] == [{3}, {5}, {128}]


def test_they_are_read_one_by_one(tmp_path: Path) -> None:
    frames = read_frame_files([write(tmp_path / "0.png"), tmp_path / "1.png"], (16, 16))
    next(frames)
    with pytest.raises(OutputError, match=r"1\.png: the program did not write this frame"):
        next(frames)


@pytest.mark.parametrize(
    ("size", "mode", "message"),
    [
        ((16, 8), "RGB", "16 x 8, expected 16 x 16"),
        ((32, 32), "RGB", "32 x 32, expected 16 x 16"),
        ((16, 16), "L", "mode L"),
        ((16, 16), "RGBA", "mode RGBA"),
    ],
)
def test_another_kind_of_picture_is_refused(tmp_path: Path, size: tuple[int, int], mode: str, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        list(read_frame_files([write(tmp_path / "0.png", size=size, mode=mode)], (16, 16)))


@pytest.mark.parametrize("damage", ["torn", "garbage", "empty", "a folder"])
def test_what_does_not_decode_is_told_in_one_line(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "0.png"
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(noise).save(file)
    data = file.read_bytes()
    file.unlink()
    if damage == "a folder":
        file.mkdir()
    else:
        file.write_bytes({"torn": data[: len(data) // 2], "garbage": data[:8] + b"nothing", "empty": b""}[damage])
    with pytest.raises(OutputError, match=r"0\.png: this frame does not decode \(.+\)") as told:
        list(read_frame_files([file], (16, 16)))
    assert "\n" not in str(told.value)
    assert "0x" not in str(told.value)


def test_formats_that_start_other_programs_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n")
    with pytest.raises(OutputError, match="not an image"):
        list(read_frame_files([tmp_path / "0.png"], (16, 16)))
