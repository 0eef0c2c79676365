"""Cases of a few small frames, with and without exact annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mcbench import Case, DrivingPoses, ReferenceAnnotations, open_frames, write_frames

HEIGHT, WIDTH = 96, 160
FRAMES = 3

# A person of 80 pixels who stands upright and faces the camera, in the order of mcbench.KEYPOINT_NAMES; x from the
# middle of the body, y from the crown down. The person's right is on the left of the picture.
STANDING = np.array(
    [
        [0, 8], [0, 15],
        [-8, 15], [-12, 29], [-14, 41], [8, 15], [12, 29], [14, 41],
        [-4, 38], [-5, 57], [-5, 76], [4, 38], [5, 57], [5, 76],
        [-2, 6], [2, 6], [-4, 7], [4, 7],
    ],
    np.float32,
)  # fmt: skip


class Known:
    """Exact annotations from arrays."""

    def __init__(self, keypoints: np.ndarray, visibility: np.ndarray, masks: np.ndarray, depth: np.ndarray) -> None:
        self.keypoints, self.visibility = keypoints.astype(np.float32), visibility.astype(np.uint8)
        self._masks, self._depth = masks.astype(np.uint8), depth.astype(np.float32)
        self.background_motion = np.tile(np.eye(2, 3), (len(keypoints), 1, 1))

    def masks(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        return self._masks[start:stop]

    def depth(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        return self._depth[start:stop]

    def reference(self) -> None:
        return None


def two_people() -> Known:
    """Two who stand at x = 60 and x = 100, each a pixel further right in every frame, as boxes of 40 x 84 pixels."""
    keypoints = np.zeros((FRAMES, 2, 18, 2), np.float32)
    masks = np.zeros((FRAMES, HEIGHT, WIDTH), np.uint8)
    for i in range(FRAMES):
        for k, x in enumerate((60, 100)):
            keypoints[i, k] = STANDING + np.array([x + i, 6])
            masks[i, 4:88, x + i - 19 : x + i + 20] = k + 1
    return Known(keypoints, np.full((FRAMES, 2, 18), 2), masks, np.full((FRAMES, HEIGHT, WIDTH), 3.0))


def make_case(folder: Path, *, exact: bool = True, **changes: Any) -> Case:
    """A case of noise, with two people in its annotations."""
    pictures = np.random.default_rng(1).integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    if not (folder / "clip").exists():
        write_frames(folder / "clip", pictures)
    given: dict[str, Any] = {
        "clip": "a",
        "frames": FRAMES,
        "fps": 25.0,
        "size": (HEIGHT, WIDTH),
        "seed": 0,
        "reference": pictures[0],
        "driving_video": open_frames(folder / "clip"),
    }
    if exact:
        known = two_people()
        given["annotations"] = known
        given["poses"] = DrivingPoses(known.keypoints, known.visibility)
        given["reference_annotations"] = ReferenceAnnotations(
            known.keypoints[0], known.visibility[0], known.masks(0, 1)[0], known.depth(0, 1)[0]
        )
    return Case(**given | changes)
