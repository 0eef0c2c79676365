"""Runs of a few steps with a network of a few thousand parameters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from small_models import mini_config

from fypv2.preprocess.drawn import DrawnJob
from fypv2.preprocess.runner import preprocess
from fypv2.training.config import TrainConfig, load_train_config
from fypv2.training.loop import train

CLIPS, FRAMES, SIDE = 4, 10, 64


def draw_shards(folder: Path) -> Path:
    preprocess(DrawnJob(seed=0, clips=CLIPS, frames=FRAMES, size=SIDE, clips_per_shard=CLIPS), folder)
    return folder


def mini_model(folder: Path) -> Path:
    """The small model of the tests as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mini.yaml"
    path.write_text(yaml.safe_dump(mini_config().model_dump(mode="json")), encoding="utf-8")
    return path


def plan(folder: Path, shards: Path, **changes: Any) -> dict[str, Any]:
    """A run of single frames that logs every step and starts no process."""
    return {
        "stage": 1,
        "model": str(mini_model(folder)),
        "data": str(shards),
        "out": str(folder / "run"),
        "steps": 6,
        "batch": 2,
        "frames": 2,
        "learning_rate": 1e-3,
        "ema": 0.9,
        "workers": 0,
        "log_every": 1,
        "save_every": 3,
        "sample_every": None,
        "log_with": [],
        "channels_last": True,
        "cache_latents": True,
        **changes,
    }


def configured(folder: Path, shards: Path, **changes: Any) -> TrainConfig:
    return TrainConfig.model_validate(plan(folder, shards, **changes))


def run(folder: Path, shards: Path, *, resume: bool | None = None, **changes: Any) -> list[dict[str, Any]]:
    """Train, and return the log."""
    train(configured(folder, shards, **changes), resume=resume)
    return log_of(folder)


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]


def losses(lines: list[dict[str, Any]]) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in lines}


def write_config(folder: Path, shards: Path, **changes: Any) -> Path:
    path = folder / "train.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(plan(folder, shards, **changes)), encoding="utf-8")
    load_train_config(path)
    return path


def started(config: Path, *, processes: int = 1) -> subprocess.Popen[str]:
    """A run in processes of its own, as a user starts it."""
    command = [sys.executable, "-m", "fypv2.cli", "train", str(config)]
    if processes > 1:
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        command = [sys.executable, *launch, "-m", "fypv2.cli", "train", str(config)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def killed_after(
    config: Path, folder: Path, lines: int, kind: int = signal.SIGKILL, *, processes: int = 1
) -> subprocess.Popen[str]:
    """A run that is sent a signal once its log has that many lines.

    One process gets it with all that it started, as from a terminal or Slurm; of more than one the launcher gets it.
    """
    process = started(config, processes=processes)
    log = folder / "run" / "log.jsonl"
    while process.poll() is None:
        if log.exists() and log.read_text().count("\n") >= lines:
            (os.killpg if processes == 1 else os.kill)(process.pid, kind)
            break
    process.wait(timeout=300)
    return process
