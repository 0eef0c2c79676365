"""Run folders as a real run leaves them, made of drawn numbers: what submissions are made of needs no network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mcbench.aggregate import apply_protocols
from mcbench.backbones.random_weights import RANDOM_SHA256
from mcbench.backbones.weights import REGISTRY, WeightsRecord
from mcbench.datasets.manifest import fingerprint
from mcbench.measurement import Measurement, Plan
from mcbench.protocol import PROTOCOLS
from mcbench.results import DatasetInfo, MethodInfo, PredictionsInfo, Provenance, Result, write_result
from mcbench.submissions.schema import ClipRecord, predictions_digest

MINI = {
    "mini-00": "6c1f5623cacdb245555c1b3b96486a931a247d2d334ded07d49721424e26e6bc",
    "mini-01": "cef3801e29aa3253633884dafed2ae7e992e3da0e35b0fb27dc86d774e4d776b",
    "mini-02": "8572327f904693c13e00243d691c4bcbf1eface069d58da687d3129e9cafdde1",
    "mini-03": "9a4002b761335983b138537118d1b8cad0b83f940397fc5f79e09a86d9ef2ba2",
}
"""`frames_digest` of the clips of synthetic-mini; the fingerprint that its card pins follows from them."""

MINI_FRAMES = 24
TIKTOK_FRAMES = (20, 33, 48, 17, 40, 25, 36, 22, 31, 28)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def weights_of(kind: str) -> dict[str, WeightsRecord]:
    hashes = {
        "random@1": RANDOM_SHA256,
        "published": {name: entry.sha256 or entry.sha256_prefix.ljust(64, "0") for name, entry in REGISTRY.items()},
        "custom": {name: sha256(name) for name in REGISTRY},
    }
    return {name: WeightsRecord(name, kind, hashes[kind][name]) for name in REGISTRY}  # type: ignore[arg-type]


def measurement(clip: str, frames: int, truth: str, kind: str, noise: float, seed: int = 0) -> Measurement:
    """What a method of some noise would leave of a clip."""
    random = np.random.default_rng([seed, *clip.encode()])
    of_truth = np.random.default_rng([99, *clip.encode()])
    windows = max(0, frames - 15)
    arrays = {
        "absolute_error": random.uniform(5, 9, frames) * noise,
        "psnr": random.uniform(15, 25, frames),
        "psnr_wrapped": random.uniform(26, 31, frames),
        "ssim_gaussian": random.uniform(0.4, 0.9, frames),
        "ssim_uniform": random.uniform(0.4, 0.9, frames),
        "lpips/alexnet": random.uniform(0.1, 0.5, frames),
        "lpips/vgg16": random.uniform(0.1, 0.5, frames),
    }
    for backbone, count, dimension in (("inception", frames, 2048), ("r3d50", windows, 2048), ("i3d", windows, 400)):
        known = of_truth.normal(size=(count, dimension)).astype(np.float32)
        arrays[f"{backbone}/truth"] = known
        drift = 0.2 * noise + 0.4 * noise * random.normal(size=(count, dimension))
        arrays[f"{backbone}/prediction"] = (known + drift).astype(np.float32)
    about = {"container": "png", "size": [512, 512], "fps": 25.0, "conversions": []}
    return Measurement(
        clip=clip,
        frames=frames,
        plan=Plan.of(tuple(PROTOCOLS.values())),
        prediction={**about, "frames": sha256(f"{clip} {noise} {seed}"), "files": sha256("files")},
        truth={**about, "frames": truth, "files": sha256("truth files")},
        reference_frame=0,
        weights=weights_of(kind),
        arrays=arrays,
    )


def write_run(
    folder: Path,
    method: str = "my-method",
    *,
    dataset: str = "synthetic-mini",
    kind: str = "random@1",
    noise: float = 1.0,
    frames: int | None = None,
    clips: int | None = None,
    seed: int = 0,
    about: Mapping[str, object] | None = None,
) -> Path:
    """A run folder: measurements and their result.

    Args:
        folder: where.
        method, dataset, kind: what was measured, on what, with which weights.
        noise: how bad the method is.
        frames, clips: only the first of them.
        seed: of the predictions.
        about: fields of the provenance that are to be others.
    """
    if dataset == "synthetic-mini":
        shape = {name: (MINI_FRAMES, truth) for name, truth in MINI.items()}
        version = "1"
    else:
        shape = {f"dance-{i:02d}": (count, sha256(f"truth {i}")) for i, count in enumerate(TIKTOK_FRAMES)}
        version = "1/new10val"
    items = []
    for name, (length, truth) in list(shape.items())[:clips]:
        items.append(measurement(name, min(length, frames or length), truth, kind, noise, seed))
        items[-1].write(folder / "measurements" / f"{name}.safetensors")
    rows = [(item.clip, item.frames, item.reference_frame, item.truth["frames"]) for item in items]
    records = [
        ClipRecord(name=name, frames=count, reference_frame=0, prediction=item.prediction["frames"], truth=truth)
        for item, (name, count, _, truth) in zip(items, rows, strict=True)
    ]
    provenance = {
        "mcbench": "0.1.0",
        "git_commit": "a" * 40,
        "git_dirty": False,
        "libraries": {"python": "3.11.2", "numpy": "2.4.6"},
        "device": "cpu: a processor, 1 threads",
        "command": f"mcbench eval --method {method}",
        "seed": 0,
        "start": "2026-01-02T03:04:05+00:00",
        "seconds": 12.5,
    }
    result = Result(
        method=MethodInfo(name=method, version="1"),
        dataset=DatasetInfo(
            name=dataset,
            version=version,
            fingerprint=fingerprint(rows),
            clips=len(items),
            frames=sum(item.frames for item in items),
        ),
        predictions=PredictionsInfo(
            digest=predictions_digest(records), container="png", size=(512, 512), fps=25.0, conversions=[]
        ),
        protocols=apply_protocols(PROTOCOLS.values(), items),
        provenance=Provenance(**{**provenance, **(about or {})}),
    )
    write_result(result, folder / "result.json")
    return folder
