"""What `mcbench score` costs beside the forward passes that no evaluator can avoid.

Both are timed in one run, on the same frames, with the same random weights and threads:

- cold: `mcbench score` as its own process, with an empty cache, from PNG files to result.json, start-up included;
- bare: the networks' forward passes alone, on inputs that lie ready in memory, in the batches that `mcbench score`
  has and with its allocator, without either of which they would be slower and the ratio flattered.

    python benchmarks/overhead.py                    # two clips of 40 frames, both protocols
    python benchmarks/overhead.py --clips 4 --frames 24 --protocol mcbench@1 --json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from mcbench.allocator import keep_freed_memory
from mcbench.backbones import load_backbone
from mcbench.datasets import load_dataset
from mcbench.geometry import to_square
from mcbench.metrics.windows import window_starts
from mcbench.protocol import PROTOCOLS, get_protocol
from mcbench.provenance import device_name
from mcbench.video import write_frames


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--clips", type=int, default=2)
    arguments.add_argument("--frames", type=int, default=40)
    arguments.add_argument("--protocol", action="append", choices=list(PROTOCOLS))
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    protocols = options.protocol or list(PROTOCOLS)
    torch.set_num_threads(options.threads)
    keep_freed_memory()

    with tempfile.TemporaryDirectory() as scratch:
        truths, predictions = make_clips(Path(scratch), options.clips, options.frames)
        cold = time_score(Path(scratch), protocols, options.threads)
        bare = time_forward_passes(truths, predictions, protocols)

    total = sum(bare.values())
    report = {
        "machine": device_name("cpu"),
        "clips": options.clips,
        "frames": options.frames,
        "protocols": protocols,
        "cold_score_seconds": round(cold, 2),
        "bare_forward_seconds": {**{name: round(value, 2) for name, value in bare.items()}, "total": round(total, 2)},
        "ratio": round(cold / total, 3),
    }
    if options.json:
        print(json.dumps(report, indent=2))  # noqa: T201
        return
    print(f"{report['machine']}; {options.clips} clips of {options.frames} frames; {', '.join(protocols)}")  # noqa: T201
    for name, value in bare.items():
        print(f"  bare {name:10s} {value:8.2f} s")  # noqa: T201
    print(f"  bare total      {total:8.2f} s\n  cold score      {cold:8.2f} s\n  ratio           {cold / total:8.3f}")  # noqa: T201


def make_clips(root: Path, clips: int, frames: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Synthetic truths, and predictions that differ from them in every frame, so that no pass can be saved."""
    random = np.random.default_rng(0)
    truths, predictions = [], []
    for clip in load_dataset("synthetic", clips=clips, frames=frames).clips:
        truth = np.stack([to_square(frame, 512) for frame in clip.source.read()])
        prediction = np.clip(truth + random.integers(-12, 13, truth.shape), 0, 255).astype(np.uint8)
        write_frames(root / "truth" / clip.name, truth)
        write_frames(root / "predictions" / clip.name, prediction)
        truths.append(truth)
        predictions.append(prediction)
    return truths, predictions


def time_score(root: Path, protocols: list[str], threads: int) -> float:
    """Seconds of `mcbench score` with nothing cached."""
    command = [sys.executable, "-m", "mcbench", "score", str(root / "predictions"), "--truth", str(root / "truth")]
    command += ["--weights", "random@1", "--out", str(root / "run"), "--device", "cpu"]
    command += [word for id in protocols for word in ("--protocol", id)]
    environment = {**os.environ, "MCBENCH_HOME": str(root / "home"), "OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def time_forward_passes(
    truths: list[np.ndarray], predictions: list[np.ndarray], protocols: list[str]
) -> dict[str, float]:
    """Seconds in the networks, by backbone, for what the protocols need."""
    chosen = [get_protocol(id) for id in protocols]
    stride = min(protocol.window_stride for protocol in chosen)
    seconds: dict[str, float] = {}
    with torch.inference_mode():
        network = load_backbone("inception", "random@1")
        batches = [
            torch.from_numpy(video[i : i + 8]) for video in (*truths, *predictions) for i in range(0, len(video), 8)
        ]
        inputs = [network.preprocess(batch) for batch in batches]
        network(inputs[0])
        start = time.perf_counter()
        for batch in inputs:
            network(batch)
        seconds["inception"] = time.perf_counter() - start
        for name, signed in sorted({(item.lpips_network, item.lpips_range == "signed") for item in chosen}):
            network = load_backbone(name, "random@1")
            network.activations(truths[0][:1], signed)
            start = time.perf_counter()
            for truth, prediction in zip(truths, predictions, strict=True):
                for index in range(len(truth)):
                    pair = (network.activations(video[index : index + 1], signed) for video in (truth, prediction))
                    network.distance(*pair)
            seconds[name] = time.perf_counter() - start
        for name in ("r3d50", "i3d"):
            network = load_backbone(name, "random@1")
            prepared = [network.prepare(video) for video in (*truths, *predictions)]
            windows = [
                video[first : first + 16][None] for video in prepared for first in window_starts(len(video), stride)
            ]
            batches = [
                torch.cat(windows[first : first + network.cpu_batch])
                for first in range(0, len(windows), network.cpu_batch)
            ]
            network.features(batches[0])
            start = time.perf_counter()
            for batch in batches:
                network.features(batch)
            seconds[name] = time.perf_counter() - start
    return seconds


if __name__ == "__main__":
    main()
