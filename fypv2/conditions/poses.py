"""Poses of several characters over time: what every condition is drawn from, wherever it came from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

__all__ = ["HAND_KEYPOINTS", "SEEN", "Poses", "crop_box"]

HAND_KEYPOINTS = 21
"""Keypoints of one hand, the wrist first, then four for each finger from thumb to little finger (OpenPose)."""

SEEN = 0.3
"""A keypoint with a lower score is not drawn; the threshold of the paper's relatives."""

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Poses:
    """Skeletons of T frames and K characters, in pixels of a picture; one picture is T = 1.

    A character keeps its index on the K axis over time: that is its identity. Where it is absent, or a keypoint could
    not be found, the score is 0 and the place means nothing.

    Attributes:
        body: float32 (T, K, 18, 2), x then y, in the order of `mcbench.KEYPOINT_NAMES`; the centre of the top left
            pixel is (0, 0).
        body_scores: float32 (T, K, 18) in [0, 1].
        size: height and width of the picture in pixels.
        hands: float32 (T, K, 2, 21, 2), the character's own right hand first, or None.
        hand_scores: float32 (T, K, 2, 21) in [0, 1], or None.
    """

    body: Array
    body_scores: Array
    size: tuple[int, int]
    hands: Array | None = None
    hand_scores: Array | None = None

    def __post_init__(self) -> None:
        frames, characters = self.body.shape[:2]
        if self.body.shape != (frames, characters, 18, 2) or self.body_scores.shape != (frames, characters, 18):
            raise ValueError(f"body keypoints of shape {self.body.shape} with scores of {self.body_scores.shape}")
        if (self.hands is None) != (self.hand_scores is None):
            raise ValueError("give hands and their scores, or neither")
        if self.hands is not None and self.hand_scores is not None:
            hands = (frames, characters, 2, HAND_KEYPOINTS)
            if self.hands.shape != (*hands, 2) or self.hand_scores.shape != hands:
                raise ValueError(f"hand keypoints of shape {self.hands.shape} with scores of {self.hand_scores.shape}")

    @property
    def frames(self) -> int:
        """T."""
        return self.body.shape[0]

    @property
    def characters(self) -> int:
        """K."""
        return self.body.shape[1]

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """(T, K): whether any keypoint of the character is seen in the frame."""
        return np.asarray((self.body_scores >= SEEN).any(axis=-1))

    def frame(self, index: int) -> Poses:
        """The poses of one frame, T = 1."""
        return self.select(slice(index, index + 1))

    def select(self, frames: slice) -> Poses:
        """The poses of a run of frames."""
        return replace(
            self,
            body=self.body[frames],
            body_scores=self.body_scores[frames],
            hands=None if self.hands is None else self.hands[frames],
            hand_scores=None if self.hand_scores is None else self.hand_scores[frames],
        )

    def reorder(self, characters: list[int]) -> Poses:
        """The same poses with the characters in another order, or fewer of them: new index k is old `characters[k]`."""
        return replace(
            self,
            body=self.body[:, characters],
            body_scores=self.body_scores[:, characters],
            hands=None if self.hands is None else self.hands[:, characters],
            hand_scores=None if self.hand_scores is None else self.hand_scores[:, characters],
        )

    def crop_resize(self, height: int, width: int) -> Poses:
        """The poses after the picture's largest centred crop of the ratio width : height is resized to that size.

        The crop is `crop_box`'s, the one that a frame goes through, so that poses and pixels stay together.
        """
        top, left, crop_height, crop_width = crop_box(self.size, height, width)
        scale = np.array([width / crop_width, height / crop_height], np.float32)
        # A pixel's centre lies half a pixel from its edge, whatever the pixel's size.
        shift = (np.array([0.5 - left, 0.5 - top], np.float32)) * scale - np.float32(0.5)
        return replace(
            self,
            body=self.body * scale + shift,
            hands=None if self.hands is None else self.hands * scale + shift,
            size=(height, width),
        )


def crop_box(size: tuple[int, int], height: int, width: int) -> tuple[int, int, int, int]:
    """The largest centred crop of a picture with the ratio of height and width.

    Args:
        size: the picture's height and width in pixels.
        height: of the wanted ratio.
        width: of the wanted ratio.

    Returns:
        Top, left, height and width of the crop in pixels. For a square it is the crop of mcbench's protocols.
    """
    crop_height = min(size[0], max(1, round(size[1] * height / width)))
    crop_width = min(size[1], max(1, round(size[0] * width / height)))
    return (size[0] - crop_height) // 2, (size[1] - crop_width) // 2, crop_height, crop_width
