"""A video file or GIF, decoded by PyAV."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from mcbench.errors import VideoError
from mcbench.video.common import hash_file, one_line
from mcbench.workers import allowed_threads

__all__ = ["VIDEO_SUFFIXES", "VideoFile"]

Frame = npt.NDArray[np.uint8]

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".gif")

_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts,mpeg,flv,ogg,asf"
"""FFmpeg's formats that hold a video themselves; others list further files and addresses, which it would open."""

_DECODER_THREADS = 16
"""FFmpeg advises against more."""

_SPARSE_TOLERANCE = 1.5
"""Frames by which a container without a frame count may end before its stated duration; more is a torn file."""


class _Packets:
    """What the packets of a stream tell, counted as they come: a long video has gigabytes of them."""

    def __init__(self) -> None:
        self.count = self.discarded = 0
        self.first: int | None = None
        self.last: int | None = None

    def add(self, packet: Any) -> None:
        self.count += 1
        self.discarded += bool(packet.is_discard)
        if packet.pts is not None:
            self.first = packet.pts if self.first is None else min(self.first, packet.pts)
            self.last = packet.pts if self.last is None else max(self.last, packet.pts)


@dataclass(frozen=True)
class _Probe:
    """What the container says, and the count of packets that are really there."""

    frames: int
    discarded: int
    size: tuple[int, int]
    fps: float | None
    codec: str
    pixel_format: str
    quarter_turns: int


@dataclass
class VideoFile:
    """A video file or GIF; every stored frame, in order, turned upright where the file asks for it.

    Attributes:
        path: the file.
        conversions: what was converted while reading, in words.
    """

    path: Path
    conversions: set[str] = field(default_factory=set)

    @property
    def container(self) -> str:
        """File kind, as its ending says."""
        return self.path.suffix.lower().lstrip(".")

    @property
    def frames(self) -> int:
        return self._probe.frames

    @property
    def size(self) -> tuple[int, int]:
        return self._probe.size

    @property
    def fps(self) -> float | None:
        return self._probe.fps

    def read(self) -> Iterator[Frame]:
        """Every frame in order.

        Raises:
            VideoError: if a frame does not decode, or changes its size.
        """
        decoded, announced = 0, self._probe.frames
        first: tuple[int, int] | None = None
        try:
            with self._open() as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                # By default each decoder starts a thread for every processor, in each process of a run.
                stream.codec_context.thread_count = min(allowed_threads(), _DECODER_THREADS)
                # By default damage is concealed: wrong pixels, and no word of it.
                stream.codec_context.options = {"err_detect": "explode"}
                for picture in container.decode(stream):
                    if picture.is_corrupt:
                        raise VideoError(self._torn(decoded))
                    frame = self._upright(picture)
                    first = first or frame.shape[:2]
                    if frame.shape[:2] != first:
                        raise VideoError(
                            f"{self.path}: frame {decoded} is {frame.shape[1]} x {frame.shape[0]}, frame 0"
                            f" {first[1]} x {first[0]}; all frames of a clip have one size"
                        )
                    yield frame
                    decoded += 1
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError(self._torn(decoded)) from error
        if decoded != announced:
            raise VideoError(self._torn(decoded))

    def digest(self) -> str:
        digest = hashlib.sha256()
        hash_file(self.path, digest)
        return digest.hexdigest()

    def _torn(self, index: int) -> str:
        return (
            f"{self.path}: frame {index} of {self._probe.frames} does not decode;"
            " the file is torn or damaged, write it again"
        )

    def _upright(self, picture: Any) -> Frame:
        if any(part.is_alpha for part in picture.format.components) or picture.format.name == "pal8":
            rgba = picture.to_ndarray(format="rgba")
            if rgba[:, :, 3].min() != 255:
                raise VideoError(f"{self.path}: has transparent pixels; flatten it onto the background that you mean")
            frame = np.ascontiguousarray(rgba[:, :, :3])
        else:
            frame = picture.to_ndarray(format="rgb24")
        turns = self._probe.quarter_turns
        return np.ascontiguousarray(np.rot90(frame, turns)) if turns else frame

    def _open(self) -> Any:
        return av.open(str(self.path), options={"format_whitelist": _FORMATS})

    @cached_property
    def _probe(self) -> _Probe:
        try:
            with self._open() as container:
                if not container.streams.video:
                    raise VideoError(f"{self.path}: holds no video stream, it is torn or no video; write it again")
                stream = container.streams.video[0]
                packets = _Packets()
                for packet in container.demux(stream):
                    if packet.size:
                        packets.add(packet)
                rate = stream.average_rate or stream.guessed_rate
                # The decoder of VP8 and VP9 leaves the alpha channel, a stream in the stream, aside.
                if stream.metadata.get("alpha_mode") == "1":
                    raise VideoError(f"{self.path}: has an alpha channel; flatten it onto the background that you mean")
                shape = stream.sample_aspect_ratio
                if shape and shape != 1:
                    self.conversions.add(f"pixels of shape {shape.numerator}:{shape.denominator} taken as square ones")
                turns = self._rotation()
                height, width = stream.codec_context.height, stream.codec_context.width
                if not packets.count or not height or not width:
                    raise VideoError(f"{self.path}: holds no frame; write it again")
                self._check_whole(container, stream, packets, rate)
                return _Probe(
                    frames=packets.count - packets.discarded,
                    discarded=packets.discarded,
                    size=(width, height) if turns % 2 else (height, width),
                    fps=float(rate) if rate else None,
                    codec=stream.codec_context.name,
                    pixel_format=stream.codec_context.pix_fmt or "",
                    quarter_turns=turns,
                )
        except (av.error.FFmpegError, OSError, IndexError) as error:
            why = getattr(error, "strerror", None) or one_line(error)
            if getattr(error, "errno", None) == errno.EINVAL:  # what FFmpeg says of a format that is not on the list
                why = "its content is no video, whatever it is called"
            raise VideoError(f"{self.path}: not a video that can be read ({why}); write it again") from error

    def _check_whole(self, container: Any, stream: Any, packets: _Packets, rate: Fraction | None) -> None:
        """Compare what is there with what the header promised: decoders end silently at a torn end."""
        if stream.frames and packets.count < stream.frames:
            raise VideoError(
                f"{self.path}: holds {packets.count} of the {stream.frames} frames that it announces;"
                " the file is torn, write it again"
            )
        if stream.frames or len(container.streams) > 1 or not (container.duration and rate):
            return
        if packets.first is None or packets.last is None:
            return
        shown = float((packets.last - packets.first) * stream.time_base)
        missing = (container.duration / av.time_base - shown) * float(rate) - 1
        if missing > _SPARSE_TOLERANCE:
            raise VideoError(
                f"{self.path}: ends about {missing:.0f} frames before its stated duration;"
                " the file is torn, write it again"
            )

    def _rotation(self) -> int:
        """Quarter turns, counter-clockwise, that the container's display matrix asks for."""
        with self._open() as container:
            picture = next(container.decode(video=0), None)
            degrees = round(getattr(picture, "rotation", 0) or 0) if picture is not None else 0
        if degrees % 90:
            raise VideoError(f"{self.path}: asks to be shown turned by {degrees} degrees; write it upright")
        turns = degrees // 90 % 4
        if turns:
            self.conversions.add(f"turned by {degrees} degrees as the file asks")
        return turns
