"""What the extractors' networks cost, frame by frame: the larger part of `fypv2 preprocess` on footage.

    python benchmarks/extractors.py --threads 1             # flow and depth on a CPU, random weights
    python benchmarks/extractors.py --device cuda --poses   # and DWPose with its published weights

Flow (RAFT, 12 updates) and depth (Depth Anything V2 Small) do the same arithmetic with any weights, so they are timed
with random ones, by the product's own classes. DWPose's networks are ONNX files, which hold network and weights
together; they are timed with `--poses` alone, which fetches what is published. Its pose network runs once for each
person that its detector finds, so it wants footage of people (`--video`).

Each extractor is timed alone, after one frame that does not count; the median over the turns is given.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fypv2.extractors import DepthAnything, DWPose, ExtractorError, RaftFlow
from fypv2.extractors.base import Frame
from fypv2.quiet import quiet
from mcbench import UserError, open_frames, to_square
from mcbench.provenance import device_name

__all__ = ["main", "seconds_per_frame"]

Extract = Callable[[Sequence[Frame]], object]
"""Goes through all the frames."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="side of the square frames, in pixels")
    parser.add_argument("--frames", type=int, default=4, help="of one turn")
    parser.add_argument("--repeat", type=int, default=3, help="turns; the median is given")
    parser.add_argument("--video", type=Path, help="footage to take the frames from; noise in its place otherwise")
    parser.add_argument("--poses", action="store_true", help="DWPose too, with its published weights")
    parser.add_argument("--threads", type=int, help="of torch on a CPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="print the JSON document in place of the table")
    options = parser.parse_args(arguments)
    if min(options.size, options.frames, options.repeat, options.threads or 1) < 1:
        parser.error("size, frames, turns and threads are counted from 1; raise the one below it")
    if options.poses and not options.video:
        parser.error("--poses needs people to look at; give footage with --video")
    try:
        report = measure(options)
    except (ExtractorError, UserError) as error:
        parser.exit(2, f"extractors: error: {error}\n")
    print(json.dumps(report, indent=2) if options.json else table(report))  # noqa: T201


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a frame, by extractor."""
    before = torch.get_num_threads()
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        frames = pictures(options.video, options.size, options.frames)
        with tempfile.TemporaryDirectory(prefix="mcbench-extractors-") as scratch:
            seconds = {
                name: seconds_per_frame(extract, frames, options.repeat, options.device)
                for name, extract in extractors(Path(scratch), options)
            }
        return {
            "machine": device_name(options.device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "size": options.size,
            "frames": options.frames,
            "turns": options.repeat,
            "seconds_per_frame": seconds,
        }
    finally:
        torch.set_num_threads(before)


def pictures(video: Path | None, size: int, count: int) -> list[Frame]:
    """As many square frames of a video, begun again where it is too short, or of noise."""
    if video is None:
        noise = np.random.default_rng(0)
        return [noise.integers(0, 256, (size, size, 3), np.uint8) for _ in range(count)]
    return [to_square(frame, size) for frame in islice(cycle(open_frames(video).read()), count)]


def extractors(scratch: Path, options: argparse.Namespace) -> Iterator[tuple[str, Extract]]:
    """Each network as the product runs it, by its name in the report."""
    flow = random_flow(scratch / "raft.pth", options.device)
    # The first frame has no motion; one more in front, and as many are estimated as are counted.
    yield "flow", lambda frames: [None for _ in flow.flows([frames[-1], *frames])]
    depth = random_depth(scratch / "depth", options.device)
    yield "depth", lambda frames: [depth.nearness(frame) for frame in frames]
    if options.poses:
        poses = DWPose(device=options.device)
        yield "poses", lambda frames: [poses.people(frame) for frame in frames]


def random_flow(path: Path, device: str) -> RaftFlow:
    """RAFT as torchvision makes it."""
    from torchvision.models.optical_flow import raft_large

    torch.manual_seed(0)
    torch.save(raft_large().state_dict(), path)
    return RaftFlow(weights=path, device=device)


def random_depth(folder: Path, device: str) -> DepthAnything:
    """The network and the resize that the published config.json and preprocessor_config.json of V2 Small describe."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    backbone = Dinov2Config(
        hidden_size=384,
        num_attention_heads=6,
        image_size=518,
        patch_size=14,
        out_features=["stage3", "stage6", "stage9", "stage12"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=384,
        neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64,
        head_hidden_size=32,
        patch_size=14,
    )
    torch.manual_seed(0)
    with quiet():
        DepthAnythingForDepthEstimation(config).save_pretrained(folder)
        DPTImageProcessor(
            size={"height": 518, "width": 518}, keep_aspect_ratio=True, ensure_multiple_of=14
        ).save_pretrained(folder)
        return DepthAnything(folder, device=device)


def seconds_per_frame(extract: Extract, frames: Sequence[Frame], repeat: int, device: str) -> float:
    """Median over the turns.

    Args:
        extract: goes through frames and gives its answers on the host.
        frames: of one turn; before the first turn one is extracted that does not count.
        repeat: turns.
        device: waited for at the end of each turn.
    """
    extract(frames[:1])
    turns = []
    for _ in range(repeat):
        start = time.perf_counter()
        extract(frames)
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        turns.append((time.perf_counter() - start) / len(frames))
    return statistics.median(turns)


def table(report: dict[str, Any]) -> str:
    """One row for each network, and their sum."""
    seconds = report["seconds_per_frame"]
    lines = [f"{report['machine']}, frames of {report['size']} x {report['size']}", ""]
    lines.append(f"{'network':8s} {'ms a frame':>12s} {'frames/s':>10s}")
    rows = {**seconds, "together": sum(seconds.values())}
    lines += [f"{name:8s} {1000 * value:12.1f} {1 / value:10.2f}" for name, value in rows.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
