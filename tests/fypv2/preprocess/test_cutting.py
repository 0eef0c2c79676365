"""Scenes: cut where they change, at the size, rate and length asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from footage_files import figure, picture

from fypv2.preprocess.cutting import CutSettings, cut, frame_step, target_size
from fypv2.preprocess.probing import BadVideoError, Footage
from fypv2.preprocess.scenes import SceneDetector
from mcbench import UserError, render_clip, training_clips


def footage(frames: Any, fps: float | None = 25.0) -> Footage:
    source = SimpleNamespace(read=lambda: iter(frames), conversions=set())
    return Footage(Path("a.mp4"), source, len(frames), frames[0].shape[:2], fps)


def settings(**changes: Any) -> CutSettings:
    return CutSettings(**{"size": (96, 160), "min_frames": 4, "max_frames": 32} | changes)


HUES = ((60, 120, 200), (200, 60, 50), (30, 160, 60))


def test_scenes_end_where_the_picture_changes() -> None:
    frames = np.concatenate([picture(figure(n), hue) for n, hue in zip((10, 7, 12), HUES, strict=True)])
    scenes = list(cut(footage(frames), settings()))
    assert [(scene.first_frame, len(scene.frames), scene.reason) for scene in scenes] == [
        (0, 10, ""),
        (10, 7, ""),
        (17, 12, ""),
    ]
    for scene in scenes:
        assert np.array_equal(scene.frames, frames[scene.first_frame :][: len(scene.frames)])


def test_a_shaken_camera_and_dancers_are_no_cut() -> None:
    for spec in training_clips(3, 2, 24, 64):
        detector = SceneDetector()
        cuts = [detector.is_cut(frame.image) for frame in render_clip(spec)]
        assert cuts == [False] * 24


def test_a_cut_between_two_rooms_is_one() -> None:
    first, second = (list(render_clip(spec)) for spec in training_clips(3, 2, 12, 64))
    detector = SceneDetector()
    found = [detector.is_cut(frame.image) for frame in [*first, *second]]
    assert found == [False] * 12 + [True] + [False] * 11


def test_long_scenes_are_divided_and_short_rests_left_out() -> None:
    scenes = list(cut(footage(picture(figure(35))), settings(max_frames=16)))
    assert [(scene.first_frame, len(scene.frames)) for scene in scenes] == [(0, 16), (16, 16), (32, 3)]
    assert [scene.reason for scene in scenes] == ["", "", "shorter than 4 frames"]


@pytest.mark.parametrize(
    ("fps", "wanted", "step"),
    [(25, 25, 1), (24, 25, 1), (30, 25, 1), (50, 25, 2), (60, 25, 2), (120, 25, 5), (8, 25, 1)],
)
def test_every_nth_frame_comes_nearest_to_the_rate(fps: float, wanted: float, step: int) -> None:
    chosen = settings(fps=wanted)
    assert frame_step(fps, chosen) == step
    frames = picture(figure(40))
    scenes = list(cut(footage(frames, fps), chosen))
    kept = np.concatenate([scene.frames for scene in scenes])
    assert np.array_equal(kept, frames[::step])
    assert all(scene.first_frame % step == 0 for scene in scenes)


def test_grey_footage_is_no_clip() -> None:
    grey = np.repeat(picture(figure(8)).mean(-1, keepdims=True).astype(np.uint8), 3, -1)
    assert [scene.reason for scene in cut(footage(grey), settings())] == ["no colour"]


def test_sizes() -> None:
    assert target_size((1080, 1920), settings(size=(896, 640))) == (896, 640)
    assert target_size((1080, 608), settings(size=(512, 512), keep_aspect=True)) == (912, 512)
    assert target_size((200, 1000), settings(size=(128, 128), keep_aspect=True)) == (128, 640)
    assert target_size((256, 256), settings(size=(512, 512))) == (512, 512)
    with pytest.raises(BadVideoError, match="too small"):
        target_size((255, 1000), settings(size=(512, 512)))


def test_the_crop_is_centred_and_nothing_is_stretched() -> None:
    """A disc stays round and in the middle."""
    y, x = np.mgrid[:120, :200]
    frame = np.full((120, 200, 3), (20, 40, 90), np.uint8)
    frame[(x - 99.5) ** 2 + (y - 59.5) ** 2 <= 30**2] = (250, 200, 10)
    (scene,) = cut(footage([frame] * 5), settings(size=(64, 64)))
    disc = scene.frames[0][..., 0] > 128
    rows, columns = np.nonzero(disc)
    assert abs(rows.mean() - 31.5) < 0.3
    assert abs(columns.mean() - 31.5) < 0.3
    # 60 pixels of 120 are 32 of 64.
    assert abs(np.ptp(rows) - 31) <= 1
    assert abs(np.ptp(columns) - 31) <= 1


def test_scenes_before_a_fault_are_given() -> None:
    frames = np.concatenate([picture(figure(8), HUES[0]), picture(figure(8), HUES[1])])

    def torn() -> Any:
        yield from frames[:12]
        raise UserError("a.mp4: frame 12 of 16 does not decode")

    broken = footage(frames)
    broken.source.read = torn
    scenes = cut(broken, settings())
    assert len(next(scenes).frames) == 8
    with pytest.raises(BadVideoError, match=r"^frame 12 of 16 does not decode$"):
        next(scenes)


def test_one_scene_is_in_memory() -> None:
    """Whatever the length: what is held when the last scene comes is not more than when the second came."""
    import tracemalloc

    def endless() -> Any:
        for i in range(400):
            yield np.full((64, 64, 3), (i % 50, 100, 200), np.uint8)

    long = Footage(Path("a.mp4"), SimpleNamespace(read=endless, conversions=set()), 400, (64, 64), 25.0)
    tracemalloc.start()
    try:
        peaks = []
        for _scene in cut(long, settings(size=(64, 64), max_frames=20)):
            peaks.append(tracemalloc.get_traced_memory()[1])
        assert len(peaks) == 20
        assert peaks[-1] < 1.2 * peaks[1] + 100_000
    finally:
        tracemalloc.stop()
