"""Where the time of a cold `mcbench score` goes, and what it costs beside the forward passes that none can avoid.

All is timed in one run, on the same frames, with the same random weights and threads:

- cold: `mcbench score` as a process of its own, with an empty cache, from files to result.json, start-up included. In
  that process the functions of `SEAMS` tell a clock when they begin and end; a stage within another one stops the
  outer one's clock. What other threads do, all added up, has a column of its own, for it costs the run only what the
  main thread waits for them: "waiting for the reader" where one reads ahead, which is where the networks leave a
  processor idle; "reading, the rest" where a pool of them reads between the passes.
- bare: the networks' forward passes alone, on inputs that lie ready in memory, in the batches that `mcbench score`
  has and with its allocator, without either of which they would be slower and the ratio flattered.
- limits: the floating-point operations of each network (`torch.utils.flop_counter`) and the bytes that its layers read
  and write at least, over the bare time, as shares of what a float32 matrix product and a copy reach here.

On a GPU the clock waits for the card at the end of each network's stage, and of what prepares its input, so the cold
run is there repeated without it.

The cold run is to take 1.10 times the bare passes at most on a CPU; start-up and loading come once a run, so that a set
of a few frames shows more.

    python benchmarks/stages.py                    # 5 clips of 40 frames, both protocols
    python benchmarks/stages.py --clips 4 --frames 24 --protocol mcbench@1 --threads 1 --json
    python benchmarks/stages.py --device cuda --clips 20 --frames 196 --container mp4
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stages_clock import SEAMS, Clock
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from mcbench.allocator import keep_freed_memory
from mcbench.backbones import _network_class, load_backbone
from mcbench.backbones.base import batch_size, full_precision
from mcbench.datasets import load_dataset
from mcbench.geometry import to_square
from mcbench.metrics.windows import window_starts
from mcbench.protocol import PROTOCOLS, get_protocol
from mcbench.provenance import device_name
from mcbench.video import write_frames, write_video

RATIO = 1.10
"""Cold run over bare passes on a CPU, at most."""
SIZE = 512
STARTED = "MCBENCH_STAGES_STARTED"
"""Holds when the parent started the process whose stages are timed, in seconds of the epoch."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--clips", type=int, default=5)
    arguments.add_argument("--frames", type=int, default=40)
    arguments.add_argument("--protocol", action="append", choices=list(PROTOCOLS))
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--container", choices=("png", "mp4"), default="png")
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    protocols = options.protocol or list(PROTOCOLS)
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    keep_freed_memory()

    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        truths, predictions = make_clips(root, options.clips, options.frames, options.container)
        cold, stages = time_stages(root, protocols, options.threads, device)
        if device.type == "cuda":
            cold = time_score(
                root / "again", root, protocols, options.threads, device, [sys.executable, "-m", "mcbench"]
            )
        bare, passes = time_forward_passes(truths, predictions, protocols, device)

    total = sum(bare.values())
    report = {
        "machine": device_name(options.device),
        "threads": options.threads,
        "clips": options.clips,
        "frames": options.frames,
        "container": options.container,
        "protocols": protocols,
        "cold_score_seconds": round(cold, 2),
        "bare_forward_seconds": {**{name: round(value, 2) for name, value in bare.items()}, "total": round(total, 2)},
        "ratio": round(cold / total, 3),
        "target": RATIO if device.type == "cpu" else None,
        "reached": cold / total <= RATIO if device.type == "cpu" else None,
        "stages": [
            {"stage": name, "seconds": round(here, 3), "other_threads": round(there, 3)} for name, here, there in stages
        ],
        "limits": limits(bare, passes, device),
    }
    print(json.dumps(report, indent=2, ensure_ascii=False) if options.json else table(report))  # noqa: T201


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    cold, bare = report["cold_score_seconds"], report["bare_forward_seconds"]
    lines = [
        f"{report['machine']}; {report['clips']} clips of {report['frames']} frames"
        f" ({report['container']}); {', '.join(report['protocols'])}",
        f"{'seconds':28s}{'run':>9s}{'all other threads':>20s}{'bare':>9s}",
    ]
    for row in report["stages"]:
        bare_seconds = f"{bare[row['stage']]:9.2f}" if row["stage"] in bare else ""
        lines.append(f"{row['stage']:28s}{row['seconds']:9.2f}{row['other_threads']:20.2f}{bare_seconds}")
    lines.append(f"{'cold score, bare passes':28s}{cold:9.2f}{'':20s}{bare['total']:9.2f}")
    goal = "" if report["target"] is None else f"   target {report['target']:.2f}"
    lines.append(f"ratio {report['ratio']:.3f}{goal}{' missed' if report['reached'] is False else ''}")
    limit = report["limits"]
    lines.append(f"matrix product {limit['matmul_tflops']:.3g} TFLOP/s, copy {limit['copy_gb_per_second']:.3g} GB/s")
    for name, row in limit["networks"].items():
        lines.append(
            f"{name:12s}{row['tflop']:9.2f} TFLOP{row['of_matmul']:8.0%} of the product's rate"
            f"{row['of_copy']:8.0%} of the copy's"
        )
    return "\n".join(lines)


