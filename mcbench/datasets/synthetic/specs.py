"""Which clips there are: names, lengths, casts and seeds. Nothing here draws a pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from mcbench.datasets.synthetic.arithmetic import Random
from mcbench.errors import UsageError

__all__ = [
    "FPS",
    "SIZE",
    "SYNTHETIC_VERSION",
    "Cameras",
    "ClipSpec",
    "clip_specs",
    "synthetic_names",
    "synthetic_shape",
    "training_clips",
]

SYNTHETIC_VERSION = "1"
"""Any change that moves a pixel or an annotation makes a new version."""

FPS = 25.0
SIZE = 512
Cameras = Literal["mixed", "shaken", "still"]
"""Of the training split: every other one shaken, all shaken, or none."""

# Three spaces of seeds that never meet: the top bits say what a seed is for.
_SPACE = 1 << 64
BENCHMARK_SPACE, MINI_SPACE, TRAINING_SPACE = (1 * _SPACE, 2 * _SPACE, 3 * _SPACE)


@dataclass(frozen=True)
class ClipSpec:
    """All that decides a clip.

    Attributes:
        name: of the clip.
        seed: of everything that is drawn by lot.
        frames: how many; a longer clip of the same seed begins with the same frames.
        characters: 2 to 5.
        size: side of the picture in pixels.
        shaken: whether the camera is hand-held.
        start: how many frames of the script are skipped.
        opening: the section that follows the first one; by lot if None.
    """

    name: str
    seed: int
    frames: int
    characters: int
    size: int = SIZE
    shaken: bool = False
    start: int = 0
    opening: str | None = None


# Lengths add up to 3917, as do those of the bench that this one stands in for.
_LENGTHS = (186, 214, 172, 240, 158, 204, 196, 228, 150, 182, 216, 168, 256, 176, 202, 190, 234, 162, 198, 185)
_CASTS = (2, 3, 4, 2, 5, 3, 2, 4, 3, 5, 2, 3, 4, 2, 5, 3, 4, 2, 3, 5)
_OPENINGS = (
    "hug", "cross", "weave", "leave", "cross", "hug", "cross", "ring", "swing", "weave",
    "swing", "line", "leave", "cross", "ring", "weave", "leave", "hug", "ring", "hug",
)  # fmt: skip
# Picked so that each first frame, and each reference of the misaligned set, shows every face; that every clip has its
# crossings; and that rooms and floors are spread evenly.
_SEEDS = (
    1, 103, 209, 302, 415, 515, 603, 728, 825, 932, 1001, 1115, 1236, 1300, 1409, 1534, 1607, 1707, 1810, 1934,
)  # fmt: skip
# (seed, characters, start, opening): the 24 frames are taken from the middle of the section.
_MINI = ((44, 3, 59, "weave"), (135, 2, 58, "hug"), (235, 4, 62, "cross"), (348, 5, 60, "ring"))


def _benchmark(prefix: str) -> tuple[ClipSpec, ...]:
    rows = zip(_SEEDS, _LENGTHS, _CASTS, _OPENINGS, strict=True)
    return tuple(
        ClipSpec(f"{prefix}-{i:02d}", BENCHMARK_SPACE + seed * 8, frames, cast, opening=opening)
        for i, (seed, frames, cast, opening) in enumerate(rows)
    )


def _mini() -> tuple[ClipSpec, ...]:
    return tuple(
        ClipSpec(f"mini-{i:02d}", MINI_SPACE + seed * 8, 24, cast, start=start, opening=opening)
        for i, (seed, cast, start, opening) in enumerate(_MINI)
    )


_SETS = {
    "synthetic": _benchmark("dance"),
    "synthetic-mini": _mini(),
    "synthetic-misaligned": _benchmark("misaligned"),
}


def synthetic_names() -> tuple[str, ...]:
    """The names of the synthetic data sets."""
    return tuple(_SETS)


def clip_specs(name: str) -> tuple[ClipSpec, ...]:
    """The clips of a synthetic data set, in order.

    Raises:
        UsageError: if there is no such set.
    """
    try:
        return _SETS[name]
    except KeyError:
        raise UsageError(f"no synthetic data set is called '{name}'; there are {', '.join(_SETS)}") from None


def synthetic_shape(name: str) -> tuple[int, int]:
    """Clips and frames in all of a synthetic data set, without drawing anything.

    Raises:
        UsageError: if there is no such set.
    """
    specs = clip_specs(name)
    return len(specs), sum(spec.frames for spec in specs)


def training_clips(
    seed: int, count: int | None = None, frames: int = 48, size: int = SIZE, cameras: Cameras = "mixed"
) -> Iterator[ClipSpec]:
    """Clips to train on, as many as asked for; none has the seed of a benchmark clip.

    Of mixed cameras the first of two is shaken and the second still, as footage is. Who saw only shaken ones would
    never learn that a background which does not move lies just where the reference has it.

    Args:
        seed: of the stream, 0 to 2**32 - 1; streams of different seeds share no clip.
        count: how many clips; without end if None.
        frames: of each clip.
        size: side of the picture in pixels, 64 to 1024.
        cameras: whether all are shaken, or still, or every other one is shaken; scenes and motions are the same ones.

    Raises:
        UsageError: if a number is out of its range.
    """
    if not 0 <= seed < 1 << 32:
        raise UsageError(f"training seed {seed} is out of range; give one from 0 to {(1 << 32) - 1}")
    if frames < 1 or not 64 <= size <= 1024:
        raise UsageError(
            f"training clips of {frames} frames at {size} pixels cannot be made; give 1 or more frames, 64 to 1024"
        )
    number = 0
    while count is None or number < count:
        own = TRAINING_SPACE + (seed << 32) + number * 8
        random = Random(own + 2)
        # Starting anywhere in a script shows every section as often as it lasts.
        shaken = cameras == "shaken" or (cameras == "mixed" and number % 2 == 0)
        spec = ClipSpec(f"train-{seed}-{number:06d}", own, frames, 2 + random.below(4), size, shaken)
        yield replace(spec, start=random.below(160))
        number += 1
