"""DensePose and masks of a clip: exact on synthetic data, else by the user's network; kept by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from baselines.inputs.errors import InputError
from baselines.inputs.frames import driving_video, squares
from baselines.inputs.parts import DensePoseFrame, unpack
from mcbench import Case, to_square

__all__ = ["DensePoseSettings", "densepose", "person_masks", "reference_densepose"]

_EXACT = "exact parts/1"
_NETWORK = "densepose/1"
"""Versions of what is made from annotations, and with the network; a change must not meet what was kept before."""

_Packed = npt.NDArray[np.uint8]


class DensePoseSettings(BaseModel):
    """Settings for methods that are driven by DensePose: to be a base of an adapter's `Settings`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    densepose: Path | None = None
    """DensePose as TorchScript (densepose_r50_fpn_dl.torchscript), for clips without exact annotations, or in their
    place."""
    densepose_sha256: str | None = None
    """SHA-256 of that file. It is a program; it runs only if the user has said which one it should be."""


def densepose(
    case: Case, size: int, *, model: Path | None = None, sha256: str | None = None, device: str = "cpu"
) -> Iterator[DensePoseFrame]:
    """The parts of every driving frame in the centred square, frame by frame.

    Args:
        case: of a method with `needs_driving_video` or `needs_truth`.
        size: side of the square in pixels.
        model: the method's `settings.densepose`; None uses exact annotations.
        sha256: the method's `settings.densepose_sha256`.
        device: where the network runs.

    Yields:
        `case.frames` pictures.

    Raises:
        InputError: if there are neither exact annotations nor a network, or that is not what the user says it is.
    """
    if model is not None:
        packed = _network_clip(case, size, model, sha256, device)
    elif case.annotations is not None:
        packed = _exact_clip(case, size)
    else:
        raise _nothing(case)
    return (unpack(image) for image in packed)


def reference_densepose(
    case: Case, size: int, *, model: Path | None = None, sha256: str | None = None, device: str = "cpu"
) -> DensePoseFrame:
    """The parts of the reference image; arguments and errors as for `densepose`."""
    from fypv2.extractors.cache import ArrayCache, content_key

    if model is None:
        known = case.reference_annotations
        if known is None:
            raise _nothing(case)
        keypoints, visibility = known.keypoints[None], known.visibility[None]
        places, usable = _square_joints(keypoints, visibility, (case.reference.shape[0], case.reference.shape[1]), size)
        return unpack(_exact_frame(known.mask, known.depth, places[0], usable[0], visibility[0], size))
    network = _network(model, sha256, device)
    digest = hashlib.sha256(np.ascontiguousarray(case.reference).tobytes()).hexdigest()
    key = content_key(_NETWORK, "picture", digest, list(case.reference.shape), size, network.record)
    square = to_square(case.reference, network.side)
    (packed,) = ArrayCache().kept(key, lambda: [network.parts(square, size)])
    return unpack(packed)


def person_masks(
    case: Case, size: int, *, model: Path | None = None, sha256: str | None = None, device: str = "cpu"
) -> Iterator[npt.NDArray[np.bool_]]:
    """People against background in every driving frame: exact masks, else where DensePose finds a part.

    Yields:
        bool (size, size), `case.frames` of them.

    Raises:
        InputError: as `densepose`.
    """
    if case.annotations is None or model is not None:
        return (frame.part > 0 for frame in densepose(case, size, model=model, sha256=sha256, device=device))
    known = case.annotations
    return (_square_map(known.masks(i, i + 1)[0], size) > 0 for i in range(case.frames))


def _exact_clip(case: Case, size: int) -> Iterator[_Packed]:
    from fypv2.extractors.cache import ArrayCache, content_key

    known = case.annotations
    assert known is not None
    keypoints, visibility = known.keypoints[: case.frames], known.visibility[: case.frames]
    places, usable = _square_joints(keypoints, visibility, case.size, size)
    digest = hashlib.sha256()
    for array in (keypoints, visibility):
        digest.update(np.ascontiguousarray(array).tobytes())
    for i in range(case.frames):
        digest.update(np.ascontiguousarray(known.masks(i, i + 1)).tobytes())
        digest.update(np.ascontiguousarray(known.depth(i, i + 1)).tobytes())

    def make() -> Iterator[_Packed]:
        for i in range(case.frames):
            mask, depth = known.masks(i, i + 1)[0], known.depth(i, i + 1)[0]
            yield _exact_frame(mask, depth, places[i], usable[i], visibility[i], size)

    shape = [int(length) for length in keypoints.shape]
    return ArrayCache().kept(content_key(_EXACT, digest.hexdigest(), shape, list(case.size), size), make)


def _exact_frame(
    mask: npt.NDArray[np.uint8],
    depth: npt.NDArray[np.float32],
    places: npt.NDArray[np.float32],
    usable: npt.NDArray[np.bool_],
    visibility: npt.NDArray[np.uint8],
    size: int,
) -> _Packed:
    from baselines.inputs.exact_parts import Joints, exact_parts

    return exact_parts(_square_map(mask, size), _square_map(depth, size), Joints(places, usable, visibility == 2))


def _square_joints(
    keypoints: npt.NDArray[np.float32], visibility: npt.NDArray[np.uint8], picture: tuple[int, int], size: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Joints (T, K, 18, 2) in the square, and which of them mean something.

    A joint outside the picture has no visibility, but the limb that leads to it is in the picture in part. Its place is
    taken where it lies outside indeed: that of somebody who is absent, or a zero that stands for nothing, is not.
    """
    from fypv2.conditions import poses_of_annotations

    height, width = picture
    x, y = keypoints[..., 0], keypoints[..., 1]
    outside = (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)
    present = (visibility > 0).any(axis=-1, keepdims=True)
    usable = np.isfinite(keypoints).all(axis=-1) & ((visibility > 0) | (outside & present))
    square = poses_of_annotations(keypoints, visibility, picture).crop_resize(size, size).body
    return np.where(usable[..., None], square, np.float32(0)), usable


def _square_map(picture: Any, size: int) -> Any:
    """A mask or a depth map (H, W) in the centred square, by the nearest pixel: neither may be mixed at an edge."""
    import cv2

    from fypv2.conditions import crop_box

    top, left, side, _ = crop_box(picture.shape, size, size)
    square = np.ascontiguousarray(picture[top : top + side, left : left + side])
    return square if side == size else cv2.resize(square, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)


def _network_clip(case: Case, size: int, model: Path, sha256: str | None, device: str) -> Iterator[_Packed]:
    from fypv2.extractors.cache import ArrayCache, content_key

    video, network = driving_video(case), _network(model, sha256, device)
    key = content_key(_NETWORK, "video", video.digest(), case.frames, size, network.record)
    return ArrayCache().kept(key, lambda: (network.parts(frame, size) for frame in squares(video, case, network.side)))


def _network(model: Path, sha256: str | None, device: str) -> Any:
    from baselines.inputs.parts_network import load_parts_network

    return load_parts_network(model, sha256, device)


def _nothing(case: Case) -> InputError:
    return InputError(
        f"clip '{case.clip}' has no exact annotations to make DensePose from; fetch densepose_r50_fpn_dl.torchscript"
        " (hr16/DensePose-TorchScript-with-hint-image) and give --set densepose=FILE --set densepose_sha256=HASH"
    )