def make_clips(root: Path, clips: int, frames: int, container: str = "png") -> tuple[list[Any], list[Any]]:
    """Synthetic truths, and predictions that differ from them in every frame, so that no pass can be saved."""
    random = np.random.default_rng(0)
    truths, predictions = [], []
    for clip in load_dataset("synthetic", clips=clips, frames=frames).clips:
        truth = np.stack([to_square(frame, SIZE) for frame in islice(clip.source.read(), clip.frames)])
        prediction = np.clip(truth + random.integers(-12, 13, truth.shape), 0, 255).astype(np.uint8)
        for kind, video in (("truth", truth), ("predictions", prediction)):
            if container == "png":
                write_frames(root / kind / clip.name, video)
            else:
                (root / kind).mkdir(exist_ok=True)
                write_video(root / kind / f"{clip.name}.{container}", video, clip.fps)
        truths.append(truth)
        predictions.append(prediction)
    return truths, predictions


def time_stages(
    root: Path, protocols: list[str], threads: int, device: torch.device
) -> tuple[float, list[tuple[str, float, float]]]:
    """Seconds of a cold `mcbench score`; and by stage those of its main thread and of all others."""
    out = root / "stages.json"
    command = [sys.executable, str(Path(__file__).resolve()), "--inside", str(out), str(device)]
    cold = time_score(root / "first", root, protocols, threads, device, command)
    told = json.loads(out.read_text(encoding="utf-8"))
    here, others = told["main"], told["others"]
    order = ["start-up", *dict.fromkeys(stage for _, stage in SEAMS)]
    rows = [(name, here.get(name, 0.0), others.get(name, 0.0)) for name in order if name in here or name in others]
    # Python between the stages, and its end.
    rows.append(("rest", cold - sum(here.values()), 0.0))
    return cold, rows


