"""Whole-body poses by DWPose (Yang et al., ICCV Workshops 2023): networks in ONNX, run through `rtmlib`.

A detector (YOLOX) finds the people of a frame, the pose network 133 keypoints in each one's box, and `tracking` says
who is who. Of the 133 (COCO-WholeBody: 17 body, 6 feet, 68 face, 21 left hand, 21 right hand) the body's and the
hands' are kept, in OpenPose's order.

Two habits of `rtmlib` are not followed. Where the detector finds nobody, its pose network is given the whole frame as a
box, and makes up a person: here it is not called then. And it is given BGR throughout, although the pose network is
normalised with, and was trained on, RGB; here the detector is given BGR and the pose network RGB.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fypv2.conditions.poses import SEEN, Poses
from fypv2.extractors.base import (
    ExtractorError,
    ExtractorRecord,
    Frame,
    PoseExtractor,
    WeightsUsed,
    library_versions,
    missing_library,
    sized_frames,
)
from fypv2.extractors.tracking import People, track_people
from fypv2.extractors.weights import find_weights, weights_folder, weights_used

__all__ = ["DETECTORS", "POSE_NETWORKS", "DWPose", "from_whole_body"]

_ADDRESS = "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/onnx_sdk/"

POSE_NETWORKS = {
    "dwpose-l-384": ("rtmpose-l_simcc-ucoco_dw-ucoco_270e-384x288-2438fd99_20230728", (384, 288)),
    "dwpose-l": ("rtmpose-l_simcc-ucoco_dw-ucoco_270e-256x192-4d6dfc62_20230728", (256, 192)),
    "dwpose-m": ("rtmpose-m_simcc-ucoco_dw-ucoco_270e-256x192-c8b76419_20230728", (256, 192)),
    "dwpose-s": ("rtmpose-s_simcc-ucoco_dw-ucoco_270e-256x192-3fd922c8_20230728", (256, 192)),
    "dwpose-t": ("rtmpose-t_simcc-ucoco_dw-ucoco_270e-256x192-dcf277bf_20230728", (256, 192)),
}
"""Name to file and input size (height, width), as rtmlib's list of models has them."""

DETECTORS = {
    "yolox-x": ("yolox_x_8xb8-300e_humanart-a39d44ed", (640, 640)),
    "yolox-l": ("yolox_l_8xb8-300e_humanart-ce1d7a62", (640, 640)),
    "yolox-m": ("yolox_m_8xb8-300e_humanart-c2c7a14a", (640, 640)),
    "yolox-s": ("yolox_s_8xb8-300e_humanart-3ef259a7", (640, 640)),
    "yolox-tiny": ("yolox_tiny_8xb8-300e_humanart-6f3252f9", (416, 416)),
    "yolox-nano": ("yolox_nano_8xb8-300e_humanart-40f6f0d0", (416, 416)),
}
"""Detectors of people, trained on COCO and Human-Art."""

WHOLE_BODY = 133
_BODY = np.array([0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3])
"""COCO keypoint of each of OpenPose's 18; the neck, -1, is no keypoint of COCO."""
_NECK, _SHOULDERS = 1, (5, 6)
_RIGHT_HAND, _LEFT_HAND = slice(112, 133), slice(91, 112)


def from_whole_body(
    keypoints: npt.NDArray[np.floating],
    scores: npt.NDArray[np.floating],
    size: tuple[int, int],
    threshold: float = SEEN,
) -> People:
    """COCO-WholeBody keypoints in OpenPose's order.

    The neck lies midway between the shoulders, with the lower of their scores, where both are found. Scores are cut
    to [0, 1]; a keypoint under the threshold, not finite, or outside the picture has the score 0.

    Args:
        keypoints: (N, 133, 2), pixels.
        scores: (N, 133).
        size: height and width of the picture in pixels.
        threshold: lowest score of a keypoint that is kept.
    """
    places = keypoints.astype(np.float32)
    finite = np.isfinite(places).all(axis=-1) & np.isfinite(scores)
    places = np.where(finite[..., None], places, np.float32(0))
    certain = np.where(finite & (scores >= threshold), np.clip(scores, 0, 1), 0).astype(np.float32)
    left, right = _SHOULDERS
    body, body_scores = places[:, _BODY], certain[:, _BODY]
    body[:, _NECK] = (places[:, left] + places[:, right]) / 2
    body_scores[:, _NECK] = np.minimum(certain[:, left], certain[:, right])
    hands = np.stack([places[:, _RIGHT_HAND], places[:, _LEFT_HAND]], axis=1)
    hand_scores = np.stack([certain[:, _RIGHT_HAND], certain[:, _LEFT_HAND]], axis=1)
    # Only now: a neck may be in the picture although a shoulder is not.
    return People(body, body_scores * _inside(body, size), hands, hand_scores * _inside(hands, size))


