"""Exact annotations behind the extractors' interfaces: nothing is estimated, so no weights are needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from fypv2.conditions import Poses, background_flow, nearness_from_depth, poses_of_annotations
from fypv2.extractors.base import (
    Array,
    DepthExtractor,
    ExtractorError,
    ExtractorRecord,
    FlowExtractor,
    Frame,
    PoseExtractor,
    sized_frames,
)
from mcbench import Annotations, ReferenceAnnotations

__all__ = ["AnnotatedDepth", "AnnotatedFlow", "AnnotatedPoses", "poses_from_annotations"]


def poses_from_annotations(
    annotations: Annotations | ReferenceAnnotations,
    size: tuple[int, int],
    start: int = 0,
    stop: int | None = None,
) -> Poses:
    """Poses of the frames [start, stop) of a clip, or of its reference image (T = 1).

    Scores as in `poses_of_annotations`. No hands are annotated.

    Args:
        annotations: of a clip, or of a reference image that is no frame of it.
        size: height and width of the clip in pixels.
        start: first frame; means nothing for a reference image.
        stop: frame after the last one; means nothing for a reference image.

    Raises:
        ExtractorError: if there are no such frames.
    """
    keypoints, visibility = annotations.keypoints, annotations.visibility
    if not isinstance(annotations, ReferenceAnnotations):
        keypoints, visibility = keypoints[start:stop], visibility[start:stop]
    if not len(keypoints):
        raise ExtractorError(f"no annotated frames in [{start}, {stop}); the clip has {len(annotations.keypoints)}")
    return poses_of_annotations(keypoints, visibility, size)


class AnnotatedPoses(PoseExtractor):
    """Poses of a clip, whatever its pixels show.

    Args:
        annotations: of the clip.
        start: frame of the clip that the first given frame is.
    """

    def __init__(self, annotations: Annotations, start: int = 0) -> None:
        self.annotations = annotations
        self.start = start

    @property
    def record(self) -> ExtractorRecord:
        """No library and no weights."""
        return ExtractorRecord("annotated-poses", {})

    def poses(self, frames: Iterable[Frame], *, characters: int | None = None) -> Poses:
        """See `PoseExtractor.poses`; the frames only tell how many they are, and their size.

        Raises:
            ExtractorError: if the clip has fewer frames, or not so many characters.
        """
        count, size = 0, (0, 0)
        for frame in sized_frames(frames):
            count, size = count + 1, (frame.shape[0], frame.shape[1])
        stop = self.start + count
        if not count or stop > len(self.annotations.keypoints):
            raise ExtractorError(
                f"{count} frames from frame {self.start} on; {len(self.annotations.keypoints)} are annotated"
            )
        poses = poses_from_annotations(self.annotations, size, self.start, stop)
        if characters is not None and characters != poses.characters:
            raise ExtractorError(f"{characters} characters asked for; {poses.characters} are annotated")
        return poses


class AnnotatedFlow(FlowExtractor):
    """Flow of the background of a clip under its moving camera.

    The people's own motion is not annotated: their pixels have the background's. In the model's Eq. 3 that motion
    counts outside the people's dilated skeletons only, where it is exact, but for shadows.

    Args:
        annotations: of the clip.
        start: frame of the clip that the first given frame is.
    """

    def __init__(self, annotations: Annotations, start: int = 0) -> None:
        self.annotations = annotations
        self.start = start

    @property
    def record(self) -> ExtractorRecord:
        """No library and no weights."""
        return ExtractorRecord("annotated-background-flow", {})

    def flows(self, frames: Iterable[Frame]) -> Iterator[Array]:
        """See `FlowExtractor.flows`.

        Raises:
            ExtractorError: if the clip has fewer frames.
        """
        motions = self.annotations.background_motion
        for index, frame in enumerate(sized_frames(frames)):
            size = (frame.shape[0], frame.shape[1])
            if self.start + index >= len(motions):
                raise ExtractorError(f"frame {self.start + index} is not annotated; the clip has {len(motions)} frames")
            if index == 0:
                yield np.zeros((*size, 2), np.float32)
            else:
                yield background_flow(motions[self.start + index][None], size)[0]


class AnnotatedDepth(DepthExtractor):
    """Nearness of one frame of a clip, or of its reference image.

    Args:
        annotations: of the clip, or of its reference image.
        index: which frame of the clip; means nothing for a reference image.
    """

    def __init__(self, annotations: Annotations | ReferenceAnnotations, index: int = 0) -> None:
        self.annotations = annotations
        self.index = index

    @property
    def record(self) -> ExtractorRecord:
        """No library and no weights."""
        return ExtractorRecord("annotated-depth", {})

    def nearness(self, frame: Frame) -> Array:
        """See `DepthExtractor.nearness`: 1 / depth in 1/m.

        Raises:
            ExtractorError: if the frame has another size than the clip.
        """
        if isinstance(self.annotations, ReferenceAnnotations):
            depth = self.annotations.depth
        else:
            depth = self.annotations.depth(self.index, self.index + 1)[0]
        if frame.shape[:2] != depth.shape:
            raise ExtractorError(
                f"the frame is {frame.shape[1]} x {frame.shape[0]} pixels, the annotated one {depth.shape[1]} x "
                f"{depth.shape[0]}; give the frame as it is in the data set"
            )
        return nearness_from_depth(depth)
