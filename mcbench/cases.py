"""Case: what a method is given for one clip.

The truth stays behind unless the method declares that it needs it. What decides the frames goes into the digest, so
that another case is never taken for the same one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mcbench.datasets.base import Annotations, Clip, FrameSource, ReferenceAnnotations
from mcbench.datasets.manifest import frame_digest
from mcbench.errors import VideoError

__all__ = ["Case", "DrivingPoses", "case_digest", "lock_of", "make_case"]


@dataclass(frozen=True)
class DrivingPoses:
    """The driving pose sequence of T frames and K characters, in pixels of the clip's own size.

    Attributes:
        keypoints: float32 (T, K, 18, 2), x then y, in the order of `mcbench.KEYPOINT_NAMES`.
        visibility: uint8 (T, K, 18): 0 absent, 1 hidden, 2 visible.
    """

    keypoints: npt.NDArray[np.float32]
    visibility: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """What a method gets for one clip.

    Attributes:
        clip: the clip's name.
        frames: how many frames to return.
        fps: frames a second.
        size: height and width of the clip in pixels.
        seed: decides every random choice of the method.
        reference: the reference image, uint8 RGB of shape (height, width, 3).
        poses: the driving poses, None where the data set has none.
        reference_annotations: exact keypoints, mask and depth of the reference image where the data set has them.
        truth: the true frames, None unless the method declares `needs_truth`.
        driving_video: the video whose motion drives, None unless the method declares `needs_driving_video`; its first
            `frames` frames count. Poses and masks may be extracted from it; a network that animates never sees it.
        annotations: exact keypoints, masks and depth over time where the data set has them; None unless the method
            declares `needs_driving_video` or `needs_truth`.
        folder: a folder of this clip's own in the run folder, for the inputs, outputs and logs of a program. It stays
            from one start of the run to the next, and need not be there yet. Whoever works on it without having been
            asked for this very case, as a method that animates several cases at once, holds the lock file `lock`. None
            outside a run.
    """

    clip: str
    frames: int
    fps: float
    size: tuple[int, int]
    seed: int
    reference: npt.NDArray[np.uint8]
    poses: DrivingPoses | None = None
    reference_annotations: ReferenceAnnotations | None = None
    truth: FrameSource | None = None
    driving_video: FrameSource | None = None
    annotations: Annotations | None = None
    folder: Path | None = None

    @property
    def lock(self) -> Path | None:
        """The lock file of the folder."""
        return None if self.folder is None else lock_of(self.folder)


def lock_of(folder: Path) -> Path:
    """The lock file of a case's folder, beside it; no clip's name begins with a dot."""
    return folder.with_name(f".{folder.name}.lock")


def make_case(clip: Clip, seed: int, *, with_truth: bool, with_driving_video: bool = False) -> Case:
    """What a method is given for a clip; the truth stays behind unless asked for."""
    if clip.reference_source is not None:
        reference = next(iter(clip.reference_source.read()))
    else:
        reference = _frame(clip.source, clip.reference_frame or 0)
    poses = annotations = None
    if clip.annotations is not None:
        known = clip.annotations
        poses = DrivingPoses(known.keypoints, known.visibility)
        annotations = known.reference()
        if annotations is None:
            index = clip.reference_frame or 0
            annotations = ReferenceAnnotations(
                keypoints=known.keypoints[index],
                visibility=known.visibility[index],
                mask=known.masks(index, index + 1)[0],
                depth=known.depth(index, index + 1)[0],
            )
    return Case(
        clip=clip.name,
        frames=clip.frames,
        fps=clip.fps,
        size=clip.source.size,
        seed=seed,
        reference=reference,
        poses=poses,
        reference_annotations=annotations,
        truth=clip.source if with_truth else None,
        driving_video=clip.source if with_driving_video else None,
        annotations=clip.annotations if with_truth or with_driving_video else None,
    )


def case_digest(case: Case) -> str:
    """SHA-256 (hex) over everything that a method is given: a case with another digest has other frames.

    The folder is not part of it, and the annotations over time are not read for it: they belong to the frames of the
    truth or the driving video, which are.
    """
    digest = hashlib.sha256(repr((case.clip, case.frames, case.fps, case.size, case.seed)).encode())
    digest.update(frame_digest(case.reference))
    arrays = [case.poses.keypoints, case.poses.visibility] if case.poses else []
    if case.reference_annotations:
        known = case.reference_annotations
        arrays += [known.keypoints, known.visibility, known.mask, known.depth]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    for source in (case.truth, case.driving_video):
        if source is not None:
            digest.update(source.digest().encode())
    return digest.hexdigest()


def _frame(source: FrameSource, index: int) -> npt.NDArray[np.uint8]:
    for number, frame in enumerate(source.read()):
        if number == index:
            return frame
    raise VideoError(f"the clip has no frame {index}, which its data set names as the reference")
