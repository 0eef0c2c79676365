"""OpenPose's JSON: what it and the tools after it write for each frame, read and written.

A folder holds `<name>_<frame>_keypoints.json` for each frame; or one file holds a list of such frames, as pose editors
save it. Bodies of 18 (COCO) or 25 keypoints (BODY_25) are read, hands too; 18 are written. Format: OpenPose's
documentation, "Output", version 1.3; `canvas_width` and `canvas_height` are those of the pose editors.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from fypv2.conditions.poses import HAND_KEYPOINTS, Poses
from fypv2.extractors.base import PoseFileError
from fypv2.extractors.tracking import People, track_people

__all__ = ["read_openpose_json", "write_openpose_json"]

MOST_BYTES = 256 << 20
"""Of one file; a frame of ten people with hands has about 30 kB."""
MOST_PEOPLE = 100
"""In one frame."""
FARTHEST = 1e5
"""Pixels; a keypoint beyond was not meant."""

_BODY_25 = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]
"""Keypoint of BODY_25 for each of the 18: it has the middle of the hips at 8, and six of the feet at the end."""

_NAME = re.compile(r"(?P<name>.*?)_?(?P<frame>\d+)_keypoints\.json")

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Person:
    identity: int
    body: Array
    hands: Array | None


@dataclass(frozen=True)
class _Frame:
    people: list[_Person]
    canvas: tuple[int, int] | None


def read_openpose_json(path: Path | str, size: tuple[int, int] | None = None, characters: int | None = None) -> Poses:
    """Poses from a folder of frames, or from one file.

    Where every person of every frame has a `person_id` of 0 or more, and no frame has one twice, that is who they are;
    else they are followed as detections are. Coordinates that all lie in [0, 1] are shares of the canvas.

    Args:
        path: folder with `*_keypoints.json`, or a JSON file with one frame or a list of frames.
        size: height and width of the picture in pixels; None where the file says it.
        characters: how many people there are, where it is known.

    Raises:
        PoseFileError: if it cannot be read, is not OpenPose's, or does not say its picture's size.
        ExtractorError: if nobody is in it.
    """
    path = Path(path)
    frames: list[_Frame] = []
    if path.is_dir():
        for file in _frame_files(path):
            frames.append(_frame(_load(file), str(file)))
    else:
        document = _load(path)
        if isinstance(document, dict) and isinstance(document.get("frames"), list):
            document = document["frames"]
        listed = document if isinstance(document, list) else [document]
        frames = [_frame(item, f"{path}, frame {index}") for index, item in enumerate(listed)]
    if not frames:
        raise PoseFileError(f"{path}: holds no frames; give OpenPose's output")
    size = _canvas(frames, size, path)
    _scale(frames, size)
    identities = [[person.identity for person in frame.people] for frame in frames]
    if all(i >= 0 for row in identities for i in row) and all(len(set(row)) == len(row) for row in identities):
        known = sorted({i for row in identities for i in row})
        if known and (characters is None or len(known) <= characters):
            return _by_identity(frames, identities, known, size)
    return track_people((_people(frame) for frame in frames), size, characters=characters)


def write_openpose_json(poses: Poses, folder: Path | str, name: str = "pose") -> list[Path]:
    """Writes one `<name>_<frame>_keypoints.json` a frame; `read_openpose_json` reads them back to a thousandth.

    A character that is absent from a frame is left out of it; its index is its `person_id`.

    Args:
        poses: of T frames.
        folder: made if it is not there.
        name: with which the files' names begin.

    Returns:
        The files, in order.

    Raises:
        PoseFileError: if the folder holds keypoints already, or cannot be written.
    """
    folder = Path(folder)
    if folder.is_dir() and any(folder.glob("*_keypoints.json")):
        raise PoseFileError(f"{folder}: holds *_keypoints.json already; give an empty folder")
    files = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for frame in range(poses.frames):
            people = [_document(poses, frame, k) for k in range(poses.characters) if _is_there(poses, frame, k)]
            document = {
                "version": 1.3,
                "canvas_width": poses.size[1],
                "canvas_height": poses.size[0],
                "people": people,
            }
            files.append(folder / f"{name}_{frame:012d}_keypoints.json")
            files[-1].write_text(json.dumps(document, allow_nan=False))
    except OSError as error:
        raise PoseFileError(
            f"{folder}: cannot be written ({error.strerror or error}); mend that or give another"
        ) from error
    return files


def _is_there(poses: Poses, frame: int, character: int) -> bool:
    hands = poses.hand_scores is not None and bool((poses.hand_scores[frame, character] > 0).any())
    return hands or bool((poses.body_scores[frame, character] > 0).any())


def _document(poses: Poses, frame: int, character: int) -> dict[str, Any]:
    empty: list[float] = []
    document: dict[str, Any] = {
        "person_id": [character],
        "pose_keypoints_2d": _flat(poses.body[frame, character], poses.body_scores[frame, character]),
        "face_keypoints_2d": empty,
        "hand_left_keypoints_2d": empty,
        "hand_right_keypoints_2d": empty,
    }
    if poses.hands is not None and poses.hand_scores is not None:
        for side, word in enumerate(("right", "left")):
            hand, scores = poses.hands[frame, character, side], poses.hand_scores[frame, character, side]
            document[f"hand_{word}_keypoints_2d"] = _flat(hand, scores)
    return document


def _flat(places: Array, scores: Array) -> list[float]:
    """x, y, score of each keypoint; three zeros for one that is not there."""
    there = (scores > 0) & np.isfinite(places).all(axis=-1)
    rows = np.where(there[:, None], np.concatenate([places, scores[:, None]], axis=-1), 0.0)
    return [round(float(value), 3) for value in rows.ravel()]


def _frame_files(folder: Path) -> list[Path]:
    numbered: dict[int, Path] = {}
    names = set()
    for file in sorted(folder.glob("*_keypoints.json")):
        match = _NAME.fullmatch(file.name)
        if match is None:
            raise PoseFileError(f"{file}: its name has no frame number; call it <name>_<frame>_keypoints.json")
        names.add(match["name"])
        if len(names) > 1:
            raise PoseFileError(f"{folder}: holds frames of {' and '.join(sorted(names))}; give a folder for each clip")
        if int(match["frame"]) in numbered:
            raise PoseFileError(f"{file}: another file has that frame number; keep one of them")
        numbered[int(match["frame"])] = file
    if not numbered:
        raise PoseFileError(f"{folder}: no *_keypoints.json in it; give the folder that OpenPose wrote")
    return [numbered[number] for number in sorted(numbered)]


def _load(file: Path) -> Any:
    def refuse(word: str) -> NoReturn:
        raise PoseFileError(f"{file}: holds {word}; every number must be finite")

    try:
        if file.stat().st_size > MOST_BYTES:
            raise PoseFileError(f"{file}: more than {MOST_BYTES >> 20} MB; that is no file of poses")
        return json.loads(file.read_bytes(), parse_constant=refuse)
    except FileNotFoundError:
        raise PoseFileError(f"{file}: no such file or folder") from None
    except OSError as error:
        raise PoseFileError(f"{file}: cannot be read ({error.strerror or error}); mend that") from error
    except RecursionError:
        raise PoseFileError(f"{file}: nested too deep for a file of poses; give OpenPose's output") from None
    except ValueError as error:
        raise PoseFileError(
            f"{file}: not JSON ({' '.join(str(error).split())[:100]}); give OpenPose's output"
        ) from error


def _frame(document: Any, where: str) -> _Frame:
    if not isinstance(document, dict) or not isinstance(document.get("people"), list):
        raise PoseFileError(f"{where}: no list 'people' in it; give OpenPose's output")
    if len(document["people"]) > MOST_PEOPLE:
        raise PoseFileError(f"{where}: {len(document['people'])} people; {MOST_PEOPLE} are the most that are read")
    people = [_person(person, f"{where}, person {n}") for n, person in enumerate(document["people"])]
    height: Any = document.get("canvas_height")
    width: Any = document.get("canvas_width")
    if height is None and width is None:
        return _Frame(people, None)
    for side in (height, width):
        if not isinstance(side, int) or not 0 < side <= FARTHEST:
            raise PoseFileError(f"{where}: the canvas is {width!r} x {height!r}; give its size in whole pixels")
    return _Frame(people, (height, width))


def _person(document: Any, where: str) -> _Person:
    if not isinstance(document, dict):
        raise PoseFileError(f"{where}: not an object; give OpenPose's output")
    body = _keypoints(document.get("pose_keypoints_2d"), (18, 25), f"{where}, pose_keypoints_2d")
    if body is None:
        body = np.zeros((18, 3), np.float32)
    hands = [
        _keypoints(document.get(key), (HAND_KEYPOINTS,), f"{where}, {key}")
        for key in ("hand_right_keypoints_2d", "hand_left_keypoints_2d")
    ]
    both = None
    if any(hand is not None for hand in hands):
        both = np.stack([np.zeros((HAND_KEYPOINTS, 3), np.float32) if hand is None else hand for hand in hands])
    identity = document.get("person_id", -1)
    if isinstance(identity, list):
        identity = identity[0] if identity else -1
    if isinstance(identity, bool) or not isinstance(identity, int):
        raise PoseFileError(f"{where}: its person_id is no whole number; mend it or leave it out")
    return _Person(identity, body[_BODY_25] if len(body) == 25 else body, both)


def _keypoints(numbers: Any, counts: Sequence[int], where: str) -> Array | None:
    """(count, 3), None where there are none."""
    if numbers is None or numbers == []:
        return None
    if not isinstance(numbers, list) or len(numbers) not in [3 * count for count in counts]:
        found = f"{len(numbers)} numbers" if isinstance(numbers, list) else "no list"
        raise PoseFileError(f"{where}: {found}; give {' or '.join(str(3 * count) for count in counts)}")
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        raise PoseFileError(f"{where}: not all of them are numbers; give x, y and score of each keypoint")
    # A whole number may be too large for a float, and 1e999 is read as infinite.
    if not all(math.isfinite(number) if isinstance(number, float) else abs(number) < 2**53 for number in numbers):
        raise PoseFileError(f"{where}: holds numbers that are not finite; every number must be")
    rows = np.array(numbers, np.float64).reshape(-1, 3)
    if np.abs(rows[:, :2]).max() > FARTHEST or rows[:, 2].min() < 0:
        raise PoseFileError(f"{where}: a place beyond {FARTHEST:.0f} pixels or a score under 0; mend the file")
    rows[:, 2] = np.minimum(rows[:, 2], 1)
    return rows.astype(np.float32)


def _canvas(frames: list[_Frame], size: tuple[int, int] | None, path: Path) -> tuple[int, int]:
    said = {frame.canvas for frame in frames if frame.canvas is not None}
    if len(said) > 1:
        raise PoseFileError(f"{path}: its frames have canvases of different sizes; give one size throughout")
    if size is None and not said:
        raise PoseFileError(f"{path}: does not say how large the picture is; give its height and width as `size`")
    found = said.pop() if said else None
    if size is not None and found is not None and size != found:
        raise PoseFileError(
            f"{path}: its canvas is {found[1]} x {found[0]}, and {size[1]} x {size[0]} is asked for; leave `size` out"
        )
    chosen = size or found
    assert chosen is not None
    return chosen


def _scale(frames: list[_Frame], size: tuple[int, int]) -> None:
    """Turns shares of the canvas into pixels, where all places are shares; in place."""
    rows = [part for frame in frames for person in frame.people for part in (person.body, person.hands)]
    found = [row.reshape(-1, 3) for row in rows if row is not None]
    if not found:
        return
    every = np.concatenate(found)
    places = every[every[:, 2] > 0, :2]
    if len(places) and places.min() >= 0 and places.max() <= 1:
        for part in found:
            part[:, 0] *= size[1]
            part[:, 1] *= size[0]


def _people(frame: _Frame) -> People:
    if not frame.people:
        return People.none()
    body = np.stack([person.body for person in frame.people])
    blank = np.zeros((2, HAND_KEYPOINTS, 3), np.float32)
    hands = np.stack([blank if person.hands is None else person.hands for person in frame.people])
    if all(person.hands is None for person in frame.people):
        return People(body[..., :2], body[..., 2])
    return People(body[..., :2], body[..., 2], hands[..., :2], hands[..., 2])


def _by_identity(frames: list[_Frame], identities: list[list[int]], known: list[int], size: tuple[int, int]) -> Poses:
    body = np.zeros((len(frames), len(known), 18, 3), np.float32)
    hands = np.zeros((len(frames), len(known), 2, HAND_KEYPOINTS, 3), np.float32)
    with_hands = False
    for index, frame in enumerate(frames):
        for person, identity in zip(frame.people, identities[index], strict=True):
            k = known.index(identity)
            body[index, k] = person.body
            if person.hands is not None:
                with_hands = True
                hands[index, k] = person.hands
    if not with_hands:
        return Poses(body[..., :2], body[..., 2], size)
    return Poses(body[..., :2], body[..., 2], size, hands[..., :2], hands[..., 2])
