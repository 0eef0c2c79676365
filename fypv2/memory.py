"""A pipeline ready to run in the memory that there is, and a word for when there is not enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

from fypv2.checkpoint import fresh_pipeline, load_pipeline
from fypv2.config import load_config
from fypv2.errors import PipelineError, lacks_memory
from fypv2.pipeline import FollowYourPosePipeline
from fypv2.quiet import quiet

__all__ = ["check_device", "in_memory", "make_pipeline"]


def check_device(device: str) -> None:
    """Raise a PipelineError unless something can be computed on that device."""
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise PipelineError(f"device '{device}' is not on this machine; give cpu, or leave it out") from error


def make_pipeline(
    checkpoint: Path | None,
    *,
    config: str = "tiny",
    device: str = "cpu",
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    offload: Literal["none", "model", "sequential"] = "none",
    attention_slices: int = 1,
    vae_tiling: bool = False,
) -> FollowYourPosePipeline:
    """A pipeline on a device, with the switches that save memory set.

    Args:
        checkpoint: a folder; None draws fresh weights.
        config: which model to draw.
        device: where it computes.
        dtype: of the weights.
        offload: which parts wait in the computer's memory: none, each whole part (`model`), each layer (`sequential`).
        attention_slices: parts of the queries that are attended to one after the other.
        vae_tiling: whether pictures are coded in tiles.

    Raises:
        CheckpointError: as `load_pipeline`.
        PipelineError: for a device that is not there, switches that it does not have, or too little memory.
    """
    check_device(device)
    if offload != "none" and torch.device(device).type == "cpu":
        raise PipelineError(f"offload={offload} moves parts from a GPU; on the CPU leave it out")
    with in_memory("the model"), quiet():
        if checkpoint is None:
            pipeline = fresh_pipeline(load_config(config)).to(getattr(torch, dtype))
        else:
            pipeline = load_pipeline(checkpoint, dtype=getattr(torch, dtype))
        if offload == "model":
            pipeline.enable_model_cpu_offload(device=device)
        elif offload == "sequential":
            pipeline.enable_sequential_cpu_offload(device=device)
        else:
            pipeline.to(device)
    if attention_slices > 1:
        pipeline.enable_attention_slicing(attention_slices)
    if vae_tiling:
        pipeline.vae.enable_tiling()
    return pipeline


@contextmanager
def in_memory(what: str) -> Iterator[None]:
    """Turn a lack of memory into a line that names what lowers its use.

    Raises:
        PipelineError: in place of torch's and Python's own errors.
    """
    try:
        yield
    except Exception as error:
        if not lacks_memory(error):
            raise
        raise PipelineError(
            f"{what} does not fit into memory; lower it with dtype=float16, offload=model (or sequential),"
            " attention_slices=4, vae_tiling=true, a smaller window, height or width"
        ) from error
