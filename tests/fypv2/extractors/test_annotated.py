"""Exact annotations behind the extractors' interfaces."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest

from fypv2.conditions import nearness_from_depth
from fypv2.extractors import (
    AnnotatedDepth,
    AnnotatedFlow,
    AnnotatedPoses,
    ExtractorError,
    poses_from_annotations,
)
from mcbench import ReferenceAnnotations
from mcbench.datasets.synthetic import clip_specs, render_clip


@dataclass(frozen=True)
class Known:
    """Annotations kept in memory."""

    images: np.ndarray
    keypoints: np.ndarray
    visibility: np.ndarray
    background_motion: np.ndarray
    all_masks: np.ndarray
    all_depth: np.ndarray

    def masks(self, start=0, stop=None):
        return self.all_masks[start:stop]

    def depth(self, start=0, stop=None):
        return self.all_depth[start:stop]

    def reference(self):
        return None


@pytest.fixture(scope="module")
def shaken() -> Known:
    spec = replace(clip_specs("synthetic-mini")[1], shaken=True)
    frames = list(render_clip(spec, 3))
    return Known(
        *(
            np.stack([getattr(frame, name) for frame in frames])
            for name in ("image", "keypoints", "visibility", "background_motion", "mask", "depth")
        )
    )


def test_poses_have_the_exact_places_and_a_score_for_each_kind_of_visibility(shaken: Known) -> None:
    poses = AnnotatedPoses(shaken).poses(shaken.images)
    assert np.array_equal(poses.body, shaken.keypoints)
    assert poses.size == shaken.images.shape[1:3]
    assert {
        int(state): float(score)
        for state, score in zip([0, *shaken.visibility.ravel()], [0.0, *poses.body_scores.ravel()], strict=True)
    } == {0: 0.0, 1: 0.5, 2: 1.0}
    assert poses.hands is None
    assert AnnotatedPoses(shaken).record.weights == ()


def test_poses_begin_at_the_frame_asked_for(shaken: Known) -> None:
    poses = AnnotatedPoses(shaken, start=1).poses(shaken.images[1:], characters=shaken.keypoints.shape[1])
    assert np.array_equal(poses.body, shaken.keypoints[1:])


def test_flow_finds_each_background_pixel_in_the_frame_before(shaken: Known) -> None:
    flow = AnnotatedFlow(shaken).flow(shaken.images)
    assert flow.shape == (3, *shaken.images.shape[1:3], 2)
    assert flow.dtype == np.float32
    assert not flow[0].any()
    assert np.abs(flow[1:]).max() > 0.3, "the camera does not move, and the test says nothing"
    rows, columns = np.mgrid[: flow.shape[1], : flow.shape[2]].astype(np.float32)
    people = cv2.dilate((shaken.all_masks > 0).any(0).astype(np.uint8), np.ones((61, 61), np.uint8)) > 0
    for i in (1, 2):
        errors = []
        for sign in (1, 0, -1):
            x, y = columns + sign * flow[i, ..., 0], rows + sign * flow[i, ..., 1]
            moved = cv2.remap(shaken.images[i - 1].astype(np.float32), x, y, cv2.INTER_CUBIC)
            error = np.abs(moved - shaken.images[i]).mean(-1)
            errors.append(error[~people][10:-10].mean())
        assert errors[0] < 0.75 * errors[1] < errors[2]


def test_nearness_is_inverse_depth_and_larger_in_front(shaken: Known) -> None:
    nearness = AnnotatedDepth(shaken, 2).nearness(shaken.images[2])
    assert np.allclose(nearness * shaken.all_depth[2], 1, atol=1e-5)
    people = shaken.all_masks[2] > 0
    assert nearness[people].mean() > nearness[:100][~people[:100]].mean()


def test_reference_image_of_its_own(shaken: Known) -> None:
    own = ReferenceAnnotations(
        shaken.keypoints[1], shaken.visibility[1], shaken.all_masks[1], shaken.all_depth[1].astype(np.float32)
    )
    poses = poses_from_annotations(own, shaken.images.shape[1:3])
    assert poses.frames == 1
    assert np.array_equal(poses.body[0], shaken.keypoints[1])
    assert np.array_equal(AnnotatedDepth(own).nearness(shaken.images[1]), nearness_from_depth(own.depth))


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda known: AnnotatedPoses(known, start=1).poses(known.images), "3 frames from frame 1 on; 3 are annotated"),
        (lambda known: AnnotatedPoses(known).poses([]), "0 frames from frame 0 on"),
        (lambda known: AnnotatedPoses(known).poses(known.images, characters=9), "9 characters asked for"),
        (lambda known: AnnotatedFlow(known, start=2).flow(known.images), "frame 3 is not annotated"),
        (lambda known: AnnotatedFlow(known).flow([]), "no frames"),
        (lambda known: AnnotatedFlow(known).flow(known.images.astype(np.float32)), "uint8"),
        (lambda known: AnnotatedFlow(known).flow([known.images[0], known.images[0][:9]]), "of one size"),
        (lambda known: AnnotatedDepth(known).nearness(known.images[0][:9]), "512 x 9 pixels"),
        (lambda known: poses_from_annotations(known, (8, 8), 7), "no annotated frames"),
    ],
)
def test_faults_are_one_line(shaken: Known, attempt, message: str) -> None:
    with pytest.raises(ExtractorError, match=message) as caught:
        attempt(shaken)
    assert "\n" not in str(caught.value)
