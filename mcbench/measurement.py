"""What is kept of a clip once its frames have gone through the metrics and networks.

Both protocols' averages, distances, intervals and comparisons are arithmetic on measurements, and need no network and
no pixels. A measurement is a file; it is there whole or not at all, and says what it was made from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from mcbench.atomic import read_tensors, write_tensors
from mcbench.backbones.weights import WeightsRecord
from mcbench.datasets.base import Clip
from mcbench.protocol import Protocol

__all__ = ["FORMAT", "Measurement", "Plan", "read_measurement"]

Array = npt.NDArray[Any]

FORMAT = 2
"""Version of the measurement files; older ones are measured again."""


@dataclass(frozen=True)
class Plan:
    """What must be measured so that the protocols asked for can be computed.

    Attributes:
        size: side of the square frames.
        pairwise: names in PAIRWISE.
        lpips: backbone and whether its input is in [-1, 1].
        window_length: frames in a window.
        window_stride: the finest stride asked for; coarser ones are subsets of its windows.
        masked: whether the variants on instance masks are measured where a clip has masks.
    """

    size: int
    pairwise: tuple[str, ...]
    lpips: tuple[tuple[str, bool], ...]
    window_length: int
    window_stride: int
    masked: bool

    @classmethod
    def of(cls, protocols: Sequence[Protocol]) -> Plan:
        """The plan that serves all of these protocols from one pass."""
        pairwise = {"absolute_error"}
        pairwise |= {{"wrapped": "psnr_wrapped", "exact": "psnr"}[protocol.psnr] for protocol in protocols}
        pairwise |= {{"uniform-7": "ssim_uniform", "gaussian-11": "ssim_gaussian"}[item.ssim] for item in protocols}
        (size,) = {protocol.size for protocol in protocols}
        (length,) = {protocol.window_length for protocol in protocols}
        stride = min(protocol.window_stride for protocol in protocols)
        assert all(protocol.window_stride % stride == 0 for protocol in protocols)
        return cls(
            size=size,
            pairwise=tuple(sorted(pairwise)),
            lpips=tuple(sorted({(item.lpips_network, item.lpips_range == "signed") for item in protocols})),
            window_length=length,
            window_stride=stride,
            masked=any(protocol.drop_reference for protocol in protocols),
        )

    @property
    def backbones(self) -> tuple[str, ...]:
        """Every network that the plan needs."""
        return ("inception", "r3d50", "i3d", *(network for network, _ in self.lpips))

    def union(self, other: Plan) -> Plan:
        """A plan that covers both, of one geometry."""
        assert (self.size, self.window_length) == (other.size, other.window_length)
        return replace(
            self,
            pairwise=tuple(sorted({*self.pairwise, *other.pairwise})),
            lpips=tuple(sorted({*self.lpips, *other.lpips})),
            window_stride=math.gcd(self.window_stride, other.window_stride),
            masked=self.masked or other.masked,
        )

    def covers(self, other: Plan) -> bool:
        """Whether a measurement under this plan serves the other one too."""
        return (
            (self.size, self.window_length) == (other.size, other.window_length)
            and set(self.pairwise) >= set(other.pairwise)
            and set(self.lpips) >= set(other.lpips)
            and other.window_stride % self.window_stride == 0
            and self.masked >= other.masked
        )


@dataclass(frozen=True)
class Measurement:
    """All that is kept of one clip.

    Attributes:
        clip: its name.
        frames: number of frames.
        plan: under which it was measured.
        prediction: digest of the decoded frames, digest of the files, container, size, fps, conversions.
        truth: the same of the truth.
        reference_frame: index of the frame that was given to the method, None if it is not one of the clip.
        weights: record of each backbone.
        arrays: `psnr` and the like, float64 (frames,); `lpips/<backbone>`; `<masked name>` and `<masked name>/valid`;
            `inception/<side>` float32 (frames, 2048); `r3d50/<side>`, `i3d/<side>` float32 (windows, dimension).
    """

    clip: str
    frames: int
    plan: Plan
    prediction: dict[str, Any]
    truth: dict[str, Any]
    reference_frame: int | None
    weights: dict[str, WeightsRecord]
    arrays: dict[str, Array]

    def windows(self, backbone: str, side: str, stride: int) -> Array:
        """Features of the windows at a stride that is a multiple of the measured one."""
        return self.arrays[f"{backbone}/{side}"][:: stride // self.plan.window_stride]

    def is_of(self, clip: Clip, prediction: str, truth: str) -> bool:
        """Whether it was made of this clip and these files, given as digests."""
        return (
            (self.clip, self.frames, self.reference_frame) == (clip.name, clip.frames, clip.reference_frame)
            and self.prediction["files"] == prediction
            and self.truth["files"] == truth
        )

    def serves(self, plan: Plan, weights: Mapping[str, WeightsRecord]) -> bool:
        """Whether it holds all that the plan asks for, under these weights."""
        return self.plan.covers(plan) and all(self.weights.get(name) == weights[name] for name in plan.backbones)

    def write(self, path: Path) -> None:
        """Write it whole or not at all.

        Raises:
            ResultError: if the disk is full or the place cannot be written to.
        """
        document = {
            "format": FORMAT,
            "clip": self.clip,
            "frames": self.frames,
            "plan": asdict(self.plan),
            "prediction": self.prediction,
            "truth": self.truth,
            "reference_frame": self.reference_frame,
            "weights": {name: asdict(record) for name, record in self.weights.items()},
        }
        write_tensors(self.arrays, {"measurement": json.dumps(document, sort_keys=True)}, path)


def read_measurement(path: Path) -> Measurement | None:
    """A measurement from disk; None where there is none, or one of another format or damaged."""
    known = read_tensors(path)
    if known is None:
        return None
    arrays, metadata = known
    try:
        document = json.loads(metadata.get("measurement", "{}"))
        if document.pop("format", None) != FORMAT:
            return None
        plan = document.pop("plan")
        plan["lpips"] = tuple((network, signed) for network, signed in plan["lpips"])
        plan["pairwise"] = tuple(plan["pairwise"])
        weights = {name: WeightsRecord(**record) for name, record in document.pop("weights").items()}
        return Measurement(**document, plan=Plan(**plan), weights=weights, arrays=arrays)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
