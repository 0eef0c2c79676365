"""Skeleton drawings read back: places, people, compression, and what is no drawing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from fypv2.conditions.poses import Poses
from fypv2.conditions.skeletons import draw_skeletons
from fypv2.extractors import ExtractorError, SkeletonDrawings
from fypv2.extractors.skeleton_colours import is_skeleton_frame
from fypv2.extractors.skeleton_video import is_skeleton_video
from mcbench import open_frames, write_video
from mcbench.datasets.base import KEYPOINT_NAMES
from mcbench.datasets.synthetic import clip_specs, render_clip
from mcbench.datasets.synthetic.scene import Scene

SIZE = (512, 512)


def drawn(number: int, frames: slice, hands: bool = False, hidden: tuple[int, ...] = ()) -> Poses:
    """Poses of a clip of the benchmark; the keypoints in `hidden` are left out of the first character."""
    scene = Scene(clip_specs("synthetic")[number])
    bodies = [np.stack([body[name] for name in KEYPOINT_NAMES], axis=1) for body in scene.skeletons]
    body = scene.camera.project(np.stack(bodies, axis=1)[frames])[0].astype(np.float32)
    scores = ((body >= 0) & (body < 512)).all(-1).astype(np.float32)
    scores[:, 0, list(hidden)] = 0
    if not hands:
        return Poses(body, scores, SIZE)
    fingers = np.zeros((*body.shape[:2], 2, 21, 2), np.float32)
    for side, (elbow, wrist) in enumerate(((3, 4), (6, 7))):
        along = body[:, :, wrist] - body[:, :, elbow]
        along /= np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1)
        across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
        fingers[:, :, side, 0] = body[:, :, wrist]
        for k in range(1, 21):
            finger, joint = (k - 1) // 4 - 2, (k - 1) % 4
            fingers[:, :, side, k] = body[:, :, wrist] + along * (8 + 4 * joint) + across * finger * 4
    return Poses(body, scores, SIZE, fingers, np.ones(fingers.shape[:-1], np.float32))


def compared(found: Poses, true: Poses) -> tuple[float, float, float, float]:
    """Share of the keypoints found within 5 pixels, share of wrong ones, median and 95th percentile of the error."""
    apart = np.linalg.norm(found.body[:, :, None] - true.body[:, None], axis=-1)
    both = (found.body_scores[:, :, None] > 0) & (true.body_scores[:, None] > 0)
    hits = (both & (apart < 5)).sum((0, 3))
    rows, columns = linear_sum_assignment(-hits)
    right = hits[rows, columns].sum()
    errors = np.concatenate(
        [apart[:, i, k][both[:, i, k] & (apart[:, i, k] < 5)] for i, k in zip(rows, columns, strict=True)]
    )
    wrong = (found.body_scores > 0).sum() - right
    total = (true.body_scores > 0).sum()
    return right / total, wrong / total, float(np.median(errors)), float(np.percentile(errors, 95))


def compressed(frames: np.ndarray, path: Path, crf: int) -> list[np.ndarray]:
    write_video(path, frames, 25, crf=crf)
    return list(open_frames(path).read())


def test_several_people_are_read_back_exactly() -> None:
    true = drawn(2, slice(40, 46))
    found = SkeletonDrawings().poses(draw_skeletons(true))
    assert found.characters == true.characters == 4
    share, wrong, median, tail = compared(found, true)
    assert share > 0.97
    assert wrong < 0.03
    assert median < 0.25
    assert tail < 1.0
    assert found.hands is None


def test_through_h264(tmp_path: Path) -> None:
    true = drawn(1, slice(0, 6))
    share, wrong, median, tail = compared(
        SkeletonDrawings().poses(compressed(draw_skeletons(true), tmp_path / "a.mp4", 26)), true
    )
    assert share > 0.95
    assert wrong < 0.05
    assert median < 0.6
    assert tail < 2.0


def test_wrists_under_hands_follow_from_their_limbs() -> None:
    true = drawn(0, slice(0, 4), hands=True)
    found = SkeletonDrawings().poses(draw_skeletons(true))
    assert found.characters == 2
    wrists = [4, 7]
    apart = np.linalg.norm(found.body[:, :, wrists] - true.body[:, :, wrists], axis=-1)
    seen = found.body_scores[:, :, wrists] > 0
    assert seen.mean() > 0.8
    assert np.median(apart[seen]) < 2.5
    assert found.body_scores[:, :, wrists][seen].max() < 0.8, "what is not seen is not certain"


def test_parts_that_a_missing_joint_keeps_apart_are_one_person() -> None:
    true = drawn(0, slice(0, 3), hidden=(1, 9))
    found = SkeletonDrawings().poses(draw_skeletons(true), characters=2)
    assert found.characters == 2
    share, wrong, _, _ = compared(found, true)
    assert share > 0.9
    assert wrong < 0.06


def test_other_sizes_and_a_person_who_comes_later() -> None:
    small = drawn(0, slice(0, 12)).crop_resize(768, 768)
    scores = small.body_scores.copy()
    scores[:4, 1] = 0
    true = Poses(small.body, scores, small.size)
    found = SkeletonDrawings().poses(draw_skeletons(true))
    assert found.size == (768, 768)
    assert found.characters == 2
    assert not found.present[:4, 1].any()
    assert found.present[4:].all()
    assert compared(found, true)[0] > 0.95


def test_a_drawing_is_told_from_a_picture(tmp_path: Path) -> None:
    drawings = draw_skeletons(drawn(1, slice(0, 3), hands=True))
    people = [frame.image for frame in render_clip(clip_specs("synthetic-mini")[0], 2)]
    assert all(is_skeleton_frame(frame) for frame in drawings)
    assert is_skeleton_video(compressed(drawings, tmp_path / "a.mp4", 28))
    assert is_skeleton_video([np.zeros_like(drawings[0]), *drawings[:1]])
    assert not any(is_skeleton_frame(frame) for frame in people)
    # A picture taken at night, dark but for some lamps.
    night = (np.stack(people) * 0.12).astype(np.uint8)
    night[:, 40:80, 40:80] = (240, 220, 180)
    assert not is_skeleton_video(night)
    assert not is_skeleton_video([np.zeros((64, 64, 3), np.uint8)])


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        ([np.zeros((64, 64, 3), np.uint8)] * 3, "radius of 0.5 pixels"),
        ([np.zeros((512, 512, 3), np.uint8)] * 3, "nobody is found in 3 frames"),
        ([np.full((512, 512, 3), 255, np.uint8)] * 3, "nobody is found in 3 frames"),
    ],
)
def test_faults_are_one_line(frames: list[np.ndarray], message: str) -> None:
    with pytest.raises(ExtractorError, match=message):
        SkeletonDrawings().poses(frames)
    with pytest.raises(ExtractorError, match="radius nan"):
        SkeletonDrawings(float("nan"))
    assert SkeletonDrawings(4.0).record.settings == {"radius": 4.0}


def test_noise_ends_and_finds_nobody_that_matters() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    with pytest.raises(ExtractorError, match="nobody is found"):
        SkeletonDrawings(4.0).poses([noise])


@pytest.mark.slow
def test_rates_over_clips(tmp_path: Path) -> None:
    rates: dict[str, list[tuple[float, float, float, float]]] = {}
    for number in range(0, 20, 2):
        true = drawn(number, slice(0, None, 24))
        pictures = draw_skeletons(true)
        for name, frames in (("lossless", pictures), ("crf 23", compressed(pictures, tmp_path / f"{number}.mp4", 23))):
            # A second between two frames is too much for tracking: each frame is judged by itself.
            each = [SkeletonDrawings(3.7).poses([frame]) for frame in frames]
            rates.setdefault(name, []).extend(compared(one, true.frame(i)) for i, one in enumerate(each))
    lossless, lossy = (np.mean(rates[name], axis=0) for name in ("lossless", "crf 23"))
    assert lossless[0] > 0.95, rates
    assert lossless[1] < 0.03, rates
    assert lossless[2] < 0.2, rates
    assert lossy[0] > 0.93, rates
    assert lossy[2] < 0.5, rates
