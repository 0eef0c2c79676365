"""What a run stands on: processes and devices, the optimiser, the learning rate, and the folder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from filelock import FileLock, Timeout
from torch import nn

from fypv2.training.config import TrainConfig
from fypv2.training.errors import TrainingError
from fypv2.training.logs import check_trackers

__all__ = ["learning_rate", "make_accelerator", "make_optimiser", "open_run"]


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Processes, devices and precision, as `accelerate launch` or torchrun set them up; one process without these.

    Raises:
        TrainingError: for a batch that does not divide, a tracker that is missing, or a precision that the device
            lacks.
    """
    check_trackers(config.log_with)
    plugin = None
    if config.fsdp:
        plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2,
            auto_wrap_policy="transformer_based_wrap",
            transformer_cls_names_to_wrap=["BasicTransformerBlock", "ResnetBlock2D"],
            cpu_ram_efficient_loading=False,
        )
    try:
        accelerator = Accelerator(
            mixed_precision=config.mixed_precision,
            log_with=list(config.log_with) or None,
            project_dir=str(Path(str(config.out)).expanduser() / "logs"),
            fsdp_plugin=plugin,
        )
    except (ValueError, RuntimeError, ImportError) as error:
        raise TrainingError(f"accelerate cannot start ({' '.join(str(error).split())})") from error
    world = accelerator.num_processes
    if config.batch % world or (config.batch // world) % (config.micro_batch or 1):
        raise TrainingError(
            f"a batch of {config.batch} does not divide into {world} processes with passes of"
            f" {config.micro_batch or config.batch}; set batch or micro_batch"
        )
    if config.fsdp and world == 1:
        raise TrainingError("fsdp shards over processes, and there is one; use accelerate launch, or set fsdp=false")
    if config.fsdp and accelerator.distributed_type != DistributedType.FSDP:
        raise TrainingError(f"fsdp does not work with {accelerator.distributed_type.value} here; set fsdp=false")
    return accelerator


def make_optimiser(config: TrainConfig, parameters: Iterable[nn.Parameter], device: torch.device) -> Any:
    """AdamW over what learns.

    Raises:
        TrainingError: where 8 bits were asked for and cannot be had.
    """
    how: dict[str, Any] = {"lr": config.learning_rate, "betas": config.betas, "weight_decay": config.weight_decay}
    if config.optimiser == "adamw-8bit":
        if device.type != "cuda" or config.fsdp:
            raise TrainingError("adamw-8bit needs a CUDA device, and no fsdp; set optimiser=adamw")
        try:
            import bitsandbytes
        except ImportError:
            raise TrainingError(
                "adamw-8bit needs bitsandbytes: pip install bitsandbytes, or set optimiser=adamw"
            ) from None
        return bitsandbytes.optim.AdamW8bit(parameters, **how)
    # One kernel for all parameters of a type; sharded tensors have no such kernel on every device.
    return torch.optim.AdamW(parameters, **how, fused=None if config.fsdp else True)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Of an optimiser step, counted from 0."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return config.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


@contextmanager
def open_run(out: Path, accelerator: Accelerator) -> Iterator[None]:
    """The run's folder, for this run alone.

    Raises:
        TrainingError: if another run is in it, or it cannot be made.
    """
    if not accelerator.is_main_process:
        accelerator.wait_for_everyone()
        yield
        return
    lock = FileLock(out / ".lock", timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise TrainingError(f"{out}: another run is training here; wait for its end, or name another --out") from None
    except OSError as error:
        raise TrainingError(f"{out}: cannot be made ({error.strerror or error})") from error
    try:
        accelerator.wait_for_everyone()
        yield
    finally:
        lock.release()
