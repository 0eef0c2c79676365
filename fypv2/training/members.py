"""The files of one sample: a clip to bytes and back, without loss but for the frames' and the maps' stated settings.

    <key>.json        what the clip is, schema fypv2.clip/1
    <key>.poses.npz   body, body_scores, and hands, hand_scores where there are any; float32, as `Poses` has them
    <key>.flow.npz    motion: float64 (T, 2, 3); or one float16 (h, w, 2) a frame, called 00000, 00001 …
    <key>.depth.npz   nearness: one float16 (h, w) a frame
    <key>.masks.npz   one uint8 (H, W) a frame
    <key>.00000.png   the frames, .png or .jpg

A sample's key has no dot, and all after the first dot says what the file is: WebDataset's rule. The same clip gives the
same bytes. What is read back is hostile until shown otherwise: every array must have the type and shape that the
clip's size asks for, before memory is taken for it.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from fypv2.conditions import HAND_KEYPOINTS, Poses, crop_resize_flow, crop_resize_map
from fypv2.training.clips import AffineFlow, DenseFlow, Flow, ShardError, TrainingClip

__all__ = ["CLIP_SCHEMA", "FrameFormat", "SampleHeader", "decode_sample", "encode_sample"]

CLIP_SCHEMA = "fypv2.clip/1"

FrameFormat = Literal["png", "jpg"]

JPEG_QUALITY = 95
"""With colour at full resolution: a face has few pixels."""

MOST_FRAMES, MOST_SIDE, MOST_PEOPLE = 10_000, 8192, 100
"""A clip beyond these was not made here."""
MAP_SCALES = (1, 2, 4)

_KEYS = {"schema", "name", "video", "first_frame", "frames", "height", "width", "fps", "people", "frame_format",
         "flow", "depth", "masks", "map_scale"}  # fmt: skip
_NAME = re.compile(r"\d{5}")
# The fastest level; 6 takes twice the time for 6% (PNG) to 19% (maps) less, measured on drawn frames.
_LEVEL = 1


@dataclass(frozen=True)
class SampleHeader:
    """The JSON of a sample.

    Attributes:
        name: of the clip.
        video: where it was cut from, relative to the folder that was preprocessed; empty for a drawn clip.
        first_frame: index of its first frame in that video.
        frames: T.
        height: of the frames in pixels.
        width: likewise.
        fps: frames a second, after frames were left out.
        people: K.
        frame_format: `png` or `jpg`.
        flow: `dense`, `affine` or `none`.
        depth: whether there is a nearness map of each frame.
        masks: whether there is an instance mask of each frame.
        map_scale: by how much dense flow and nearness are coarser than the frames.
    """

    name: str
    video: str
    first_frame: int
    frames: int
    height: int
    width: int
    fps: float
    people: int
    frame_format: FrameFormat
    flow: Literal["dense", "affine", "none"]
    depth: bool
    masks: bool
    map_scale: int

    def to_bytes(self) -> bytes:
        """As JSON."""
        return (json.dumps({"schema": CLIP_SCHEMA, **vars(self)}, ensure_ascii=False) + "\n").encode()

    @staticmethod
    def from_bytes(data: bytes, where: str) -> SampleHeader:
        """From JSON that may be anybody's.

        Raises:
            ShardError: unless it is a header with every number in its range.
        """
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            raise ShardError(f"{where}: its JSON cannot be read; make the shard again") from None
        if not isinstance(document, dict) or document.keys() != _KEYS or document.pop("schema") != CLIP_SCHEMA:
            raise ShardError(f"{where}: not a clip of schema {CLIP_SCHEMA}; make the shard again")
        header = SampleHeader(**document)
        whole = {"first_frame": math.inf, "frames": MOST_FRAMES, "height": MOST_SIDE, "width": MOST_SIDE,
                 "people": MOST_PEOPLE, "map_scale": max(MAP_SCALES)}  # fmt: skip
        for field, most in whole.items():
            value = document[field]
            least = 0 if field in ("first_frame", "people") else 1
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise ShardError(f"{where}: {field} is {str(value)[:40]}; make the shard again")
        ok = (
            isinstance(header.name, str)
            and isinstance(header.video, str)
            and isinstance(header.fps, int | float)
            and 0 < header.fps < 1e4
            and header.frame_format in ("png", "jpg")
            and header.flow in ("dense", "affine", "none")
            and isinstance(header.depth, bool)
            and isinstance(header.masks, bool)
            and header.map_scale in MAP_SCALES
            and header.height % header.map_scale == 0
            and header.width % header.map_scale == 0
        )
        if not ok:
            raise ShardError(f"{where}: its JSON has a value out of range; make the shard again")
        return header


def encode_sample(
    clip: TrainingClip,
    *,
    frame_format: FrameFormat = "png",
    map_scale: int = 1,
    has_depth: bool = True,
    video: str = "",
    first_frame: int = 0,
) -> tuple[SampleHeader, list[tuple[str, bytes]]]:
    """A clip as files.

    Args:
        clip: what to write.
        frame_format: `png` is lossless; `jpg` is JPEG of quality 95 with full colour.
        map_scale: by how much dense flow and nearness are made coarser, 1, 2 or 4.
        has_depth: whether the clip's nearness was estimated, and is kept.
        video: see `SampleHeader`.
        first_frame: likewise.

    Returns:
        The header, and (ending, bytes) of each file, the JSON first.
    """
    count, height, width = clip.frames.shape[:3]
    flow: Literal["dense", "affine", "none"] = "none"
    if clip.flow is not None:
        flow = "affine" if isinstance(clip.flow, AffineFlow) else "dense"
    header = SampleHeader(
        clip.name, video, first_frame, count, height, width, float(clip.fps), clip.poses.characters, frame_format,
        flow, has_depth, clip.masks is not None, map_scale,
    )  # fmt: skip
    small = (height // map_scale, width // map_scale)
    arrays: dict[str, npt.NDArray[Any]] = {"body": clip.poses.body, "body_scores": clip.poses.body_scores}
    if clip.poses.hands is not None and clip.poses.hand_scores is not None:
        arrays |= {"hands": clip.poses.hands, "hand_scores": clip.poses.hand_scores}
    files = [("json", header.to_bytes()), ("poses.npz", _npz(arrays.items()))]
    if isinstance(clip.flow, AffineFlow):
        files.append(("flow.npz", _npz([("motion", clip.flow.motion)])))
    elif clip.flow is not None:
        vectors = clip.flow.vectors
        if vectors.shape[1:3] != small:
            vectors = np.stack([crop_resize_flow(one.astype(np.float32), *small) for one in vectors])
        files.append(("flow.npz", _npz(_numbered(vectors.astype(np.float16)))))
    if has_depth:
        maps = clip.nearness
        if map_scale > 1:
            maps = np.stack([crop_resize_map(one.astype(np.float32), *small) for one in maps]).astype(np.float16)
        files.append(("depth.npz", _npz(_numbered(maps))))
    if clip.masks is not None:
        files.append(("masks.npz", _npz(_numbered(clip.masks))))
    files += [(f"{i:05d}.{frame_format}", _image(frame, frame_format)) for i, frame in enumerate(clip.frames)]
    return header, files


def decode_sample(
    header: SampleHeader, load: Callable[[str], bytes], where: str, frames: Sequence[int] | None = None
) -> TrainingClip:
    """A clip from its files.

    Args:
        header: of the sample.
        load: called with an ending, returns the file's bytes.
        where: names the sample in messages.
        frames: rising indices of frames; all if None.

    Raises:
        ShardError: if a file is missing, or is not what the header says.
        ValueError: if the frames asked for are not in the clip, or do not rise.
    """
    chosen = list(range(header.frames)) if frames is None else [int(i) for i in frames]
    if not chosen or chosen != sorted(set(chosen)) or not 0 <= chosen[0] <= chosen[-1] < header.frames:
        raise ValueError(f"frames {chosen} of a clip of {header.frames}; give rising indices of frames that it has")
    height, width, scale = header.height, header.width, header.map_scale
    small = (height // scale, width // scale)
    pixels = np.empty((len(chosen), height, width, 3), np.uint8)
    for n, i in enumerate(chosen):
        name = f"{i:05d}.{header.frame_format}"
        pixels[n] = _pixels(load(name), header, f"{where}.{name}")
    poses = _poses(load("poses.npz"), header, f"{where}.poses.npz")
    poses = Poses(
        poses.body[chosen],
        poses.body_scores[chosen],
        poses.size,
        None if poses.hands is None else poses.hands[chosen],
        None if poses.hand_scores is None else poses.hand_scores[chosen],
    )
    masks = None
    if header.masks:
        read = _maps(load("masks.npz"), chosen, np.dtype(np.uint8), (height, width), f"{where}.masks.npz")
        masks = np.stack(list(read))
    nearness = np.empty((len(chosen), height, width), np.float16)
    if header.depth:
        stored = _maps(load("depth.npz"), chosen, np.dtype(np.float16), small, f"{where}.depth.npz")
        for n, one in enumerate(stored):
            nearness[n] = one if scale == 1 else crop_resize_map(one.astype(np.float32), height, width)
    else:
        from fypv2.training.pose_nearness import nearness_maps

        for n in range(len(chosen)):
            nearness[n] = nearness_maps(poses.frame(n))[0]
    flow = _flow(header, load, where, chosen)
    return TrainingClip(header.name, pixels, float(header.fps), poses, flow, nearness, masks)


def _flow(header: SampleHeader, load: Callable[[str], bytes], where: str, chosen: list[int]) -> Flow | None:
    if header.flow == "none":
        return None
    size, where = (header.height, header.width), f"{where}.flow.npz"
    if header.flow == "affine":
        with _opened(load("flow.npz"), where) as file:
            motion = _array(file, "motion", np.dtype(np.float64), (header.frames, 2, 3), where)
        if (np.abs(np.linalg.det(motion[:, :, :2])) < 1e-6).any():
            raise ShardError(f"{where}: a motion that cannot be inverted; make the shard again")
        return AffineFlow(motion, size).choose(chosen)
    # Steps between chosen frames are joined from the frames between, and the first is from its true predecessor.
    between = list(range(chosen[0], chosen[-1] + 1))
    grid = (header.height // header.map_scale, header.width // header.map_scale, 2)
    vectors = np.stack(list(_maps(load("flow.npz"), between, np.dtype(np.float16), grid, where)))
    return DenseFlow(vectors, size).choose([i - chosen[0] for i in chosen])


def _poses(data: bytes, header: SampleHeader, where: str) -> Poses:
    count = (header.frames, header.people)
    shapes: dict[str, tuple[int, ...]] = {"body": (*count, 18, 2), "body_scores": (*count, 18)}
    with _opened(data, where) as file:
        if "hands.npy" in file.namelist():
            shapes |= {"hands": (*count, 2, HAND_KEYPOINTS, 2), "hand_scores": (*count, 2, HAND_KEYPOINTS)}
        arrays = {name: _array(file, name, np.dtype(np.float32), shape, where) for name, shape in shapes.items()}
    return Poses(size=(header.height, header.width), **arrays)


def _maps(
    data: bytes, frames: Iterable[int], dtype: np.dtype[Any], shape: tuple[int, ...], where: str
) -> Iterator[npt.NDArray[Any]]:
    with _opened(data, where) as file:
        for i in frames:
            yield _array(file, f"{i:05d}", dtype, shape, where)


def _numbered(arrays: npt.NDArray[Any]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    return ((f"{i:05d}", array) for i, array in enumerate(arrays))


def _npz(arrays: Iterable[tuple[str, npt.NDArray[Any]]]) -> bytes:
    """As `numpy.savez_compressed` writes it, but with the same bytes whenever it is written."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in arrays:
            info = zipfile.ZipInfo(f"{name}.npy")  # its date is 1980, whenever it is
            info.compress_type = zipfile.ZIP_DEFLATED
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(array), allow_pickle=False)
            file.writestr(info, data.getvalue(), compresslevel=_LEVEL)
    return buffer.getvalue()


