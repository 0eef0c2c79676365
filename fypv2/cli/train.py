"""`fypv2 train`: the VAE, stage 1 and stage 2."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["EXAMPLES", "NAME", "run"]

NAME = "train"
EXAMPLES = """Examples:

$ fypv2 train tiny-stage1 --data shards --out runs/tiny-1 --set start=runs/tiny-vae/model

$ fypv2 train paper-stage1 --data shards --out runs/paper-1 --set start=starts/paper --set steps=60000

$ accelerate launch --num_processes 8 -m fypv2.cli train paper-stage2 --data shards --out runs/paper-2 \\
    --set start=runs/paper-1/model --set batch=8"""


def run(
    config: Annotated[
        str, typer.Argument(help="A training config: a name as tiny-stage1, or a .yaml file.", metavar="CONFIG")
    ],
    data: Annotated[Path | None, typer.Option("--data", help="Folder of `fypv2 preprocess`.", metavar="DIR")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the run: checkpoints, model, logs, samples.", metavar="DIR"),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any value of the config, as steps=1000; repeat for several.", metavar="KEY=VALUE"),
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--fresh",
            help="Go on from the last checkpoint, or start anew; default: go on where there is one.",
            show_default=False,
            metavar="",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", metavar="")] = False,
) -> int:
    """Train; the same command takes an interrupted run up."""
    from fypv2.training.config import load_train_config

    plan = load_train_config(
        config, settings or (), data=None if data is None else str(data), out=None if out is None else str(out)
    )

    from fypv2.training.loop import train

    return 0 if train(plan, resume=resume) else 128 + signal.SIGTERM
