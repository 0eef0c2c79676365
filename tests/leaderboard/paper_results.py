"""Results as they would be on the paper's data sets, without measuring anything."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from mcbench.protocol import PROTOCOLS
from mcbench.results import (
    ClipScores,
    DatasetInfo,
    MethodInfo,
    MetricResult,
    PredictionsInfo,
    ProtocolResult,
    Provenance,
    Result,
    write_result,
)

VALUES = {
    "fid": 26.123,
    "ssim": 0.7654,
    "psnr": 28.456,
    "lpips": 0.2512,
    "l1": 0.0000712,
    "fid_vid": 13.987,
    "fvd": 118.345,
    "kid": 0.0123,
    "kvd": 0.0456,
}
BACKBONES = {"fid": "inception", "kid": "inception", "fid_vid": "r3d50", "fvd": "i3d", "kvd": "i3d", "lpips": "vgg16"}
WHOLE = {"tiktok": (10, 2000), "ted-talks": (128, 20000), "multi-character": (20, 3917)}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_result(
    dataset: str = "tiktok",
    *,
    version: str | None = None,
    name: str = "my-method",
    values: dict[str, float | None] | None = None,
    weights: str = "published",
    needs_truth: bool = False,
    note: str | None = None,
    clips: int | None = None,
    frames: int | None = None,
    protocols: tuple[str, ...] = ("disco-legacy@1", "mcbench@1"),
    fingerprint: str = "the data set",
    command: str = "mcbench eval --method my-method",
) -> Result:
    """A whole result on a data set of the paper, all clips alike.

    Intervals are 5% wide on each side; metrics without a network have none.
    """
    split = {"tiktok": "new10val"}.get(dataset, "test")
    clips, frames = clips or WHOLE[dataset][0], frames or WHOLE[dataset][1]
    measured = {**VALUES, **(values or {})}
    return Result(
        method=MethodInfo(name=name, version="1", needs_truth=needs_truth, note=note),
        dataset=DatasetInfo(
            name=dataset, version=version or f"1/{split}", fingerprint=sha(fingerprint), clips=clips, frames=frames
        ),
        predictions=PredictionsInfo(digest=sha(name), container="png", size=(512, 512), fps=30.0),
        protocols={
            id: ProtocolResult(
                metrics={metric: _metric(metric, measured[metric], weights, clips) for metric in PROTOCOLS[id].metrics},
                clips={
                    f"clip-{index}": ClipScores(
                        frames=frames // clips + (index < frames % clips),
                        **{metric: measured[metric] for metric in ("psnr", "ssim", "lpips", "l1")},
                    )
                    for index in range(clips)
                },
            )
            for id in protocols
        },
        provenance=Provenance(
            mcbench="0.1.0",
            git_commit=None,
            git_dirty=None,
            libraries={},
            device="cpu",
            command=command,
            seed=0,
            start="2024-06-05T00:00:00+00:00",
            seconds=1.0,
        ),
    )


def _metric(name: str, value: float | None, weights: str, videos: int) -> MetricResult:
    backbone = BACKBONES.get(name)
    about: dict[str, Any] = {}
    if backbone:
        about = {"backbone": backbone, "weights": weights, "weights_sha256": sha(f"{backbone} {weights}")}
    if value is None:
        return MetricResult(value=None, reason="no clip has the 16 frames of a window", videos=0, **about)
    if backbone is None:
        return MetricResult(value=value, interval_reason="an interval needs 3 videos", videos=videos, **about)
    return MetricResult(value=value, interval=(value * 0.95, value * 1.05), videos=videos, **about)


def write_run(folder: Path, result: Result) -> Path:
    """A run folder with a result in it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_result(result, folder / "result.json")
    return folder
