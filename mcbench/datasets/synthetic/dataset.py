"""The synthetic data sets on disk: drawn clip by clip as asked for, kept whole or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import safetensors.numpy

from mcbench.datasets.base import Clip, Dataset, ReferenceAnnotations
from mcbench.datasets.synthetic.scene import Frame, Scene, render_reference
from mcbench.datasets.synthetic.specs import FPS, SYNTHETIC_VERSION, ClipSpec, clip_specs
from mcbench.errors import UsageError, VideoError
from mcbench.video import open_frames

__all__ = ["StoredAnnotations", "load_synthetic"]

MISALIGNED = "synthetic-misaligned"
STALE_SECONDS = 900.0
"""A temporary folder in which nothing was written for so long belongs to a run that was killed."""

_ARRAYS = "annotations.safetensors"


@dataclass(frozen=True)
class StoredAnnotations:
    """Annotations of a clip's first `frames` frames, read from its folder when they are asked for."""

    folder: Path
    frames: int

    @cached_property
    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        path = self.folder / _ARRAYS
        try:
            return dict(safetensors.numpy.load(path.read_bytes()))
        except (OSError, safetensors.SafetensorError) as error:
            raise VideoError(f"{path}: cannot be read ({error}); delete {self.folder} and it is drawn again") from error

    @property
    def keypoints(self) -> npt.NDArray[np.float32]:
        """(T, K, 18, 2), see `mcbench.datasets.base.Annotations`."""
        return self._arrays["keypoints"][: self.frames]

    @property
    def visibility(self) -> npt.NDArray[np.uint8]:
        """(T, K, 18)."""
        return self._arrays["visibility"][: self.frames]

    @property
    def background_motion(self) -> npt.NDArray[np.float64]:
        """(T, 2, 3)."""
        return self._arrays["background_motion"][: self.frames]

    def masks(self, start: int = 0, stop: int | None = None) -> npt.NDArray[np.uint8]:
        """(n, H, W), frames [start, stop)."""
        return np.stack([_read(path) for path in self._files("masks", start, stop)])

    def depth(self, start: int = 0, stop: int | None = None) -> npt.NDArray[np.float32]:
        """(n, H, W), metres, frames [start, stop); stored to the millimetre."""
        return np.stack(
            [_read(path).astype(np.float32) / np.float32(1000) for path in self._files("depth", start, stop)]
        )

    def reference(self) -> ReferenceAnnotations | None:
        """Of the reference image, where the data set has one of its own."""
        if "reference_keypoints" not in self._arrays:
            return None
        return ReferenceAnnotations(
            keypoints=self._arrays["reference_keypoints"],
            visibility=self._arrays["reference_visibility"],
            mask=_read(self.folder / "reference_mask.png"),
            depth=_read(self.folder / "reference_depth.png").astype(np.float32) / np.float32(1000),
        )

    def _files(self, kind: str, start: int, stop: int | None) -> Iterator[Path]:
        first, last, _ = slice(start, stop).indices(self.frames)
        if first >= last:
            raise UsageError(f"{self.folder.name}: no frames in [{start}, {stop}); it has {self.frames}")
        for i in range(first, last):
            yield self.folder / kind / f"{i:05d}.png"


def load_synthetic(
    name: str,
    root: Path,
    *,
    clips: int | None = None,
    frames: int | None = None,
    on_frame: Callable[[int, int], None] | None = None,
) -> Dataset:
    """A synthetic data set; what is not yet in `root` is drawn first, and no more than is asked for.

    Args:
        name: one of `synthetic_names()`.
        root: where data sets are kept; clips go to `<root>/<name>/<version>/<clip>.<frames>`.
        clips: only the first so many clips.
        frames: only the first so many frames of each clip.
        on_frame: called as (done, total) after each frame that is drawn; never if all is there.

    Raises:
        UsageError: if there is no such set, or a count is not positive.
        OSError: if the disk is full or not writable; no torn clip is left behind.
    """
    for word, count in (("clips", clips), ("frames", frames)):
        if count is not None and count < 1:
            raise UsageError(f"{name}: {word} is {count}; ask for 1 or more")
    specs = clip_specs(name)[:clips]
    shelf = root / name / SYNTHETIC_VERSION
    wanted = [(spec, min(spec.frames, frames or spec.frames)) for spec in specs]
    missing = {spec.name: count for spec, count in wanted if _find(shelf, spec.name, count) is None}
    total, done = sum(missing.values()), 0

    def tick() -> None:
        nonlocal done
        done += 1
        if on_frame is not None:
            on_frame(done, total)

    made = []
    for spec, count in wanted:
        folder = _find(shelf, spec.name, count)
        if folder is None:
            folder = _make(shelf, spec, count, name == MISALIGNED, tick)
        made.append(_clip(spec, folder, count, name == MISALIGNED))
    return Dataset(name=name, version=SYNTHETIC_VERSION, clips=tuple(made))


