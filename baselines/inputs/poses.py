"""Driving poses and the reference's pose, whoever knows them, and their drawings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from baselines.inputs.frames import driving_video
from mcbench import Case

if TYPE_CHECKING:
    from fypv2.conditions import Poses

__all__ = ["PoseSettings", "PoseSource", "driving_poses", "pose_drawings", "reference_pose"]

PoseSource: TypeAlias = Literal["auto", "dwpose"] | Path
"""`auto`: exact annotations where the case has them, else DWPose; `dwpose`: DWPose in any case; or a folder of the
user's pose files by clip, as `fypv2.extractors.clip_poses` finds them."""


class PoseSettings(BaseModel):
    """A setting for methods that are driven by poses: to be a base of an adapter's `Settings`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    poses: PoseSource = "auto"
    """Where poses come from: `auto` (exact annotations, else DWPose), `dwpose`, or a folder of files called `<clip>`,
    `<clip>.json`, `<clip>.safetensors` or `<clip>.mp4`; `<clip>-reference` likewise, where the reference image is not
    the first driving frame."""


def driving_poses(case: Case, size: int, *, extractor: PoseSource = "auto", device: str = "cpu") -> Poses:
    """The driving poses of a clip, in pixels of its centred square resized to `size` x `size`.

    Args:
        case: of a method with `needs_driving_video` (or `needs_truth`) where poses may have to be found.
        size: side of the square in pixels.
        extractor: where they come from; the method's `settings.poses`.
        device: where DWPose runs.

    Returns:
        `case.frames` frames of K characters. Exact ones have no hands, and the score 0.5 where a joint is hidden.

    Raises:
        InputError: if there is no driving video to find them in.
        mcbench.UserError: if the user's files, DWPose's weights or its libraries are missing or at fault.
    """
    from fypv2.conditions import poses_of_annotations
    from fypv2.extractors import clip_poses, video_poses

    if isinstance(extractor, Path):
        poses = clip_poses(extractor, case.clip, case.frames, case.size)
    elif extractor == "auto" and case.poses is not None:
        poses = poses_of_annotations(case.poses.keypoints, case.poses.visibility, case.size)
    else:
        poses = video_poses(driving_video(case), case.frames, device=device)
    return poses.crop_resize(size, size)


def reference_pose(case: Case, size: int, *, extractor: PoseSource = "auto", device: str = "cpu") -> Poses:
    """The poses of the reference image likewise, T = 1.

    From a folder of pose files they are `<clip>-reference`'s, or those of the first driving frame.
    """
    from fypv2.conditions import poses_of_annotations
    from fypv2.extractors import clip_poses, picture_poses, reference_poses

    picture = (case.reference.shape[0], case.reference.shape[1])
    if isinstance(extractor, Path):
        own = reference_poses(extractor, case.clip, picture)
        poses = clip_poses(extractor, case.clip, 1, case.size) if own is None else own
    elif extractor == "auto" and case.reference_annotations is not None:
        known = case.reference_annotations
        poses = poses_of_annotations(known.keypoints, known.visibility, picture)
    else:
        poses = picture_poses(case.reference, device=device)
    return poses.crop_resize(size, size)


def pose_drawings(poses: Poses, *, size: int | None = None) -> Iterator[npt.NDArray[np.uint8]]:
    """OpenPose drawings, one picture in memory at a time: see `fypv2.conditions.draw_skeletons`.

    Args:
        poses: of any number of frames and characters.
        size: side of a square to crop and resize to; None leaves them as they are.

    Yields:
        uint8 RGB (H, W, 3) on black for every frame.
    """
    from fypv2.conditions import draw_skeletons

    if size is not None:
        poses = poses.crop_resize(size, size)
    for index in range(poses.frames):
        yield draw_skeletons(poses.frame(index))[0]
