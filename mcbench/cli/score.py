"""`mcbench score`: measure predictions that were made elsewhere."""

from __future__ import annotations

import sys
from os.path import realpath
from pathlib import Path
from typing import Annotated

import typer

from mcbench.cli.console import ProgressReporter, drawing
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
    parse_weights,
)
from mcbench.cli.show import show_result
from mcbench.errors import UsageError
from mcbench.workers import with_workers

NAME = "score"
EXAMPLES = """Examples:

$ mcbench score predictions --dataset synthetic-mini

$ mcbench score predictions --truth truth --weights random@1 --json"""


def run(
    predictions: Annotated[Path, typer.Argument(help="Folder of <clip>/*.png or <clip>.mp4.", metavar="PREDICTIONS")],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="The data set that was animated.", metavar="D"),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="Or a folder of truths, laid out as the predictions.", metavar="DIR"),
    ] = None,
    split: SplitOption = None,
    protocol: ProtocolOption = None,
    weights: WeightsOption = None,
    out: OutOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = 1,
    engine: EngineOption = "local",
    address: AddressOption = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure predictions that were made elsewhere against a data set or a folder of truths."""
    check_engine(engine, workers, address)
    if (dataset is None) == (truth is None):
        raise UsageError("give either --dataset NAME or --truth DIR, so that there is one truth to measure against")
    protocols, chosen = parse_protocols(protocol), parse_weights(weights)
    if runs_elsewhere(engine, workers, address, out or Path("runs"), device):
        return
    with with_workers(workers, sys.argv[1:], say), ProgressReporter() as reporter:
        from mcbench.datasets import load_dataset, open_truth
        from mcbench.evaluation import score

        if truth is not None:
            loaded = open_truth(truth)
        else:
            with drawing(dataset or "") as on_frame:
                loaded = load_dataset(dataset or "", on_frame=on_frame, split=split)
        out = out or Path("runs") / f"{Path(realpath(predictions)).name}-{loaded.name}"
        result = score(
            predictions, loaded, protocols=protocols, weights=chosen, out=out, device=device, reporter=reporter
        )
    if result is not None:
        show_result(result, out / "result.json", as_json=json)
