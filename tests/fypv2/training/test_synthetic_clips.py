"""Drawn training clips: what is annotated is what is seen, before and after the shards."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fypv2.conditions import nearness_from_depth, poses_of_annotations
from fypv2.preprocess.drawn import DrawnJob
from fypv2.preprocess.runner import preprocess
from fypv2.training.clips import AffineFlow
from fypv2.training.shards import Shards, open_shards
from fypv2.training.synthetic import synthetic_clips
from mcbench import UserError, render_clip, training_clips

SIZE, FRAMES, CLIPS = 96, 6, 3


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    folder = tmp_path_factory.mktemp("drawn") / "data"
    preprocess(DrawnJob(CLIPS, FRAMES, SIZE, seed=5, clips_per_shard=2), folder)
    return open_shards(folder)


def test_annotations_survive_the_round_trip(source: Shards) -> None:
    assert len(source) == CLIPS
    for index, spec in enumerate(training_clips(5, CLIPS, FRAMES, SIZE)):
        clip, drawn = source.read(index), list(render_clip(spec))
        assert clip.name == spec.name
        assert np.array_equal(clip.frames, np.stack([frame.image for frame in drawn]))
        poses = poses_of_annotations(
            np.stack([frame.keypoints for frame in drawn]),
            np.stack([frame.visibility for frame in drawn]),
            (SIZE, SIZE),
        )
        assert np.array_equal(clip.poses.body, poses.body)
        assert np.array_equal(clip.poses.body_scores, poses.body_scores)
        assert isinstance(clip.flow, AffineFlow)
        assert np.array_equal(clip.flow.motion, np.stack([frame.background_motion for frame in drawn]))
        assert clip.masks is not None
        assert np.array_equal(clip.masks, np.stack([frame.mask for frame in drawn]))
        exact = nearness_from_depth(np.stack([frame.depth for frame in drawn]))
        # Half precision has 11 bits.
        assert np.abs(clip.nearness - exact).max() <= exact.max() * 2**-11


def test_cameras_stand_still_where_that_is_asked_for(source: Shards, tmp_path: Path) -> None:
    preprocess(DrawnJob(2, FRAMES, SIZE, seed=5, cameras="still"), tmp_path / "still")
    made = open_shards(tmp_path / "still")
    mixed, still = ([shards.read(index) for index in range(2)] for shards in (source, made))
    assert not still[0].flow.dense(FRAMES - 1).any()
    assert mixed[0].flow.dense(FRAMES - 1).any()
    assert np.array_equal(mixed[1].frames, still[1].frames)


def test_the_flow_leads_back_to_where_the_background_was(source: Shards) -> None:
    """The frame before, fetched along the flow, is this frame: by far nearer to it than the frame before itself."""
    clip = source.read(0, [1, 4])
    whole = source.read(0)
    assert clip.flow is not None
    assert whole.masks is not None
    flow = clip.flow.dense(1)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    fetched = cv2.remap(clip.frames[0], x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR)
    people = cv2.dilate((whole.masks[[1, 4]] > 0).any(0).astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    seen = ~people
    seen[:, :12] = seen[:, -12:] = seen[:12] = seen[-12:] = False
    now = clip.frames[1].astype(float)
    still, moved = (np.abs(now - other)[seen].mean() for other in (clip.frames[0], fetched))
    assert moved < 0.5 * still


def test_nothing_moves_under_a_still_camera(source: Shards) -> None:
    still = source.read(1)
    assert isinstance(still.flow, AffineFlow)
    assert np.array_equal(still.flow.motion, np.broadcast_to(np.eye(2, 3), (FRAMES, 2, 3)))


def test_a_stream_may_begin_anywhere() -> None:
    first = list(synthetic_clips(7, 3, 2, 64))
    later = list(synthetic_clips(7, 3, 2, 64, start=2))
    assert [clip.name for clip in later] == [first[2].name]
    assert np.array_equal(later[0].frames, first[2].frames)
    assert not np.array_equal(next(synthetic_clips(8, 1, 2, 64)).frames, first[0].frames)


@pytest.mark.parametrize(("seed", "size"), [(-1, 128), (0, 63), (0, 1025), (1 << 32, 128)])
def test_numbers_out_of_range_are_refused_before_work_begins(seed: int, size: int) -> None:
    with pytest.raises(UserError):
        DrawnJob(1, 16, size, seed)
