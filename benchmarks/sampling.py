"""What a clip of the reference model costs beside a bare AnimateDiff pipeline of the same size.

Both run in one process, with the same random weights, frames, steps, guidance and type. The reference bank, the guiders
and ReferenceNet are the difference.

    python benchmarks/sampling.py --config paper --dtype bfloat16 --device cuda   # 16 frames of 512 x 512, 50 steps
    python benchmarks/sampling.py --config tiny                                   # on a CPU
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from diffusers import AnimateDiffPipeline, MotionAdapter

from fypv2.checkpoint import fresh_pipeline
from fypv2.conditions import Poses
from fypv2.config import ModelConfig, load_config
from fypv2.model.build import build_scheduler
from fypv2.pipeline import FollowYourPosePipeline
from fypv2.quiet import quiet


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--config", default="tiny")
    arguments.add_argument("--frames", type=int, default=16)
    arguments.add_argument("--steps", type=int)
    arguments.add_argument("--height", type=int)
    arguments.add_argument("--width", type=int)
    arguments.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--repeat", type=int, default=3)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    config = load_config(options.config)
    steps = options.steps or config.sampling.steps
    height, width = options.height or config.sampling.height, options.width or config.sampling.width

    with quiet():
        ours = fresh_pipeline(config).to(options.device, getattr(torch, options.dtype))
        bare = bare_pipeline(config, ours)
    ours.set_progress_bar_config(disable=True)
    bare.set_progress_bar_config(disable=True)
    how = {"num_inference_steps": steps, "height": height, "width": width, "guidance_scale": config.sampling.guidance}
    reference, poses = made_up(options.frames, height, width)
    token = torch.randn(1, 1, config.unet["cross_attention_dim"]).to(options.device, ours.unet.dtype)

    def run_ours() -> None:
        ours(reference, poses, poses.frame(0), generator=torch.Generator().manual_seed(0), **how)

    def run_bare() -> None:
        bare(
            prompt_embeds=token,
            negative_prompt_embeds=torch.zeros_like(token),
            num_frames=options.frames,
            generator=torch.Generator().manual_seed(0),
            **how,
        )

    report = {
        "machine": torch.cuda.get_device_name() if options.device.startswith("cuda") else "cpu",
        "threads": torch.get_num_threads(),
        "config": config.name,
        "frames": options.frames,
        "size": [height, width],
        "steps": steps,
        "dtype": options.dtype,
        # Turn by turn, so that a machine that slows down slows both.
        **timed({"bare": run_bare, "ours": run_ours}, options.repeat, options.device),
    }
    report["ratio"] = round(report["ours_seconds"] / report["bare_seconds"], 3)
    if options.json:
        print(json.dumps(report, indent=2))  # noqa: T201
        return
    for key, value in report.items():
        print(f"  {key:14s} {value}")  # noqa: T201


def bare_pipeline(config: ModelConfig, ours: FollowYourPosePipeline) -> AnimateDiffPipeline:
    """diffusers' AnimateDiff with the same U-Net, VAE and schedule, and a ready token in the place of a text."""
    unet = type(ours.unet).from_config(ours.unet.config).to(ours.unet.device, ours.unet.dtype)
    return AnimateDiffPipeline(
        vae=ours.vae,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        motion_adapter=MotionAdapter(**config.motion),
        scheduler=build_scheduler(config),
    )


def made_up(frames: int, height: int, width: int) -> tuple[np.ndarray, Poses]:
    """A noise picture and two characters of scattered joints that drift."""
    random = np.random.default_rng(0)
    body = random.uniform(0.1, 0.8, (1, 2, 18, 2)) * (width, height)
    body = (body + np.arange(frames)[:, None, None, None]).astype(np.float32)
    poses = Poses(body, np.ones((frames, 2, 18), np.float32), (height, width))
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8), poses


def timed(runs: dict[str, Callable[[], None]], repeat: int, device: str) -> dict[str, float]:
    """Least seconds of each run, and the peak of memory in GB."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    peaks: dict[str, float] = {}
    on_gpu = device.startswith("cuda")
    for turn in range(repeat + 1):
        for name, run in runs.items():
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
                torch.cuda.synchronize()
            start = time.perf_counter()
            run()
            if on_gpu:
                torch.cuda.synchronize()
                peaks[f"{name}_peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
            if turn:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
    if not on_gpu:
        peaks["process_peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
    return {**{f"{name}_seconds": round(min(values), 2) for name, values in seconds.items()}, **peaks}


if __name__ == "__main__":
    main()
