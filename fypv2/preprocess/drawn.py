"""The synthetic training split as units of work."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fypv2.preprocess.writer import UnitWriter
from fypv2.training.members import encode_sample
from fypv2.training.synthetic import synthetic_clips
from mcbench import Cameras, training_clips

__all__ = ["DrawnJob"]


@dataclass(frozen=True)
class DrawnJob:
    """Draws clips.

    Attributes:
        clips: how many.
        frames: of each.
        size: side of the picture in pixels, 64 to 1024.
        seed: of the stream.
        clips_per_shard: how many make a unit.
        cameras: see `training_clips`.

    Raises:
        UserError: if a number is out of its range.
    """

    clips: int
    frames: int = 48
    size: int = 128
    seed: int = 0
    clips_per_shard: int = 16
    cameras: Cameras = "mixed"

    def __post_init__(self) -> None:
        next(training_clips(self.seed, 1, self.frames, self.size))

    @property
    def request(self) -> dict[str, Any]:
        """See `Job`."""
        settings = {"kind": "synthetic", **asdict(self), "frame_format": "png", "map_scale": 1}
        if self.cameras == "mixed":
            del settings["cameras"]  # as data says it that was made before there was a choice
        return settings

    @property
    def units(self) -> int:
        """See `Job`."""
        return -(-self.clips // self.clips_per_shard)

    def load(self) -> None:
        """Nothing is needed."""

    def make(self, unit: int, writer: UnitWriter) -> None:
        """See `Job`."""
        first = unit * self.clips_per_shard
        last = min(first + self.clips_per_shard, self.clips)
        for clip in synthetic_clips(self.seed, last, self.frames, self.size, self.cameras, start=first):
            header, files = encode_sample(clip)
            writer.add(clip.name, header, files)