def _clip(spec: ClipSpec, folder: Path, count: int, misaligned: bool) -> Clip:
    return Clip(
        name=spec.name,
        source=open_frames(folder / "frames", FPS),
        frames=count,
        fps=FPS,
        reference_frame=None if misaligned else 0,
        reference_source=open_frames(folder / "reference") if misaligned else None,
        annotations=StoredAnnotations(folder, count),
    )


def _find(shelf: Path, clip: str, count: int) -> Path | None:
    """The folder that holds at least so many frames of the clip; the shortest such."""
    pattern = re.compile(re.escape(clip) + r"\.(\d+)")
    found = []
    if shelf.is_dir():
        for folder in shelf.iterdir():
            match = pattern.fullmatch(folder.name)
            if match and int(match[1]) >= count:
                found.append((int(match[1]), folder))
    return min(found)[1] if found else None


def _make(shelf: Path, spec: ClipSpec, count: int, misaligned: bool, tick: Callable[[], None]) -> Path:
    """Draws a clip beside its place and moves it there in one step."""
    shelf.mkdir(parents=True, exist_ok=True)
    _sweep(shelf)
    final = shelf / f"{spec.name}.{count}"
    beside = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".tmp", dir=shelf))
    try:
        _draw_clip(beside, spec, count, misaligned, tick)
        beside.chmod(0o755)
        try:
            beside.rename(final)
        except OSError:
            # Another process was first: its clip has the same bytes.
            if not final.is_dir():
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return final


def _sweep(shelf: Path) -> None:
    """Removes what killed runs left behind."""
    limit = time.time() - STALE_SECONDS
    for folder in shelf.glob(".*.tmp"):
        try:
            newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
        except OSError:
            continue
        if newest < limit:
            shutil.rmtree(folder, ignore_errors=True)


def _draw_clip(folder: Path, spec: ClipSpec, count: int, misaligned: bool, tick: Callable[[], None]) -> None:
    for kind in ("frames", "masks", "depth"):
        (folder / kind).mkdir()
    scene = Scene(spec)
    keypoints, visibility, motion = [], [], []
    for i, frame in enumerate(scene.frames(count)):
        _write_frame(frame, *(folder / kind / f"{i:05d}.png" for kind in ("frames", "masks", "depth")))
        keypoints.append(frame.keypoints)
        visibility.append(frame.visibility)
        motion.append(frame.background_motion)
        tick()
    arrays: dict[str, npt.NDArray[Any]] = {
        "keypoints": np.stack(keypoints),
        "visibility": np.stack(visibility),
        "background_motion": np.stack(motion),
    }
    if misaligned:
        reference = render_reference(spec, scene)
        (folder / "reference").mkdir()
        _write_frame(
            reference, folder / "reference" / "00000.png", folder / "reference_mask.png", folder / "reference_depth.png"
        )
        arrays["reference_keypoints"] = reference.keypoints
        arrays["reference_visibility"] = reference.visibility
    (folder / _ARRAYS).write_bytes(safetensors.numpy.save(arrays))


def _write_frame(frame: Frame, image: Path, mask: Path, depth: Path) -> None:
    _write(image, np.ascontiguousarray(frame.image[..., ::-1]))
    _write(mask, frame.mask)
    _write(depth, np.floor(frame.depth * np.float32(1000) + np.float32(0.5)).astype(np.uint16))


def _write(path: Path, pixels: npt.NDArray[Any]) -> None:
    # Encoded in memory and written by Python: OpenCV's own writer does not report a full disk.
    _, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    path.write_bytes(data.tobytes())


def _read(path: Path) -> npt.NDArray[Any]:
    try:
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error) as error:
        raise VideoError(f"{path}: cannot be read; delete {path.parent.parent} and it is drawn again") from error
    if pixels is None:
        raise VideoError(f"{path}: does not decode; delete {path.parent.parent} and it is drawn again")
    return np.asarray(pixels)