def _opened(data: bytes, where: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise ShardError(f"{where}: no arrays in it; make the shard again") from None


def _array(
    file: zipfile.ZipFile, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], where: str
) -> npt.NDArray[Any]:
    """One array that has exactly that type and shape. Nothing is unpacked that claims to be larger."""
    size = math.prod(shape) * dtype.itemsize
    try:
        info = file.getinfo(f"{name}.npy")
        # The head of an array takes 128 bytes.
        if info.file_size > size + 4096:
            raise ShardError(f"{where}: {name} is larger than {shape} of {dtype}; make the shard again")
        with file.open(info) as stream:
            data = io.BytesIO(stream.read(size + 4096))
        if np.lib.format.read_magic(data) != (1, 0):
            raise ValueError("another version")
        found, fortran, stored = np.lib.format.read_array_header_1_0(data)
        values = data.read()
    except (KeyError, ValueError, TypeError, OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError,
            RuntimeError):  # fmt: skip
        raise ShardError(f"{where}: {name} is missing or damaged; make the shard again") from None
    if found != shape or fortran or stored != dtype or len(values) != size:
        raise ShardError(f"{where}: {name} is {stored} of shape {found}, not {dtype} of {shape}; make the shard again")
    array = np.frombuffer(values, dtype).reshape(shape).copy()
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ShardError(f"{where}: {name} holds numbers that are not finite; make the shard again")
    return array


def _image(frame: npt.NDArray[np.uint8], frame_format: FrameFormat) -> bytes:
    buffer = io.BytesIO()
    if frame_format == "png":
        Image.fromarray(frame).save(buffer, "PNG", compress_level=_LEVEL)
    else:
        Image.fromarray(frame).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def _pixels(data: bytes, header: SampleHeader, where: str) -> npt.NDArray[np.uint8]:
    kind = "PNG" if header.frame_format == "png" else "JPEG"
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as image:
            # The size is known from the image's head, before a pixel is unpacked.
            if image.size != (header.width, header.height) or image.mode != "RGB":
                raise ShardError(f"{where}: a {image.mode} frame of {image.size[0]} x {image.size[1]}, not the clip's")
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, zlib.error, Image.DecompressionBombError):
        raise ShardError(f"{where}: a frame that does not decode; make the shard again") from None