def _inside(places: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which places lie on a pixel of the picture."""
    x, y = places[..., 0], places[..., 1]
    return np.asarray((x >= -0.5) & (y >= -0.5) & (x <= size[1] - 0.5) & (y <= size[0] - 0.5))


class DWPose(PoseExtractor):
    """Finds people in frames, with body and hands.

    Args:
        pose: one of `POSE_NETWORKS`, or an ONNX file of a whole-body SimCC network.
        detector: one of `DETECTORS`, or an ONNX file of a YOLOX.
        device: `cpu`, `cuda` or `cuda:N`; the latter two need onnxruntime-gpu.
        threshold: lowest score of a keypoint that is kept.
        box_threshold: lowest score of a person's box, for detectors without a suppression of their own; those of
            `DETECTORS` have one, at 0.3.
        offline: never touch the network; None: as `HF_HUB_OFFLINE` says.

    Raises:
        ExtractorError: if a library or a file is missing, or a file is not such a network.
    """

    def __init__(
        self,
        pose: str | Path = "dwpose-l-384",
        detector: str | Path = "yolox-m",
        *,
        device: str = "cpu",
        threshold: float = SEEN,
        box_threshold: float = 0.3,
        offline: bool | None = None,
    ) -> None:
        for word, value in (("threshold", threshold), ("box_threshold", box_threshold)):
            if not 0 < value < 1:
                raise ExtractorError(f"{word} is {value}; give a score between 0 and 1")
        try:
            import onnxruntime
            from rtmlib import YOLOX, RTMPose
            from rtmlib.tools.file import download_checkpoint
        except ImportError as error:
            raise missing_library("DWPose", error) from error
        if device.startswith("cuda") and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise ExtractorError(f"device {device}: this onnxruntime runs on the CPU only; install onnxruntime-gpu")
        self.threshold, self.box_threshold = threshold, box_threshold
        self.name = pose if isinstance(pose, str) and pose in POSE_NETWORKS else Path(pose).name

        def fetch(address: str, path: Path) -> None:
            with contextlib.redirect_stdout(sys.stderr):
                download_checkpoint(address, dst_dir=str(path.parent), progress=False)

        find_path, use = _file(detector, DETECTORS, fetch, offline)
        pose_path, pose_use = _file(pose, POSE_NETWORKS, fetch, offline)
        self._used = (use, pose_use)
        self.detector = _load(YOLOX, find_path, device, score_thr=box_threshold)
        # rtmlib writes a detector's size as height and width, a pose network's as width and height.
        self.detector.model_input_size = _input_size(self.detector, find_path)
        self.network = _load(RTMPose, pose_path, device)
        self.network.model_input_size = _input_size(self.network, pose_path)[::-1]

    @property
    def record(self) -> ExtractorRecord:
        """The networks, detector first, and the thresholds."""
        settings = {"threshold": self.threshold, "box_threshold": self.box_threshold}
        return ExtractorRecord(self.name, library_versions("rtmlib", "onnxruntime"), self._used, {**settings})

    def poses(self, frames: Iterable[Frame], *, characters: int | None = None) -> Poses:
        """See `PoseExtractor.poses`."""
        ahead = sized_frames(frames)
        first = next(ahead, None)
        if first is None:
            raise ExtractorError("no frames to find poses in; give at least one")

        def everyone() -> Iterator[People]:
            yield self.people(first)
            for frame in ahead:
                yield self.people(frame)

        return track_people(everyone(), (first.shape[0], first.shape[1]), characters=characters)

    def people(self, frame: Frame) -> People:
        """Everyone in one frame, uint8 RGB (H, W, 3), in no order.

        Raises:
            ExtractorError: if the pose network does not give 133 keypoints.
        """
        boxes = np.asarray(self.detector(np.ascontiguousarray(frame[..., ::-1])), np.float32).reshape(-1, 4)
        boxes = boxes[np.isfinite(boxes).all(-1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]
        if not len(boxes):
            return People.none()
        keypoints, scores = self.network(frame, bboxes=boxes)
        if keypoints.shape != (len(boxes), WHOLE_BODY, 2):
            raise ExtractorError(
                f"{self.name} gives {keypoints.shape[-2]} keypoints; give a whole-body network, which has {WHOLE_BODY}"
            )
        return from_whole_body(keypoints, scores, (frame.shape[0], frame.shape[1]), self.threshold)


def _file(
    name: str | Path, known: dict[str, tuple[str, tuple[int, int]]], fetch: Any, offline: bool | None
) -> tuple[Path, WeightsUsed]:
    if isinstance(name, str) and name in known:
        file = known[name][0]
        path = weights_folder() / "rtmlib" / f"{file}.onnx"
        find_weights(path, f"{_ADDRESS}{file}.zip", fetch, offline=offline, member="end2end.onnx")
        return path, weights_used(path, named=True)
    path = Path(name)
    if not path.is_file():
        raise ExtractorError(f"no network {name}; give an ONNX file or one of {', '.join(known)}")
    return path, weights_used(path)


def _load(tool: Any, path: Path, device: str, **more: Any) -> Any:
    try:
        # rtmlib prints what it loads, and results go to stdout.
        with contextlib.redirect_stdout(sys.stderr):
            return tool(str(path), backend="onnxruntime", device=device, **more)
    # onnxruntime has an error class for each of its status codes, without a common base but Exception.
    except Exception as error:
        raise ExtractorError(f"{path}: not an ONNX network that onnxruntime can run; replace the file") from error


def _input_size(tool: Any, path: Path) -> tuple[int, int]:
    """Height and width of a network's input."""
    shape = tool.session.get_inputs()[0].shape
    if len(shape) == 4 and all(isinstance(side, int) and side > 0 for side in shape[2:]):
        return int(shape[2]), int(shape[3])
    for file, size in (*POSE_NETWORKS.values(), *DETECTORS.values()):
        if path.stem == file:
            return size
    raise ExtractorError(f"{path}: its input has the shape {shape}; give a network whose input has a fixed size")
