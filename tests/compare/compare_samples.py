"""Runs of methods that never were: measurements drawn at random, and everything after them made by mcbench itself.

Frames of a clip are alike (an autoregression of first order), clips have different lengths, all methods find the same
clips hard, and each method has errors of its own that a clip's frames share. So frames are far from independent and
videos are what counts, as in the field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from mcbench.aggregate import apply_protocols
from mcbench.backbones.weights import WeightsRecord
from mcbench.datasets.manifest import fingerprint
from mcbench.measurement import Measurement, Plan
from mcbench.protocol import PROTOCOLS
from mcbench.results import DatasetInfo, MethodInfo, PredictionsInfo, Provenance, Result, write_result

SCORES = {
    # Name of the array: a typical value, spread between clips, of a method's own luck with a clip, and within a clip.
    "absolute_error": (20.0, 4.0, 1.5, 1.0),
    "psnr": (18.0, 2.0, 0.7, 0.5),
    "psnr_wrapped": (28.0, 0.5, 0.2, 0.2),
    "ssim_uniform": (0.70, 0.05, 0.02, 0.01),
    "ssim_gaussian": (0.65, 0.05, 0.02, 0.01),
    "lpips/vgg16": (0.30, 0.04, 0.015, 0.01),
    "lpips/alexnet": (0.25, 0.04, 0.015, 0.01),
}
ALIKE = 0.9
"""Correlation of a frame with the next."""


def drift(random: np.random.Generator, frames: int, dimension: int = 1) -> np.ndarray:
    """(frames, dimension) of variance 1, each frame correlated with the next."""
    noise = random.normal(size=(frames, dimension))
    noise[1:] *= np.sqrt(1 - ALIKE**2)
    return lfilter([1.0], [1.0, -ALIKE], noise, axis=0)


@dataclass
class World:
    """Clips, and methods that are run on them.

    Attributes:
        random: everything is drawn from it.
        videos: number of clips.
        frames: shortest and longest clip.
        dimension: of all features.
        dataset: its name.
        masked: whether the clips have instance masks.
        weights: kind of all weights, and what their digest is made from.
    """

    random: np.random.Generator
    videos: int = 20
    frames: tuple[int, int] = (18, 40)
    dimension: int = 6
    dataset: str = "custom"
    masked: bool = False
    weights: str = "random@1"
    clips: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        for index in range(self.videos):
            frames = int(self.random.integers(self.frames[0], self.frames[1] + 1))
            centre = self.random.normal(size=(1, self.dimension))
            self.clips.append(
                {
                    "name": f"clip-{index:02d}",
                    "frames": frames,
                    "hardness": {name: self.random.normal() for name in SCORES},
                    "features": {
                        "inception": centre + drift(self.random, frames, self.dimension),
                        "r3d50": centre + drift(self.random, max(0, frames - 15), self.dimension),
                        "i3d": centre + drift(self.random, max(0, frames - 15), self.dimension),
                    },
                    # What every method gets wrong in this clip.
                    "common": 0.3 * self.random.normal(size=(1, self.dimension)),
                }
            )

    def measure(self, better: float = 0.0, offset: float = 0.6, direction: int = 0) -> list[Measurement]:
        """One method on all clips.

        Args:
            better: how much better its scores are, as a part of what luck makes between methods in a clip.
            offset: length of the part of its features' error that all clips share, per dimension.
            direction: 0 or 1; two methods of unlike faults have the same distance in other directions.
        """
        sign = np.ones(self.dimension) if direction == 0 else (-1.0) ** np.arange(self.dimension)
        return [self._clip(clip, better, offset * sign) for clip in self.clips]

    def _clip(self, clip: dict, better: float, shift: np.ndarray) -> Measurement:
        random, frames = self.random, clip["frames"]
        arrays: dict[str, np.ndarray] = {}
        for name, (typical, between, luck, within) in SCORES.items():
            gain = better * luck * (1 if name.startswith(("psnr", "ssim")) else -1)
            own = typical + between * clip["hardness"][name] + luck * random.normal() + gain
            arrays[name] = own + within * drift(random, frames)[:, 0]
        for backbone, truth in clip["features"].items():
            error = 0.4 * random.normal(size=(1, self.dimension)) + 0.4 * drift(random, len(truth), self.dimension)
            arrays[f"{backbone}/truth"] = truth.astype(np.float32)
            arrays[f"{backbone}/prediction"] = (truth + shift + clip["common"] + error).astype(np.float32)
        if self.masked:
            for name in ("l1_characters", "lpips_characters", "background_motion"):
                arrays[name] = 0.2 + 0.05 * (random.normal() - better) + 0.02 * drift(random, frames)[:, 0]
                arrays[f"{name}/valid"] = np.arange(frames) > 0
        digest = hashlib.sha256(repr((self.dataset, clip["name"], frames)).encode()).hexdigest()
        about = {"container": "png", "size": [64, 64], "fps": 25.0, "conversions": []}
        return Measurement(
            clip=clip["name"],
            frames=frames,
            plan=Plan.of(tuple(PROTOCOLS.values())),
            prediction={**about, "frames": "p" * 64, "files": "p" * 64},
            truth={**about, "frames": digest, "files": digest},
            reference_frame=0,
            weights={
                name: WeightsRecord(name, self.weights, hashlib.sha256(f"{name} {self.weights}".encode()).hexdigest())  # type: ignore[arg-type]
                for name in ("inception", "r3d50", "i3d", "vgg16", "alexnet")
            },
            arrays=arrays,
        )

    def result(
        self,
        measurements: Sequence[Measurement],
        name: str = "a",
        protocols: Iterable[str] = PROTOCOLS,
        **about: object,
    ) -> Result:
        """The result that mcbench makes from measurements; `about` goes to `MethodInfo`."""
        rows = ((item.clip, item.frames, item.reference_frame, item.truth["frames"]) for item in measurements)
        return Result(
            method=MethodInfo(name=name, version="1", **about),  # type: ignore[arg-type]
            dataset=DatasetInfo(
                name=self.dataset,
                version="1",
                fingerprint=fingerprint(rows),
                clips=len(measurements),
                frames=sum(item.frames for item in measurements),
            ),
            predictions=PredictionsInfo(digest="0" * 64, container="png", size=(64, 64), fps=25.0),
            protocols=apply_protocols([PROTOCOLS[id] for id in protocols], measurements),
            provenance=Provenance(
                mcbench="0.1.0",
                git_commit=None,
                git_dirty=None,
                libraries={},
                device="cpu",
                command="mcbench eval",
                seed=0,
                start="2026-01-01T00:00:00+00:00",
                seconds=1.0,
            ),
        )

    def run(self, folder: Path, measurements: Sequence[Measurement], name: str | None = None, **about: object) -> Path:
        """A run folder as `mcbench eval` leaves it, but for the frames."""
        for item in measurements:
            item.write(folder / "measurements" / f"{item.clip}.safetensors")
        write_result(self.result(measurements, name or folder.name, **about), folder / "result.json")  # type: ignore[arg-type]
        return folder


def world(seed: int, **attributes: object) -> World:
    """Clips drawn from a seed."""
    return World(np.random.default_rng(seed), **attributes)  # type: ignore[arg-type]
