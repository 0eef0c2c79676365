"""`mcbench eval`: let a method animate a data set, and measure what it returns."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mcbench.cli.console import ProgressReporter, drawing, stdout_to_stderr
from mcbench.cli.engine import check_engine, runs_elsewhere, say
from mcbench.cli.options import (
    AddressOption,
    DebugOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    OutOption,
    ProtocolOption,
    SplitOption,
    WeightsOption,
    WorkersOption,
    parse_protocols,
    parse_settings,
    parse_weights,
)
from mcbench.cli.show import show_result
from mcbench.workers import with_workers

NAME = "eval"
EXAMPLES = """Examples:

$ mcbench eval --method copy-reference

$ mcbench eval --method copy-reference --clips 2 --frames 16

$ mcbench eval --method truth --frames 16 --protocol mcbench@1 --workers 2"""


def run(
    method: Annotated[
        str,
        typer.Option(
            "--method", help="One of `mcbench methods`; command:'PROGRAM …' runs one of your own.", metavar="NAME"
        ),
    ],
    dataset: Annotated[str, typer.Option("--dataset", help="What to measure it on.", metavar="D")] = "synthetic-mini",
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="Weights of the method, where it takes any.", metavar="PATH"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the method; repeatable.", metavar="KEY=VALUE"),
    ] = None,
    out: OutOption = None,
    clips: Annotated[int | None, typer.Option("--clips", help="Only the first N clips.", metavar="N")] = None,
    frames: Annotated[
        int | None,
        typer.Option("--frames", help="Only the first N frames of each clip.", metavar="N"),
    ] = None,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 1,
    engine: EngineOption = "local",
    address: AddressOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the method's random choices.", metavar="N")] = 0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Let a method animate every clip of a data set, and measure what it returns."""
    check_engine(engine, workers, address)
    protocols, chosen, settings = parse_protocols(protocol), parse_weights(weights), parse_settings(set_)
    if runs_elsewhere(engine, workers, address, out or Path("runs"), device):
        return
    with stdout_to_stderr(), with_workers(workers, sys.argv[1:], say), ProgressReporter() as reporter:
        from mcbench.datasets import load_dataset
        from mcbench.evaluation import evaluate, resolve_device
        from mcbench.methods import load_method

        device = resolve_device(device)
        made = load_method(method, settings=settings, checkpoint=checkpoint, device=device)
        with drawing(dataset) as on_frame:
            loaded = load_dataset(dataset, clips=clips, frames=frames, on_frame=on_frame, split=split)
        out = out or Path("runs") / f"{made.id}-{dataset}"
        result = evaluate(
            made, loaded, protocols=protocols, weights=chosen, out=out, device=device, seed=seed, reporter=reporter
        )
    if result is not None:
        show_result(result, out / "result.json", as_json=json)
