"""The poses that drive a clip: from the user's folder of pose files, or found in the driving video and kept.

Whatever is measured by mcbench and driven by poses reads them here, so that one clip has one set of poses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fypv2.conditions.poses import Poses
from fypv2.extractors.base import ExtractorError, Frame, PoseExtractor
from fypv2.extractors.cache import ArrayCache, content_key
from fypv2.extractors.dwpose import DWPose
from fypv2.extractors.pose_files import read_poses
from mcbench import FrameSource, MethodError

__all__ = ["clip_poses", "picture_poses", "pose_files_of", "reference_poses", "video_poses"]

_FOUND = "poses/1"
"""Version of what is found in frames, tracking included; a change that moves poses must not meet older ones."""


def clip_poses(folder: Path, clip: str, frames: int, size: tuple[int, int]) -> Poses:
    """The driving poses of a clip in a folder of pose files.

    Args:
        folder: holds what `read_poses` reads, called `<clip>`, `<clip>.json`, `<clip>.safetensors` or `<clip>.mp4`.
        clip: the clip's name.
        frames: how many frames to return.
        size: height and width of the clip in pixels, for JSON that does not say it.

    Raises:
        MethodError: if the folder has no poses of the clip, or of too few frames.
        mcbench.UserError: if they cannot be read.
    """
    path = _poses_file(folder, clip)
    if path is None:
        raise MethodError(f"{folder}: no poses of clip '{clip}'; it should hold {clip}.json")
    poses = read_poses(path, size=size if _is_json(path) else None, frames=frames)
    if poses.frames < frames:
        raise MethodError(f"{path}: poses of {poses.frames} frames, clip '{clip}' has {frames}")
    return poses


def reference_poses(folder: Path, clip: str, size: tuple[int, int]) -> Poses | None:
    """The reference image's poses, T = 1, where the folder has some, called `<clip>-reference`; else None.

    Args:
        folder: as for `clip_poses`.
        clip: the clip's name.
        size: height and width of the reference image in pixels, for JSON that does not say it.

    Raises:
        mcbench.UserError: if they cannot be read.
    """
    path = _poses_file(folder, f"{clip}-reference")
    return None if path is None else read_poses(path, size=size if _is_json(path) else None, frames=1)


def pose_files_of(folder: Path, clip: str) -> list[Path]:
    """What a folder of pose files holds of a clip and of its reference image: those that the two above read."""
    found = (_poses_file(folder, name) for name in (clip, f"{clip}-reference"))
    return [path for path in found if path is not None]


def video_poses(
    video: FrameSource,
    frames: int,
    *,
    extractor: Callable[[], PoseExtractor] | None = None,
    device: str = "cpu",
    cache: ArrayCache | None = None,
) -> Poses:
    """The poses of a video's first frames, found once: kept by the video's bytes and the extractor's record.

    Args:
        video: the driving video.
        frames: how many of its frames count.
        extractor: makes what finds poses; default `DWPose` on `device`, made once in a process.
        device: of the default extractor.
        cache: where they are kept; default `mcbench.home_folder()/cache/inputs`.

    Raises:
        ExtractorError: if a library or weights are missing, the video is too short, or nobody is found.
    """
    if video.frames < frames:
        raise ExtractorError(f"the driving video has {video.frames} frames, {frames} are needed; give the whole video")
    return _found(
        lambda: islice(video.read(), frames), ["video", video.digest(), frames], extractor or _dwpose(device), cache
    )


def picture_poses(
    picture: npt.NDArray[np.uint8],
    *,
    extractor: Callable[[], PoseExtractor] | None = None,
    device: str = "cpu",
    cache: ArrayCache | None = None,
) -> Poses:
    """The poses of one picture, uint8 RGB (H, W, 3), likewise; T = 1."""
    digest = hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()
    content = ["picture", digest, [int(side) for side in picture.shape]]
    return _found(lambda: iter([picture]), content, extractor or _dwpose(device), cache)


def _found(
    frames: Callable[[], Iterator[Frame]],
    content: list[Any],
    make: Callable[[], PoseExtractor],
    cache: ArrayCache | None,
) -> Poses:
    extractor = make()

    def find() -> Iterator[npt.NDArray[Any]]:
        poses = extractor.poses(frames())
        yield np.array(poses.size, np.int64)
        yield from (poses.body, poses.body_scores)
        if poses.hands is not None and poses.hand_scores is not None:
            yield from (poses.hands, poses.hand_scores)

    key = content_key(_FOUND, content, extractor.record.to_dict())
    size, *arrays = (cache or ArrayCache()).kept(key, find)
    return Poses(arrays[0], arrays[1], (int(size[0]), int(size[1])), *arrays[2:])


def _dwpose(device: str) -> Callable[[], PoseExtractor]:
    return lambda: _made(device)


@lru_cache(maxsize=1)  # its networks take seconds to load, and their hashes seconds to compute
def _made(device: str) -> PoseExtractor:
    return DWPose(device=device)


def _poses_file(folder: Path, name: str) -> Path | None:
    """What holds the poses of that name in a folder."""
    for path in (folder / name, *(folder / f"{name}{suffix}" for suffix in (".json", ".safetensors", ".mp4"))):
        if path.exists():
            return path
    return None


def _is_json(path: Path) -> bool:
    """Whether the size of the picture must be said, since the file may not."""
    return path.suffix == ".json" or next(path.glob("*_keypoints.json"), None) is not None
