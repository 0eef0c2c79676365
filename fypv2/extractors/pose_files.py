"""Poses from whatever holds them: OpenPose's JSON, saved poses, a skeleton video, a video of people."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import safetensors
import safetensors.numpy

from fypv2.conditions.poses import Poses
from fypv2.extractors.base import ExtractorError, PoseExtractor, PoseFileError
from fypv2.extractors.dwpose import DWPose
from fypv2.extractors.openpose_json import read_openpose_json
from fypv2.extractors.skeleton_video import SkeletonDrawings, is_skeleton_video
from mcbench import open_frames

__all__ = ["Kind", "read_poses", "save_poses"]

Kind = Literal["auto", "json", "saved", "skeleton", "people"]

_KINDS = ("auto", "json", "saved", "skeleton", "people")
_FORMAT = "fypv2.poses/1"
_LOOKED_AT = 24


def read_poses(
    path: Path | str,
    *,
    kind: Kind = "auto",
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    characters: int | None = None,
    extractor: Callable[[], PoseExtractor] = DWPose,
) -> Poses:
    """Poses of a clip, wherever they come from.

    Args:
        path: one of
            a folder with `*_keypoints.json`, or a `.json` file (see `openpose_json`);
            a `.safetensors` file of `save_poses`;
            a video or a folder of images: a skeleton drawing on black, or a video of people.
        kind: `json`, `saved`, `skeleton` or `people`; `auto` tells them apart, drawings by their colours.
        size: height and width in pixels, where JSON does not say it; of no use elsewhere.
        frames: only so many of the first frames.
        characters: how many people there are, where it is known.
        extractor: makes what finds poses in a video of people; called for such a video only.

    Raises:
        PoseFileError: if a file cannot be read as what it is.
        ExtractorError: if nobody is found, or weights or libraries are missing.
        mcbench.UserError: if a video cannot be read.
    """
    path = Path(path)
    if kind not in _KINDS:
        raise PoseFileError(f"no kind of poses is called '{kind}'; there are {', '.join(_KINDS)}")
    if frames is not None and frames < 1:
        raise PoseFileError(f"{frames} frames of {path}; ask for 1 or more")
    if kind == "auto":
        kind = _kind(path)
    if size is not None and kind != "json":
        raise PoseFileError(f"{path}: its own size counts, not {size[1]} x {size[0]}; leave `size` out")
    try:
        if kind == "json":
            poses = read_openpose_json(path, size, characters)
        elif kind == "saved":
            poses = _load(path)
        else:
            source = SkeletonDrawings() if kind == "skeleton" else extractor()
            return source.poses(islice(open_frames(path).read(), frames), characters=characters)
    except ExtractorError as error:
        raise ExtractorError(f"{path}: {error}") from error
    return poses.select(slice(0, frames))


def save_poses(poses: Poses, path: Path | str) -> None:
    """Writes poses, exactly, to a `.safetensors` file that `read_poses` reads.

    Raises:
        PoseFileError: if the name ends otherwise, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise PoseFileError(f"{path}: poses are saved as .safetensors; give a name that ends so")
    arrays = {"body": poses.body, "body_scores": poses.body_scores}
    if poses.hands is not None and poses.hand_scores is not None:
        arrays |= {"hands": poses.hands, "hand_scores": poses.hand_scores}
    metadata = {"format": _FORMAT, "height": str(poses.size[0]), "width": str(poses.size[1])}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    beside = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(safetensors.numpy.save(contiguous, metadata))
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise PoseFileError(
            f"{path}: cannot be written ({error.strerror or error}); mend that or give another"
        ) from error


def _load(path: Path) -> Poses:
    names = {"body", "body_scores", "hands", "hand_scores"}
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT or not set(file.keys()) <= names:
                raise PoseFileError(f"{path}: not poses that were saved here; give a file of save_poses")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if any(array.dtype != np.float32 or not np.isfinite(array).all() for array in arrays.values()):
            raise PoseFileError(f"{path}: holds numbers that are not finite, or not float32; save the poses again")
        return Poses(size=(int(metadata["height"]), int(metadata["width"])), **arrays)
    except FileNotFoundError:
        raise PoseFileError(f"{path}: no such file or folder") from None
    except OSError as error:
        raise PoseFileError(f"{path}: cannot be read ({error.strerror or error}); mend that") from error
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, IndexError) as error:
        raise PoseFileError(f"{path}: damaged, or not poses that were saved here; save them again") from error


def _kind(path: Path) -> Kind:
    if path.suffix.lower() == ".json" or (path.is_dir() and next(path.glob("*_keypoints.json"), None) is not None):
        return "json"
    if path.suffix.lower() == ".safetensors":
        return "saved"
    source = open_frames(path)
    # Spread over the video, since its first frames may be empty.
    step = max(1, source.frames // _LOOKED_AT)
    return "skeleton" if is_skeleton_video(islice(source.read(), 0, None, step)) else "people"
