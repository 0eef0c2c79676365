"""DensePose by a network in TorchScript, which needs no detectron2: hr16/DensePose-TorchScript-with-hint-image.

Such a file is a program: `torch.jit.load` runs what stands in it. So it is loaded only with the SHA-256 that the user
states for it, and the bytes that are loaded are those that were hashed.

What it takes: one picture, uint8 (3, H, W), BGR as detectron2's DensePose was trained (INPUT.FORMAT of its configs).
What it gives, for N people from the surest down: boxes float (N, 4) as x0, y0, x1, y1 in pixels; coarse segmentation
(N, 2 or 15, h, w), whose channel 0 is background; fine segmentation, u and v, each (N, 25, h, w), over the box, channel
0 background and p part p. The rest follows detectron2 (projects/DensePose, densepose/converters/segm_to_mask and
to_chart_result, densepose/vis): all are resized bilinearly to the box, the part is the fine channel with the highest
value where the coarse segmentation is not background, u and v are those of that part's channel, and people are laid
over each other in the order in which they come.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from baselines.inputs.errors import InputError
from baselines.inputs.parts import PARTS, pack

__all__ = ["SIDE", "PartsNetwork", "load_parts_network"]

SIDE = 800
"""Shorter side of a picture in pixels as the network sees it: detectron2's INPUT.MIN_SIZE_TEST."""

Picture = npt.NDArray[np.uint8]


class PartsNetwork:
    """DensePose's network.

    Args:
        path: the TorchScript file.
        sha256: of its bytes, hexadecimal.
        device: where it runs.

    Raises:
        InputError: if the hash is missing or another one, or the file cannot be read or is no TorchScript.
    """

    def __init__(self, path: Path, sha256: str | None, device: str = "cpu") -> None:
        import torch
        import torchvision  # noqa: F401 - the program calls its operators

        content, digest = _checked(path, sha256)
        self.path, self.device, self.side = path, device, SIDE
        self.record = {"sha256": digest, "torch": torch.__version__.split("+")[0], "side": SIDE}
        try:
            load: Any = torch.jit.load  # has no annotations
            with warnings.catch_warnings():
                # Torch advises other formats since 2.9; the published file has this one.
                warnings.simplefilter("ignore", FutureWarning)
                self._program = load(io.BytesIO(content), map_location=device).eval()
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{path}: not a TorchScript file that runs on {device}; fetch it again") from error

    def parts(self, picture: Picture, size: int) -> Picture:
        """The parts of everyone in a square picture.

        Args:
            picture: uint8 RGB (S, S, 3).
            size: side of the result in pixels.

        Returns:
            uint8 (3, size, size), see `parts.pack`.

        Raises:
            InputError: if the program fails, or does not give what DensePose's network gives.
        """
        import torch

        image = torch.from_numpy(np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1))).to(self.device)
        with torch.inference_mode():
            try:
                given = self._program(image)
            except (RuntimeError, torch.jit.Error) as error:
                reason = str(error).strip().splitlines() or ["no reason given"]
                raise InputError(f"{self.path}: the network fails ({reason[-1][:200]})") from error
            boxes, *maps = self._outputs(given)
            return _merged(boxes * (size / picture.shape[0]), maps, size)

    def _outputs(self, given: Any) -> list[Any]:
        """Boxes, coarse and fine segmentation, u and v."""
        import torch

        if isinstance(given, (tuple, list)) and len(given) == 5 and all(isinstance(one, torch.Tensor) for one in given):
            boxes, coarse, fine, u, v = (one.float() for one in given)
            people = boxes.shape[0] if boxes.ndim == 2 else -1
            shapes = [
                people >= 0 and tuple(boxes.shape) == (people, 4),
                coarse.ndim == 4 and coarse.shape[0] == people and (people == 0 or coarse.shape[1] >= 2),
                *(one.ndim == 4 and tuple(one.shape[:2]) == (people, PARTS + 1) for one in (fine, u, v)),
            ]
            if all(shapes):
                return [boxes, coarse, fine, u, v]
        raise InputError(
            f"{self.path}: gives something else than DensePose's boxes, segmentations, u and v; give the TorchScript"
            " of a DensePose chart network"
        )


@lru_cache(maxsize=1)  # of 265 MB, and a run uses one
def load_parts_network(path: Path, sha256: str | None, device: str) -> PartsNetwork:
    """The network of a file, loaded once in a process; arguments and errors as for `PartsNetwork`."""
    return PartsNetwork(path, sha256, device)


def _checked(path: Path, sha256: str | None) -> tuple[bytes, str]:
    """The bytes of a file and their SHA-256, which is the one stated."""
    if sha256 is None:
        raise InputError(
            f"{path}: a TorchScript file is a program and runs only with its SHA-256 stated; take the hash from where"
            " the file is published and give --set densepose_sha256=HASH"
        )
    stated = sha256.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", stated):
        raise InputError(f"densepose_sha256 '{sha256}' is no SHA-256; give its 64 hexadecimal digits")
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); give the DensePose file") from error
    found = hashlib.sha256(content).hexdigest()
    if found != stated:
        raise InputError(
            f"{path}: its SHA-256 begins with {found[:12]}, the stated one with {stated[:12]}; it was not loaded:"
            " fetch it again, or state the hash of the file that you mean"
        )
    return content, found


def _merged(boxes: Any, maps: list[Any], size: int) -> Picture:
    """Everyone's parts in one picture."""
    import torch

    part = torch.zeros((size, size), dtype=torch.uint8)
    coordinates = torch.zeros((2, size, size))
    for box, coarse, fine, u, v in zip(boxes.cpu(), *maps, strict=True):
        if not bool(torch.isfinite(box).all()):
            continue
        left, top = int(box[0]), int(box[1])
        shape = max(int(box[3] - box[1]), 1), max(int(box[2] - box[0]), 1)
        if max(shape) > 4 * size:  # no person of this picture, and too large to resize to
            continue
        labels = _resized(fine, shape).argmax(0) * (_resized(coarse, shape).argmax(0) > 0)
        chosen = torch.stack([_resized(one, shape).gather(0, labels[None])[0] for one in (u, v)])
        labels, chosen = labels.to("cpu", torch.uint8), chosen.cpu()
        # Boxes may reach beyond the picture.
        rows = slice(max(top, 0), min(top + shape[0], size))
        columns = slice(max(left, 0), min(left + shape[1], size))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        inside = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        body = labels[inside] > 0
        part[rows, columns] = torch.where(body, labels[inside], part[rows, columns])
        coordinates[:, rows, columns] = torch.where(body, chosen[(slice(None), *inside)], coordinates[:, rows, columns])
    u, v = torch.nan_to_num(coordinates).numpy()
    return pack(part.numpy(), u, v)


def _resized(values: Any, shape: tuple[int, int]) -> Any:
    import torch

    return torch.nn.functional.interpolate(values[None], shape, mode="bilinear", align_corners=False)[0]
