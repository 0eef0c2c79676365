"""The disk cache: only what is asked for, whole or not at all, whoever else is at work."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcbench.datasets.base import Annotations, FrameSource
from mcbench.datasets.synthetic import (
    SYNTHETIC_VERSION,
    Frame,
    clip_specs,
    load_synthetic,
    render_clip,
    render_reference,
)
from mcbench.datasets.synthetic import dataset as module
from mcbench.datasets.synthetic import specs as specs_module
from mcbench.errors import UsageError, VideoError


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same clips at 128 pixels: the cache does not care."""
    small = {
        name: tuple(replace(spec, size=128) for spec in clip_specs(name)) for name in ("synthetic", "synthetic-mini")
    }
    small["synthetic-misaligned"] = tuple(replace(spec, size=128) for spec in clip_specs("synthetic-misaligned"))
    monkeypatch.setattr(specs_module, "_SETS", small)


def shelf(root: Path, name: str = "synthetic-mini") -> Path:
    return root / name / SYNTHETIC_VERSION


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_read_is_what_was_rendered(tmp_path: Path) -> None:
    data = load_synthetic("synthetic-mini", tmp_path, clips=1, frames=3)
    assert (data.name, data.version, len(data.clips)) == ("synthetic-mini", SYNTHETIC_VERSION, 1)
    clip = data.clips[0]
    assert (clip.name, clip.frames, clip.fps, clip.reference_frame) == ("mini-00", 3, 25.0, 0)
    assert isinstance(clip.source, FrameSource)
    assert isinstance(clip.annotations, Annotations)
    assert (clip.source.frames, clip.source.size, clip.source.fps) == (3, (128, 128), 25.0)
    rendered = list(render_clip(clip_specs("synthetic-mini")[0], 3))
    for stored, frame in zip(clip.source.read(), rendered, strict=True):
        np.testing.assert_array_equal(stored, frame.image)
    notes = clip.annotations
    np.testing.assert_array_equal(notes.keypoints, np.stack([f.keypoints for f in rendered]))
    np.testing.assert_array_equal(notes.visibility, np.stack([f.visibility for f in rendered]))
    np.testing.assert_array_equal(notes.background_motion, np.stack([f.background_motion for f in rendered]))
    np.testing.assert_array_equal(notes.masks(), np.stack([f.mask for f in rendered]))
    np.testing.assert_allclose(notes.depth(), np.stack([f.depth for f in rendered]), atol=6e-4)
    assert notes.keypoints.dtype == notes.depth().dtype == np.float32
    assert notes.masks().dtype == notes.visibility.dtype == np.uint8
    assert notes.reference() is None


def test_annotations_are_cut_as_slices_are(tmp_path: Path) -> None:
    notes = load_synthetic("synthetic-mini", tmp_path, clips=1, frames=4).clips[0].annotations
    assert notes is not None
    whole = notes.masks()
    np.testing.assert_array_equal(notes.masks(1, 3), whole[1:3])
    np.testing.assert_array_equal(notes.depth(2), notes.depth()[2:])
    np.testing.assert_array_equal(notes.masks(-1), whole[-1:])
    with pytest.raises(UsageError, match="no frames"):
        notes.masks(4)


def test_only_what_is_asked_for_is_made_and_never_twice(tmp_path: Path) -> None:
    ticks: list[tuple[int, int]] = []
    load_synthetic(
        "synthetic-mini", tmp_path, clips=2, frames=2, on_frame=lambda done, total: ticks.append((done, total))
    )
    assert ticks == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(path.name for path in shelf(tmp_path).iterdir()) == ["mini-00.2", "mini-01.2"]
    ticks.clear()
    load_synthetic(
        "synthetic-mini", tmp_path, clips=3, frames=2, on_frame=lambda done, total: ticks.append((done, total))
    )
    assert ticks == [(1, 2), (2, 2)]


def test_a_longer_clip_serves_a_shorter_request(tmp_path: Path) -> None:
    load_synthetic("synthetic-mini", tmp_path, clips=1, frames=5)
    clip = load_synthetic("synthetic-mini", tmp_path, clips=1, frames=2).clips[0]
    assert [path.name for path in shelf(tmp_path).iterdir()] == ["mini-00.5"]
    assert clip.frames == 2
    assert clip.annotations is not None
    assert clip.annotations.keypoints.shape[0] == clip.annotations.masks().shape[0] == 2
    # And its first frames are those of a clip made for the short request.
    other = load_synthetic("synthetic-mini", tmp_path / "other", clips=1, frames=2).clips[0]
    np.testing.assert_array_equal(clip.annotations.keypoints, other.annotations.keypoints)  # type: ignore[union-attr]
    for a, b in zip(clip.source.read(), other.source.read(), strict=False):
        np.testing.assert_array_equal(a, b)


