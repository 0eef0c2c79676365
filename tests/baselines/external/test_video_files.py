"""Videos to and from other people's programs."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from baselines.base import OutputError
from baselines.external.video_files import read_tile, write_exact_video
from mcbench import MethodError


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 48, 80, 3), np.uint8)


def test_what_pyav_decodes_is_what_went_in(tmp_path: Path, noise: np.ndarray) -> None:
    """With every bit of noise: the programs decode with PyAV's `to_rgb`."""
    path = tmp_path / "a.mp4"
    assert write_exact_video(path, iter(noise), 29.97) == 5
    with av.open(str(path)) as container:
        assert float(container.streams.video[0].average_rate or 0) == pytest.approx(29.97, abs=0.001)
        frames = list(container.decode(video=0))
    assert all(frame.time is not None and frame.time >= 0 for frame in frames), "MagicAnimate leaves them out"
    np.testing.assert_array_equal(np.stack([frame.to_rgb().to_ndarray() for frame in frames]), noise)


def test_a_video_without_frames_or_place_is_an_error_in_one_line(tmp_path: Path, noise: np.ndarray) -> None:
    with pytest.raises(MethodError, match="no frame to write"):
        write_exact_video(tmp_path / "a.mp4", [], 25)
    with pytest.raises(MethodError, match="cannot be written"):
        write_exact_video(tmp_path / "no" / "folder.mp4", noise, 25)


def test_a_tile_is_cut_from_the_first_frames(tmp_path: Path, noise: np.ndarray) -> None:
    path = tmp_path / "a.mp4"
    write_exact_video(path, noise, 25)
    frames = list(read_tile(path, frames=3, counts=(3, 5), size=(48, 80), tile=(40, 8, 32)))
    np.testing.assert_array_equal(np.stack(frames), noise[:3, 8:40, 40:72])


@pytest.mark.parametrize(
    ("counts", "size", "told"),
    [((3, 4), (48, 80), "5 frames, expected 3 or 4"), ((5,), (80, 48), "80 x 48, expected 48 x 80")],
)
def test_another_video_than_expected_is_refused(
    tmp_path: Path, noise: np.ndarray, counts: tuple[int, ...], size: tuple[int, int], told: str
) -> None:
    path = tmp_path / "a.mp4"
    write_exact_video(path, noise, 25)
    with pytest.raises(OutputError, match=told):
        list(read_tile(path, frames=3, counts=counts, size=size, tile=(0, 0, 32)))


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OutputError, match=r"output cannot be read: .*a\.mp4"):
        list(read_tile(path, frames=1, counts=(1,), size=(8, 8), tile=(0, 0, 8)))
