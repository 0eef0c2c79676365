"""What a training step costs beside its bare arithmetic.

Bare is one forward and backward of both U-Nets and the guiders on one ready batch that is used again and again: nothing
is read, drawn, encoded, clipped, averaged or logged, and no weight is changed. The run is `fypv2 train`'s own loop over
data on disk. Both take turns in one process, with the same weights, threads, batch and type, so that a machine that
slows down slows both.

    fypv2 preprocess synthetic --clips 32 --frames 48 --size 128 --seed 0 -o DATA
    python benchmarks/training.py --data DATA --config tiny-stage1
    python benchmarks/training.py --data DATA --config paper-stage1 --set start=fresh    # on a GPU
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from fypv2.training.config import TrainConfig, load_train_config
from fypv2.training.data import batches, numbers_of
from fypv2.training.loop import Trainer
from fypv2.training.setup import make_accelerator
from fypv2.training.shards import open_shards


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--config", default="tiny-stage1")
    arguments.add_argument("--set", action="append", default=["start=fresh"], metavar="KEY=VALUE")
    arguments.add_argument("--steps", type=int, default=12, help="of each kind, in each round")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, nargs="+", default=[torch.get_num_threads()])
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        config = load_train_config(options.config, options.set, data=options.data, out=folder, log_with=())
        total = (options.steps + 2) * (options.rounds + 1) * len(options.threads) + 1
        config = config.model_copy(update={"steps": total})
        accelerator = make_accelerator(config)
        trainer = Trainer(config, accelerator, open_shards(Path(options.data)), Path(folder))
        for threads in options.threads:
            torch.set_num_threads(threads)
            rows.append({"threads": threads, **measure(trainer, config, options.steps, options.rounds)})
    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    if options.json:
        print(json.dumps({"config": options.config, "machine": machine, "rows": rows}, indent=2))  # noqa: T201
        return
    table = Table(title=f"{options.config} on {machine}, frames a second")
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def measure(trainer: Trainer, config: TrainConfig, steps: int, rounds: int) -> dict[str, Any]:
    """Frames a second of both, the best of the rounds, their ratio round by round, and the waiting for batches."""
    ready = batches(trainer.samples, 0)
    passes = len(numbers_of(0, config, 0, 1))
    held = [next(ready) for _ in range(passes)]
    bare_batches = [trainer.before(one, trainer.accelerator.device, trainer.model.guiders) for one in held]
    frames = steps * config.batch * config.frames
    bare_rates, run_rates, ratios, waits = [], [], [], []
    for turn in range(rounds + 1):
        bare = timed(lambda: bare_steps(trainer, bare_batches, steps))
        # The queue is full when the clock starts, so that as many batches are made in the time as are used.
        for batch in drain(ready, passes * 2):
            del batch
        waited = [0.0]
        whole = timed(lambda: whole_steps(trainer, ready, steps, waited))  # noqa: B023
        if turn:  # the first one warms up
            bare_rates.append(frames / bare)
            run_rates.append(frames / whole)
            ratios.append(bare / whole)
            waits.append(waited[0] / whole)
    return {
        "bare": round(max(bare_rates), 1),
        "training": round(max(run_rates), 1),
        "ratio": round(sorted(ratios)[len(ratios) // 2], 3),
        "busy": round(1 - sorted(waits)[len(waits) // 2], 3),
    }


def bare_steps(trainer: Trainer, ready: list[Any], steps: int) -> None:
    """Forward and backward on the same batches."""
    for _ in range(steps):
        for batch in ready:
            trainer.accelerator.backward(trainer.module(batch) / len(ready))
        for parameter in trainer.learning.values():
            parameter.grad = None


def whole_steps(trainer: Trainer, ready: Iterator[Any], steps: int, waited: list[float]) -> None:
    """The loop's own steps."""
    for step in range(steps):
        loss, norm, seconds = trainer.advance(ready, step)
        trainer.agree(loss, norm, step)
        waited[0] += seconds


def drain(ready: Iterator[Any], count: int) -> Iterator[Any]:
    """Take some batches that were made before the clock."""
    for _ in range(count):
        yield next(ready)


def timed(run: Any) -> float:
    """Seconds."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    begun = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
