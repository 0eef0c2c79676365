"""Which predictions there are, and which clip each of them shows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.datasets.base import Dataset, FrameSource
from mcbench.doctor.findings import Finding, finding
from mcbench.errors import UserError, VideoError, nearest
from mcbench.geometry import to_square
from mcbench.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, open_frames
from mcbench.video.common import number_key

__all__ = ["Folder", "assign", "check_folder", "list_predictions"]

FACES = (0, 4)
"""Frames that stand for a clip; its first frame was given to the method, and is seldom wrong."""
SURE = 0.6
"""Least correlation of a prediction with the clip that it seems to show."""
MARGIN = 0.25
"""By how much a clip must fit better than any other to be believed against its name."""


@dataclass(frozen=True)
class Folder:
    """Predictions by name, and what is wrong with the names."""

    clips: dict[str, Path]
    images: dict[str, Path]
    findings: list[Finding]


def check_folder(folder: Path) -> None:
    """Refuse what is no folder, before anything takes time.

    Raises:
        VideoError: if there is no such folder, or it cannot be listed.
    """
    _entries(folder)


def _entries(folder: Path, what: str = "the predictions") -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except FileNotFoundError:
        raise VideoError(f"{folder}: no such folder; give the folder that holds {what}") from None
    except NotADirectoryError:
        raise VideoError(f"{folder}: not a folder; give the folder that holds one video or folder a clip") from None
    except OSError as error:
        raise VideoError(f"{folder}: cannot be read ({error.strerror or error}); mend its permissions") from error


def list_predictions(folder: Path, what: str = "the predictions") -> Folder:
    """As `mcbench.video.find_clips`, but what that refuses is a finding.

    Args:
        folder: holds a video or a folder of frames for each clip.
        what: it is, for messages.

    Raises:
        VideoError: if there is no such folder, or it cannot be listed.
    """
    entries = _entries(folder, what)
    clips: dict[str, Path] = {}
    images: dict[str, Path] = {}
    found = []
    for entry in sorted(entries, key=lambda entry: number_key(entry.name)):
        is_video = entry.suffix.lower() in VIDEO_SUFFIXES and entry.is_file()
        if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file():
            images[entry.stem] = entry
        if not (entry.is_dir() or is_video):
            continue
        name = entry.stem if is_video else entry.name
        if name in clips:
            found.append(
                finding("colliding-names", name, f"{clips[name].name} and {entry.name} are both clip '{name}'")
            )
        else:
            clips[name] = entry
    return Folder(clips, images, found)


def assign(folder: Path, listed: Folder, dataset: Dataset) -> tuple[dict[str, Path], list[Finding]]:
    """Which prediction to hold against which clip: by content where that is sure, else by name.

    Args:
        folder: of the predictions.
        listed: what is in it.
        dataset: the truths.

    Returns:
        Clip name to the path of its prediction, for the clips that have one; and findings about names.
    """
    wanted = [clip.name for clip in dataset.clips]
    missing = [name for name in wanted if name not in listed.clips]
    extra = [name for name in listed.clips if name not in wanted]
    found: list[Finding] = []
    pairs = {name: listed.clips[name] for name in wanted if name in listed.clips}
    moved = _by_content(listed, dataset)
    for name in wanted:
        other = moved.get(name)
        if other is None or other == name:
            continue
        pairs[name] = listed.clips[other]
        seen = f"the prediction named '{other}' shows this clip"
        if name in listed.clips:
            seen += f", '{name}' shows another"
        found.append(finding("misnamed-clip", name, seen, f"rename '{other}' to '{name}'"))
    used = set(moved.values())
    for name in missing:
        if name in moved:
            continue
        hint = nearest(name, [one for one in extra if one not in used])
        evidence = f"there is no {name}/ and no {name}.mp4{hint}"
        if name in listed.images:
            evidence = (
                f"there is one picture, {listed.images[name].name}, where a video or a folder of frames should be"
            )
        found.append(finding("missing-clip", name, evidence, _elsewhere(folder, name)))
    found += [
        finding("extra-clip", name, f"'{name}' is no clip of {dataset.name}") for name in extra if name not in used
    ]
    return pairs, found


def _elsewhere(folder: Path, name: str) -> str | None:
    """A folder near by that does hold the clip: people name a run, or the wrong level."""
    for place in (folder.parent, *sorted(entry for entry in folder.iterdir() if entry.is_dir())):
        if (place / name).is_dir() or any((place / f"{name}{suffix}").is_file() for suffix in VIDEO_SUFFIXES):
            return f"was {place} meant? it holds this clip"
    return None


def _by_content(listed: Folder, dataset: Dataset) -> dict[str, str]:
    """Clip name to the name of the prediction that shows it, where the names say otherwise."""
    predictions = {name: face for name, path in listed.clips.items() if (face := _face_at(path)) is not None}
    truths = {clip.name: face for clip in dataset.clips if (face := _face(clip.source)) is not None}
    if not predictions or not truths:
        return {}
    fit = {(p, t): _alike(predictions[p], truths[t]) for p in predictions for t in truths}
    moved: dict[str, str] = {}
    for p in predictions:
        others = [t for t in truths if t != p]
        if not others:
            continue
        best = max(others, key=lambda t: fit[p, t])
        rivals = [fit[p, t] for t in truths if t != best]
        second = max(rivals, default=0.0)
        at_home = best in predictions and fit[best, best] > SURE
        if fit[p, best] > SURE and fit[p, best] > second + (MARGIN if p in truths else MARGIN / 2) and not at_home:
            moved[best] = p
    return moved or _only_one_left(predictions, truths, fit)


def _only_one_left(
    predictions: Mapping[str, object], truths: Mapping[str, object], fit: Mapping[tuple[str, str], float]
) -> dict[str, str]:
    """One clip without a prediction and one prediction without a clip belong together if they look alike at all."""
    missing = [name for name in truths if name not in predictions]
    extra = [name for name in predictions if name not in truths]
    if len(missing) == len(extra) == 1 and fit[extra[0], missing[0]] > SURE:
        return {missing[0]: extra[0]}
    return {}


def _face_at(path: Path) -> npt.NDArray[np.float32] | None:
    try:
        return _face(open_frames(path))
    except (UserError, OSError):
        return None


def _face(source: FrameSource) -> npt.NDArray[np.float32] | None:
    """Thumbnails of a few early frames, (k, 32, 32) luma with mean 0 and norm 1."""
    faces = []
    try:
        for index, frame in enumerate(itertools.islice(source.read(), FACES[-1] + 1)):
            if index in FACES:
                grey = cv2.cvtColor(to_square(frame, 256), cv2.COLOR_RGB2GRAY)
                small = np.asarray(cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA), np.float32)
                small = small - cv2.GaussianBlur(small, (0, 0), 6)
                faces.append(small / (np.linalg.norm(small) + 1e-3))
    except (UserError, OSError):
        return None
    return np.stack(faces) if faces else None


def _alike(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Mean correlation, mirrored if that is better."""
    count = min(len(one), len(other))
    views: Sequence[npt.NDArray[np.float32]] = (one, one[..., ::-1])
    return max(float(np.sum(view[:count] * other[:count]) / count) for view in views)