def test_more_frames_than_the_clip_has_are_all_its_frames(tmp_path: Path) -> None:
    clip = load_synthetic("synthetic-mini", tmp_path, clips=1, frames=1000).clips[0]
    assert clip.frames == clip.source.frames == 24
    assert [path.name for path in shelf(tmp_path).iterdir()] == ["mini-00.24"]


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    for run in "ab":
        load_synthetic("synthetic-misaligned", tmp_path / run, clips=1, frames=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_misaligned_clips_bring_a_reference_of_their_own(tmp_path: Path) -> None:
    clip = load_synthetic("synthetic-misaligned", tmp_path, clips=1, frames=2).clips[0]
    assert clip.reference_frame is None
    assert clip.reference_source is not None
    assert clip.annotations is not None
    (image,) = clip.reference_source.read()
    expected = render_reference(clip_specs("synthetic-misaligned")[0])
    np.testing.assert_array_equal(image, expected.image)
    notes = clip.annotations.reference()
    assert notes is not None
    np.testing.assert_array_equal(notes.keypoints, expected.keypoints)
    np.testing.assert_array_equal(notes.visibility, expected.visibility)
    np.testing.assert_array_equal(notes.mask, expected.mask)
    np.testing.assert_allclose(notes.depth, expected.depth, atol=6e-4)


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_run_that_dies_leaves_no_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException) -> None:
    written = 0
    write = module._write

    def failing(path: Path, pixels: np.ndarray) -> None:
        nonlocal written
        written += 1
        if written == 5:
            raise fault
        write(path, pixels)

    monkeypatch.setattr(module, "_write", failing)
    with pytest.raises(type(fault)):
        load_synthetic("synthetic-mini", tmp_path, clips=1, frames=3)
    assert list(shelf(tmp_path).iterdir()) == []
    assert load_synthetic("synthetic-mini", tmp_path, clips=1, frames=3).clips[0].source.frames == 3


def test_what_a_killed_run_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    old, young = shelf(tmp_path) / ".mini-00.24.dead.tmp", shelf(tmp_path) / ".mini-01.24.busy.tmp"
    for folder in (old, young):
        (folder / "frames").mkdir(parents=True)
        (folder / "frames" / "00000.png").write_bytes(b"torn")
    past = time.time() - 2 * module.STALE_SECONDS
    for path in (old / "frames", old):
        os.utime(path, (past, past))
    # A folder of another run that still writes: only what lies in it is new.
    os.utime(young, (past, past))
    load_synthetic("synthetic-mini", tmp_path, clips=1, frames=1)
    assert sorted(path.name for path in shelf(tmp_path).iterdir()) == [".mini-01.24.busy.tmp", "mini-00.1"]


def test_two_at_once_both_end_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have found nothing and draw; the second to finish takes the clip of the first."""
    barrier = threading.Barrier(2, timeout=60)
    draw = module._draw_clip

    def together(*args: object) -> None:
        draw(*args)  # type: ignore[arg-type]
        barrier.wait()

    monkeypatch.setattr(module, "_draw_clip", together)
    results: list[int] = []

    def work() -> None:
        results.append(load_synthetic("synthetic-mini", tmp_path, clips=1, frames=2).clips[0].source.frames)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [2, 2]
    assert [path.name for path in shelf(tmp_path).iterdir()] == ["mini-00.2"]


@pytest.mark.parametrize("arguments", [{"clips": 0}, {"frames": 0}, {"frames": -3}])
def test_counts_are_checked(tmp_path: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="ask for 1 or more"):
        load_synthetic("synthetic-mini", tmp_path, **arguments)  # type: ignore[arg-type]
    assert list(tmp_path.glob("synthetic-mini")) == []


def test_unknown_set_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no synthetic data set is called 'tiktok'"):
        load_synthetic("tiktok", tmp_path)
    assert list(tmp_path.glob("tiktok")) == []


def test_damaged_annotations_say_what_to_delete(tmp_path: Path) -> None:
    clip = load_synthetic("synthetic-mini", tmp_path, clips=1, frames=2).clips[0]
    folder = shelf(tmp_path) / "mini-00.2"
    (folder / "masks" / "00001.png").write_bytes(b"")
    (folder / "annotations.safetensors").write_bytes(b"{")
    shutil.rmtree(folder / "depth")
    assert clip.annotations is not None
    for read in (clip.annotations.masks, clip.annotations.depth, lambda: clip.annotations.keypoints):  # type: ignore[union-attr]
        with pytest.raises(VideoError, match=r"delete .*mini-00\.2 and it is drawn again"):
            read()


def test_training_clips_never_touch_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    frames: Iterator[Frame] = render_clip(next(specs_module.training_clips(0, frames=2, size=128)))
    assert sum(1 for _ in frames) == 2
    assert set(tmp_path.rglob("*")) == before
