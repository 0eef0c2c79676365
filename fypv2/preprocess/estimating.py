"""What is in a scene: poses, flow and depth, by extractors or from files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fypv2.conditions import Poses, crop_resize_flow, crop_resize_map
from fypv2.extractors import DepthExtractor, ExtractorError, FlowExtractor, PoseExtractor, PoseFileError, read_poses
from fypv2.preprocess.cutting import Scene
from fypv2.preprocess.probing import VIDEO_SUFFIXES, BadVideoError, Footage, reason_of
from fypv2.training.clips import DenseFlow, TrainingClip
from fypv2.training.pose_nearness import nearness_maps
from mcbench import this_worker

__all__ = [
    "EstimatedPoses",
    "Estimators",
    "PoseSource",
    "SceneRefusedError",
    "StoredPoses",
    "estimate",
    "load_estimators",
]

_ASPECT = 0.01
"""By how much the ratio of a pose file's picture may differ from its video's."""
_HALF = np.finfo(np.float16).max


class SceneRefusedError(Exception):
    """A scene that is no clip, with the reason."""


class PoseSource(Protocol):
    """Gives the poses of a video's scenes."""

    @property
    def record(self) -> dict[str, Any]:
        """What it is, as plain values."""

    def begin(self, name: str, footage: Footage) -> None:
        """The next scenes are of this video.

        Raises:
            BadVideoError: if it has no poses.
        """

    def poses(self, scene: Scene) -> Poses:
        """Poses of a scene, in its frames' pixels.

        Raises:
            ExtractorError: if nobody is found.
        """


class EstimatedPoses:
    """Poses found in a scene's own frames, and followed within it.

    Args:
        extractor: what finds them.
    """

    def __init__(self, extractor: PoseExtractor) -> None:
        self._extractor = extractor

    @property
    def record(self) -> dict[str, Any]:
        return self._extractor.record.to_dict()

    def begin(self, name: str, footage: Footage) -> None:
        """Nothing is to be prepared."""

    def poses(self, scene: Scene) -> Poses:
        return self._extractor.poses(iter(scene.frames))


