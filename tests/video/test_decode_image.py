"""Image files in memory: the same rules for frames in folders and in TSV files, and hostile files."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mcbench.errors import VideoError
from mcbench.video import FrameFolder, decode_image


def encoded(frame: np.ndarray, kind: str = ".png") -> bytes:
    """By OpenCV, which takes BGR, and 16 bits."""
    done, data = cv2.imencode(kind, frame)
    assert done
    return bytes(data)


def png_that_claims(width: int, height: int, depth: int) -> bytes:
    """A PNG whose head says a size that its data do not have."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_image_is_turned_as_its_exif_data_asks(kind: str) -> None:
    frame = np.zeros((64, 32, 3), np.uint8)
    frame[:32, :16] = 255  # a bright top left corner
    for orientation, corner in {1: (0, 0), 2: (0, 1), 3: (1, 1), 6: (0, 1), 8: (1, 0), 99: (0, 0)}.items():
        exif, stream, said = Image.Exif(), io.BytesIO(), set[str]()
        exif[0x0112] = orientation
        Image.fromarray(frame).save(stream, kind, exif=exif)
        turned = decode_image(stream.getvalue(), "x", said)
        height, width = turned.shape[:2]
        assert (height > width) == (orientation not in (6, 8))
        row, column = (np.argwhere(turned.max(axis=2) > 128).mean(axis=0) > (height / 2, width / 2)).astype(int)
        assert (row, column) == corner, orientation
        assert said == (set() if orientation in (1, 99) else {"turned or mirrored as its EXIF data asks"})


def test_nonsense_for_exif_data_is_passed_over() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", exif=b"Exif\0\0nonsense")
    assert decode_image(stream.getvalue(), "x", set()).shape == (8, 8, 3)


@pytest.mark.parametrize("kind", [".png", ".bmp", ".webp"])
def test_rgb_comes_back_as_it_was(kind: str) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (9, 7, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, {".png": "PNG", ".bmp": "BMP", ".webp": "WEBP"}[kind], lossless=True)
    said: set[str] = set()
    assert np.array_equal(decode_image(stream.getvalue(), "x", said), frame)
    assert said == set()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_that_are_8_bits_times_257_lose_nothing(channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 255, (9, 7, channels)).astype(np.uint16)
    if channels == 4:
        values[..., 3] = 255
    said: set[str] = set()
    frame = decode_image(encoded(values * 257), "x", said)
    expected = np.repeat(values, 3, axis=2) if channels == 1 else values[..., 2::-1]
    assert np.array_equal(frame, expected)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"does not decode \(not an image\)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", r"does not decode \(not an image\)"),
        (encoded(np.zeros((9, 9, 3), np.uint8))[:60], "does not decode"),
        (encoded(np.full((9, 9, 3), 300, np.uint16))[:60], "does not decode"),
        (encoded(np.full((9, 9, 3), 300, np.uint16)), "16 bits a channel"),
        (encoded(np.zeros((9, 9, 4), np.uint8)), "transparent pixels"),
        (encoded(np.zeros((9, 9, 4), np.uint16)), "transparent pixels"),
        (png_that_claims(60_000, 60_000, 8), "does not decode"),
        (png_that_claims(60_000, 60_000, 16), "does not decode"),
        (png_that_claims(2**31 - 1, 1, 16), "does not decode"),
    ],
)
def test_what_is_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(VideoError, match=f"^row 7: .*{message}") as caught:
        decode_image(data, "row 7", set())
    assert "\n" not in str(caught.value)


class TestOddFiles:
    """Named as frames, and none."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "a").mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / "a" / "0.png")
        return tmp_path / "a"

    def test_a_pipe_is_not_waited_for(self, folder: Path) -> None:
        os.mkfifo(folder / "1.png")
        with pytest.raises(VideoError, match="not a file"):
            list(FrameFolder(folder).read())

    def test_a_folder_and_a_link_to_nowhere(self, folder: Path) -> None:
        (folder / "1.png").symlink_to(folder / "gone.png")
        with pytest.raises(VideoError, match=r"1\.png: .*link to none"):
            _ = FrameFolder(folder).files
        (folder / "1.png").unlink()
        (folder / "2.png").mkdir()
        with pytest.raises(VideoError, match=r"2\.png: .*not a file"):
            _ = FrameFolder(folder).files

    def test_a_file_of_terabytes_is_not_read(self, folder: Path) -> None:
        with (folder / "1.png").open("wb") as stream:
            stream.truncate(1 << 40)
        with pytest.raises(VideoError, match="larger than any frame"):
            list(FrameFolder(folder).read())
