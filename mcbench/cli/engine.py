"""Where the workers of a run are: on this machine, or on a cluster."""

from __future__ import annotations

import sys
from pathlib import Path

from mcbench.cli.console import ProgressReporter, errors
from mcbench.errors import UsageError, nearest
from mcbench.workers import this_worker

__all__ = ["check_engine", "runs_elsewhere", "say"]

ENGINES = ("local", "ray")


def check_engine(engine: str, workers: int, address: str | None) -> None:
    """Refuse what there is not, and what does not go together."""
    if engine not in ENGINES:
        raise UsageError(f"no engine is called '{engine}'{nearest(engine, ENGINES)}; there are {' and '.join(ENGINES)}")
    if workers < 1:
        raise UsageError(f"--workers {workers}: at least 1")
    if address is not None and engine != "ray":
        raise UsageError(f"--address {address}: the address of a Ray cluster; give --engine ray too")
    here = this_worker()
    if engine == "ray" and here.parent is None and here.count > 1:
        raise UsageError("--engine ray starts all workers itself; run it once, not by torchrun, srun or a job array")


def runs_elsewhere(engine: str, workers: int, address: str | None, folder: Path, device: str) -> bool:
    """Let a cluster do the whole command, and print what it says; False where this process is to do it.

    Args:
        engine, workers, address, device: as given on the command line.
        folder: where the workers write.
    """
    if engine != "ray" or this_worker().parent is not None:
        return False
    from mcbench.engines import run_on_ray

    with ProgressReporter() as reporter:
        printed = run_on_ray(
            "mcbench",
            sys.argv[1:],
            workers=workers,
            folder=folder,
            address=address,
            device=device,
            on_progress=reporter.set,
            say=say,
        )
    sys.stdout.write(printed)
    return True


def say(line: str) -> None:
    """Print a line of what befalls workers to stderr."""
    errors.print(line, style="yellow" if ": warning: " in line else None, soft_wrap=True, markup=False)
