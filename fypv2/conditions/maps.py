"""All that the guiders see of a clip, for inference and for training.

Both build frame by frame, so that besides the result one frame's regions are in memory. The result itself takes 2.6 MB
a frame at 512 x 512; for a long clip call them on `poses.select(...)`, block by block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fypv2.conditions.background import FLOW_SCALE, background_map
from fypv2.conditions.depth_order import (
    DEPTH_RULE,
    DepthRule,
    depth_ranks,
    nearness_from_poses,
    paint_depth_order,
)
from fypv2.conditions.matching import NOBODY, check_assignment, match_left_to_right
from fypv2.conditions.poses import Poses
from fypv2.conditions.regions import DILATION, character_regions
from fypv2.conditions.resample import crop_resize_flow, crop_resize_map
from fypv2.conditions.skeletons import draw_skeletons

__all__ = ["ConditionMaps", "build_conditions", "build_training_conditions", "poses_of_annotations"]

HIDDEN_SCORE = 0.5
"""Score of a keypoint that is known but hidden: above `SEEN`, so that hidden limbs are drawn."""

_Floats = npt.NDArray[np.floating]
_Bools = npt.NDArray[np.bool_]
_Ranks = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ConditionMaps:
    """The drawings of T frames.

    Attributes:
        pose: uint8 (T, H, W, 3), RGB: every character's skeleton.
        background: float32 (T, H, W) in [0, 1]: B of Eq. 3.
        depth_order: uint8 (T, H, W, 3), RGB: Eq. 8.
        reference_pose: uint8 (H, W, 3), RGB: the skeletons of the reference image.
    """

    pose: npt.NDArray[np.uint8]
    background: npt.NDArray[np.float32]
    depth_order: npt.NDArray[np.uint8]
    reference_pose: npt.NDArray[np.uint8]


def build_conditions(
    reference_poses: Poses,
    reference_nearness: _Floats | None,
    driving: Poses,
    height: int,
    width: int,
    *,
    assignment: Sequence[int] | None = None,
    flow: _Floats | None = None,
    dilation: float = DILATION,
    flow_scale: float = FLOW_SCALE,
    rule: DepthRule = DEPTH_RULE,
) -> ConditionMaps:
    """The conditions of a clip that is to be generated.

    The depth order is read off the reference image, among the characters that are animated, and holds for the whole
    clip. For a clip in blocks, match the whole clip once and pass the assignment with each block.

    Args:
        reference_poses: of the reference image, T = 1, in its pixels.
        reference_nearness: float (H, W) of the reference image, larger is nearer; None without a depth estimator, when
            `nearness_from_poses` stands in.
        driving: the driving poses, in pixels of their own picture.
        height: of the clip to generate, in pixels; both pictures are centre-cropped to its ratio, never stretched.
        width: likewise.
        assignment: for every driving character the index of its reference character, -1 to leave it out; from left to
            right if None.
        flow: float (T, H, W, 2), background motion to ask for, in pixels of the driving picture; none if None, as in
            the paper.
        dilation: see `character_regions`.
        flow_scale: see `background_map`.
        rule: see `depth_ranks`.

    Raises:
        MatchingError: if the characters cannot be matched, see `fypv2.conditions.matching`.
        ValueError: for arrays whose shapes do not fit the poses.
    """
    _check_reference(reference_poses)
    if assignment is None:
        assignment = match_left_to_right(reference_poses, driving)
    else:
        assignment = check_assignment(assignment, reference_poses, driving)
    reference = reference_poses.crop_resize(height, width)
    if reference_nearness is None:
        values = nearness_from_poses(reference)
        order = np.argsort(-values, kind="stable")
    else:
        _check_shape("nearness", reference_nearness, reference_poses.size)
        nearness = crop_resize_map(reference_nearness, height, width)
        order = np.argsort(depth_ranks(character_regions(reference, dilation)[0], nearness, rule))
    place = {person: at for at, person in enumerate(order.tolist())}

    animated = [k for k, person in enumerate(assignment) if person != NOBODY]
    ranks = np.argsort(np.argsort([place[assignment[k]] for k in animated]))
    moving = driving.reorder(animated).crop_resize(height, width)
    return _build(moving, reference, lambda frame, regions: ranks, _Flow(flow, driving), dilation, flow_scale)


def build_training_conditions(
    poses: Poses,
    nearness: _Floats,
    reference_poses: Poses,
    height: int,
    width: int,
    *,
    flow: _Floats | None = None,
    dilation: float = DILATION,
    flow_scale: float = FLOW_SCALE,
    rule: DepthRule = DEPTH_RULE,
) -> ConditionMaps:
    """The conditions of a clip whose frames are known: ranks frame by frame from their depth, and their true flow.

    Args:
        poses: of T frames and K characters, in pixels.
        nearness: float (T, H, W), larger is nearer, in the poses' picture size.
        reference_poses: of the frame that serves as the reference image, T = 1.
        height: of the frames that the network is trained on; the crop is the same as at inference.
        width: likewise.
        flow: float (T, H, W, 2), between each frame and the one before it, in pixels of the poses' picture; None for
            footage whose background stands still.
        dilation: see `character_regions`.
        flow_scale: see `background_map`.
        rule: see `depth_ranks`.

    Raises:
        ValueError: for arrays whose shapes do not fit the poses.
    """
    _check_reference(reference_poses)
    _check_shape("nearness", nearness, (poses.frames, *poses.size))

    def ranks(frame: int, regions: _Bools) -> _Ranks:
        return depth_ranks(regions, crop_resize_map(nearness[frame], height, width), rule)

    moving, reference = poses.crop_resize(height, width), reference_poses.crop_resize(height, width)
    return _build(moving, reference, ranks, _Flow(flow, poses), dilation, flow_scale)


def poses_of_annotations(
    keypoints: npt.NDArray[np.float32], visibility: npt.NDArray[np.uint8], size: tuple[int, int]
) -> Poses:
    """Exact poses, of a data set's annotations or of a `mcbench.Case`, as `Poses` without hands.

    Args:
        keypoints: float32 (T, K, 18, 2) in pixels, or (K, 18, 2) of one picture.
        visibility: uint8 (T, K, 18) or (K, 18): 0 absent, 1 hidden, 2 visible. Their scores become 0, 0.5 and 1, so
            that hidden limbs are drawn: who hides them is what the depth order says.
        size: height and width of the picture in pixels.

    Raises:
        ValueError: for shapes that do not fit.
    """
    if keypoints.ndim == 3:
        keypoints, visibility = keypoints[None], visibility[None]
    scores = np.array([0.0, HIDDEN_SCORE, 1.0], np.float32)[visibility]
    return Poses(np.asarray(keypoints, np.float32), scores, size)


class _Flow:
    """The flow of each frame at another size, resampled when asked for."""

    def __init__(self, flow: _Floats | None, poses: Poses) -> None:
        if flow is not None:
            _check_shape("flow", flow, (poses.frames, *poses.size, 2))
        self._flow = flow

    def at(self, frame: int, height: int, width: int) -> npt.NDArray[np.float32] | None:
        return None if self._flow is None else crop_resize_flow(self._flow[frame], height, width)[None]


def _build(
    moving: Poses,
    reference: Poses,
    ranks: Callable[[int, _Bools], _Ranks],
    flow: _Flow,
    dilation: float,
    flow_scale: float,
) -> ConditionMaps:
    height, width = moving.size
    background = np.empty((moving.frames, height, width), np.float32)
    depth_order = np.empty((moving.frames, height, width, 3), np.uint8)
    for i in range(moving.frames):
        regions = character_regions(moving.frame(i), dilation)
        background[i] = background_map(regions, flow.at(i, height, width), flow_scale)[0]
        depth_order[i] = paint_depth_order(regions[0], ranks(i, regions[0]))
    return ConditionMaps(draw_skeletons(moving), background, depth_order, draw_skeletons(reference)[0])


def _check_reference(poses: Poses) -> None:
    if poses.frames != 1:
        raise ValueError(f"reference poses of {poses.frames} frames; give those of one picture")


def _check_shape(what: str, array: _Floats, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{what} of shape {array.shape}; the poses ask for {shape}")