def time_score(
    run: Path, root: Path, protocols: list[str], threads: int, device: torch.device, program: list[str]
) -> float:
    """Seconds of `mcbench score` with nothing cached, as a process of its own."""
    command = [*program, "score", str(root / "predictions"), "--truth", str(root / "truth")]
    command += ["--weights", "random@1", "--out", str(run / "run"), "--device", str(device)]
    command += [word for id in protocols for word in ("--protocol", id)]
    environment = {**os.environ, "MCBENCH_HOME": str(run / "home"), "OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    subprocess.run(command, check=True, env={**environment, STARTED: str(time.time())}, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def inside(out: Path, device: str, arguments: list[str]) -> None:
    """Be `mcbench` with the clock around every seam; what it says is left in a file."""
    from mcbench.cli.main import main as run

    clock = Clock(partial(_wait, torch.device(device)))
    for seam, stage in SEAMS:
        clock.watch(seam, stage)
    clock.main["start-up"] = time.time() - float(os.environ[STARTED])
    sys.argv = ["mcbench", *arguments]
    try:
        run()
    finally:
        out.write_text(json.dumps({"main": clock.main, "others": clock.others}), encoding="utf-8")


def time_forward_passes(
    truths: list[Any], predictions: list[Any], protocols: list[str], device: torch.device
) -> tuple[dict[str, float], dict[str, int]]:
    """Seconds in the networks, by backbone, for what the protocols need; and frames or windows that went through."""
    chosen = [get_protocol(id) for id in protocols]
    stride = min(protocol.window_stride for protocol in chosen)
    videos = [*truths, *predictions]
    seconds: dict[str, float] = {}
    passes: dict[str, int] = {}

    def timed(name: str, forward: Callable[[Any], object], batches: Iterator[Any]) -> None:
        first = True
        seconds[name], passes[name] = 0.0, 0
        for batch in batches:
            if first:  # the first pass of a network chooses its kernels
                forward(batch)
                first = False
            _wait(device)
            start = time.perf_counter()
            forward(batch)
            _wait(device)
            seconds[name] += time.perf_counter() - start
            passes[name] += len(batch) if name not in lpips else 2 * len(batch[0])

    def frames_of(network: Any) -> Iterator[torch.Tensor]:
        for video in videos:
            for part in torch.split(torch.from_numpy(video), batch_size("inception", device)):
                yield network.preprocess(part.to(device))

    def windows_of(network: Any) -> Iterator[torch.Tensor]:
        for video in videos:
            prepared = network.prepare(video)
            starts = window_starts(len(video), stride)
            step = batch_size(network.name, device)
            for first in range(0, len(starts), step):
                yield torch.stack([prepared[start : start + 16] for start in starts[first : first + step]])

    def pairs_of(network: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        step = batch_size(network.name, device)
        for truth, prediction in zip(truths, predictions, strict=True):
            for first in range(0, len(truth), step):
                truth_part, part = (torch.from_numpy(video[first : first + step]) for video in (truth, prediction))
                yield truth_part.to(device), part.to(device)

    lpips = {item.lpips_network: item.lpips_range == "signed" for item in chosen}
    with full_precision():
        network: Any = load_backbone("inception", "random@1", device)
        timed("inception", network, frames_of(network))
        for name in ("r3d50", "i3d"):
            network = load_backbone(name, "random@1", device)
            timed(name, network.features, windows_of(network))
        for name, signed in sorted(lpips.items()):
            network = load_backbone(name, "random@1", device)
            timed(name, partial(_distance, network, signed), pairs_of(network))
    return seconds, passes


def _distance(network: Any, signed: bool, pair: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    truth, prediction = (network.activations(side, signed) for side in pair)
    distances: torch.Tensor = network.distance(truth, prediction)
    return distances


def limits(bare: dict[str, float], passes: dict[str, int], device: torch.device) -> dict[str, Any]:
    """How near the bare passes come to what this machine's arithmetic and memory can do."""
    matmul, copy = matmul_rate(device), copy_rate(device)
    networks = {}
    for name, seconds in bare.items():
        if not passes[name]:  # clips shorter than a window
            continue
        flops, bytes_moved = work_of(name)
        networks[name] = {
            "passes": passes[name],
            "tflop": passes[name] * flops / 1e12,
            "of_matmul": round(passes[name] * flops / seconds / matmul, 4),
            "of_copy": round(passes[name] * bytes_moved / seconds / copy, 4),
        }
    return {"matmul_tflops": matmul / 1e12, "copy_gb_per_second": copy / 1e9, "networks": networks}


def work_of(name: str) -> tuple[int, int]:
    """Floating-point operations of one frame or window, and the least bytes that its layers read and write."""
    with torch.device("meta"):
        network = _network_class(name)().eval()
        if name == "inception":
            shape: tuple[int, ...] = (1, 3, 299, 299)
        elif name in ("vgg16", "alexnet"):
            shape = (1, 3, SIZE, SIZE)
        else:
            shape = (1, 3, 16, network.input_size, network.input_size)
        image = torch.empty(shape)
    moved = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal moved
        values = sum(tensor.numel() for tensor in (*inputs, output, *module.parameters()))
        moved += 4 * values

    # Norms are folded and ReLUs work in place: both cost nothing where they are joined with what is before them.
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            module.register_forward_hook(count)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops(), moved


def matmul_rate(device: torch.device) -> float:
    """Floating-point operations a second of a float32 matrix product, the best of five.

    On a CPU torch leaves `@` and convolutions to two libraries (MKL and oneDNN), of which one may know the processor
    better; the product is taken as a 1 x 1 convolution too, and the faster one counts.
    """
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.rand(side, side, device=device) for _ in range(2))
    image = a.T.reshape(1, side, 32, side // 32).contiguous(memory_format=torch.channels_last)
    kernels = b.T.reshape(side, side, 1, 1).contiguous(memory_format=torch.channels_last)
    with full_precision():
        seconds = min(_best(lambda: a @ b, device), _best(lambda: functional.conv2d(image, kernels), device))
        return 2 * side**3 / seconds


def copy_rate(device: torch.device) -> float:
    """Bytes a second that a copy of 256 MB reads and writes, the best of five."""
    source = torch.rand(1 << 26, device=device)
    target = torch.empty_like(source)
    return 2 * 4 * len(source) / _best(lambda: target.copy_(source), device)


def _best(work: Callable[[], object], device: torch.device) -> float:
    work()
    seconds = []
    for _ in range(5):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
    else:
        main()