class StoredPoses:
    """Poses that the user has: for `dance/a.mp4` the file or folder `dance/a.*` of the pose folder.

    Looked for in this order: `a.safetensors`, `a.json`, `a/` with OpenPose's files or drawings, and a skeleton video
    `a.mp4` or the like. Every frame of the video has its poses there, in a picture of the video's ratio. Whoever is in
    it keeps one identity through the whole video.

    Args:
        folder: of the poses.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._whole: Poses | None = None

    @property
    def record(self) -> dict[str, Any]:
        return {"name": "pose-files", "libraries": {}, "weights": (), "settings": None}

    def begin(self, name: str, footage: Footage) -> None:
        stem = Path(name).with_suffix("") if name.lower().endswith(VIDEO_SUFFIXES) else Path(name)
        beside = self._folder / stem
        choices = [beside.with_name(beside.name + suffix) for suffix in (".safetensors", ".json", "", *VIDEO_SUFFIXES)]
        path = next((choice for choice in choices if choice.exists()), None)
        if path is None:
            raise BadVideoError(f"no poses: there is no '{stem}' in the folder of --poses")
        try:
            poses = self._read(path, footage.size)
        except (PoseFileError, ExtractorError) as error:
            raise BadVideoError(f"its poses: {reason_of(error, path)}") from error
        if poses.frames != footage.frames:
            raise BadVideoError(f"its poses: {path.name} has {poses.frames} frames, the video {footage.frames}")
        ratio = (poses.size[1] / poses.size[0]) / (footage.size[1] / footage.size[0])
        if abs(ratio - 1) > _ASPECT:
            raise BadVideoError(
                f"its poses: {path.name} is of a picture of {poses.size[1]} x {poses.size[0]}, the video of"
                f" {footage.size[1]} x {footage.size[0]}"
            )
        # The crop is made in the video's own pixels, as that of the frames.
        self._whole = poses if poses.size == footage.size else _resized(poses, footage.size)

    def poses(self, scene: Scene) -> Poses:
        assert self._whole is not None
        last = scene.first_frame + len(scene.frames) * scene.step
        part = self._whole.select(slice(scene.first_frame, last, scene.step))
        return part.crop_resize(scene.frames.shape[1], scene.frames.shape[2])

    def _read(self, path: Path, size: tuple[int, int]) -> Poses:
        def refuse() -> PoseExtractor:
            raise PoseFileError(f"{path.name}: a video that is no skeleton drawing; give poses, or leave --poses out")

        if path.suffix.lower() != ".json" and not (path.is_dir() and any(path.glob("*_keypoints.json"))):
            return read_poses(path, extractor=refuse)
        try:
            return read_poses(path, kind="json", size=size)
        except PoseFileError:
            # Its canvas has a size of its own; or what is wrong with it is said again.
            return read_poses(path, kind="json")


@dataclass(frozen=True)
class Estimators:
    """What is asked about every scene.

    Attributes:
        poses: who is where.
        flow: None to leave motion out.
        depth: None to leave depth out.
    """

    poses: PoseSource
    flow: FlowExtractor | None
    depth: DepthExtractor | None

    @property
    def record(self) -> dict[str, Any]:
        """What was used, for the index."""
        return {
            "poses": self.poses.record,
            "flow": None if self.flow is None else self.flow.record.to_dict(),
            "depth": None if self.depth is None else self.depth.record.to_dict(),
        }


def load_estimators(
    poses: Path | None, flow: str | None, depth: str | None, device: str = "auto", offline: bool | None = None
) -> Estimators:
    """The extractors by name.

    Args:
        poses: folder of pose files; DWPose if None.
        flow: `raft_large`, `raft_small`, or None.
        depth: a model for `DepthAnything`, or None.
        device: of torch; `auto` is this process's GPU (LOCAL_RANK) where there is one.
        offline: never touch the network.

    Raises:
        ExtractorError: if weights or libraries are missing.
    """
    from fypv2.extractors import DepthAnything, DWPose, RaftFlow

    chosen = _device(device) if poses is None or flow is not None or depth is not None else "cpu"
    source: PoseSource = EstimatedPoses(DWPose(device=chosen, offline=offline)) if poses is None else StoredPoses(poses)
    return Estimators(
        source,
        None if flow is None else RaftFlow(flow, device=chosen, offline=offline),
        None if depth is None else DepthAnything(depth, device=chosen, offline=offline),
    )


def estimate(
    scene: Scene, name: str, fps: float, estimators: Estimators, map_scale: int, min_people: int, max_people: int
) -> TrainingClip:
    """Everything about a scene.

    Args:
        scene: the frames.
        name: of the clip.
        fps: of the video, before frames were left out.
        estimators: what to ask.
        map_scale: by how much flow and nearness are made coarser, to be kept so.
        min_people: with fewer it is no clip.
        max_people: with more it is no clip.

    Raises:
        SceneRefusedError: if too few or too many people are in it.
        ExtractorError: if an extractor fails on it.
    """
    try:
        poses = estimators.poses.poses(scene)
    except ExtractorError as error:
        if "nobody" not in str(error):
            raise
        raise SceneRefusedError("no people") from None
    poses = poses.reorder([int(k) for k in np.flatnonzero(poses.present.any(axis=0))])
    if not poses.characters or poses.present.any(axis=1).mean() < 0.5:
        raise SceneRefusedError("no people")
    if not min_people <= poses.characters <= max_people:
        raise SceneRefusedError(f"{poses.characters} people")
    count, height, width = scene.frames.shape[:3]
    small = (height // map_scale, width // map_scale)
    flow = None
    if estimators.flow is not None:
        vectors = np.empty((count, *small, 2), np.float16)
        for i, one in enumerate(estimators.flow.flows(iter(scene.frames))):
            vectors[i] = _halved(crop_resize_flow(one, *small), "flow")
        flow = DenseFlow(vectors, (height, width))
    if estimators.depth is None:
        nearness = nearness_maps(poses)
    else:
        nearness = np.empty((count, height, width), np.float16)
        for i, frame in enumerate(scene.frames):
            nearness[i] = _halved(crop_resize_map(estimators.depth.nearness(frame), height, width), "depth")
    return TrainingClip(name, scene.frames, fps / scene.step, poses, flow, nearness)


def _halved(values: npt.NDArray[np.float32], what: str) -> npt.NDArray[np.float16]:
    if not np.isfinite(values).all():
        raise ExtractorError(f"the {what} network gives numbers that are not finite; fetch its weights again")
    return np.clip(values, -_HALF, _HALF).astype(np.float16)


def _resized(poses: Poses, size: tuple[int, int]) -> Poses:
    """The whole picture at another size, though its ratio may be off by a rounding."""
    scale = np.array([size[1] / poses.size[1], size[0] / poses.size[0]], np.float32)

    def place(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return (points + np.float32(0.5)) * scale - np.float32(0.5)

    return Poses(
        place(poses.body),
        poses.body_scores,
        size,
        None if poses.hands is None else place(poses.hands),
        poses.hand_scores,
    )


def _device(device: str) -> str:
    if device != "auto":
        return device
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{this_worker().local_index % torch.cuda.device_count()}"
