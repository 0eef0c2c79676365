"""Poses from a skeleton video: a drawing is read back into the keypoints that it was made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import numpy as np

from fypv2.conditions.poses import Poses
from fypv2.conditions.skeletons import DESIGN_SIDE, JOINT_RADIUS
from fypv2.extractors.base import (
    ExtractorError,
    ExtractorRecord,
    Frame,
    PoseExtractor,
    library_versions,
    sized_frames,
)
from fypv2.extractors.skeleton_colours import DARK, disc_radii, is_skeleton_frame, read_colours
from fypv2.extractors.skeleton_frame import find_people
from fypv2.extractors.tracking import People, track_people

__all__ = ["SkeletonDrawings", "is_skeleton_video"]

_LOOKED_AT = 16
"""Frames from which the discs' radius is measured."""
_LEAST_RADIUS = 1.5
"""Pixels; smaller discs have no shape left to be told by."""


class SkeletonDrawings(PoseExtractor):
    """Reads OpenPose drawings on black, as `fypv2.conditions.skeletons` or ControlNet's tools make them.

    Joints that a hand, a face point or somebody else covers are taken from their limbs, with a score of 0.5. Hands are
    not read: their points have one colour and are wider than the fingers are apart.

    Args:
        radius: of the joints' discs in pixels; measured in the first frames if None.
    """

    def __init__(self, radius: float | None = None) -> None:
        if radius is not None and not radius >= _LEAST_RADIUS:
            raise ExtractorError(f"joints of radius {radius} pixels cannot be read; give {_LEAST_RADIUS} or more")
        self.radius = radius

    @property
    def record(self) -> ExtractorRecord:
        """No weights."""
        return ExtractorRecord(
            "skeleton-drawings", library_versions("numpy", "scipy"), settings={"radius": self.radius}
        )

    def poses(self, frames: Iterable[Frame], *, characters: int | None = None) -> Poses:
        """See `PoseExtractor.poses`.

        Raises:
            ExtractorError: if there are no frames, no skeletons in them, or their joints are too small to be read.
        """
        ahead = iter(sized_frames(frames))
        first = list(islice(ahead, _LOOKED_AT))
        if not first:
            raise ExtractorError("no frames to find poses in; give at least one")
        size = (first[0].shape[0], first[0].shape[1])
        radius = self.radius or _measured_radius(first) or JOINT_RADIUS * min(size) / DESIGN_SIDE
        if radius < _LEAST_RADIUS:
            raise ExtractorError(
                f"the skeletons' joints have a radius of {radius:.1f} pixels; give a drawing of twice the size or more"
            )
        return track_people(self._people(chain(first, ahead), radius), size, characters=characters)

    def _people(self, frames: Iterable[Frame], radius: float) -> Iterator[People]:
        for frame in frames:
            yield find_people(frame, radius)


def _measured_radius(frames: list[Frame]) -> float | None:
    radii = [radius for frame in frames for radius in disc_radii(read_colours(frame))]
    return float(np.median(radii)) if radii else None


def is_skeleton_video(frames: Iterable[Frame]) -> bool:
    """Whether frames, a sample of a video, are skeleton drawings rather than pictures of people.

    They are where most of those that are not black are black but for the drawing's colours.
    """
    drawn = [is_skeleton_frame(frame) for frame in frames if (frame > DARK).any()]
    return sum(drawn) * 2 > len(drawn)
