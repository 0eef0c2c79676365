"""What a run says of itself: a line of JSON, trackers, a progress bar, and pictures."""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fypv2.training.errors import TrainingError
from fypv2.training.state import write_text

__all__ = ["LOG", "RunLog", "check_trackers"]

LOG = "log.jsonl"
_MODULES = {"tensorboard": "tensorboard", "wandb": "wandb"}


def check_trackers(names: tuple[str, ...]) -> None:
    """Raise a TrainingError unless all trackers are installed; accelerate would leave them out without a word."""
    there = [str(one) for one in get_available_trackers()]
    for name in names:
        if name not in there:
            raise TrainingError(
                f"the tracker '{name}' is not installed: pip install {_MODULES.get(name, name)}, or set log_with=[]"
                f" ({', '.join(there) or 'none'} installed)"
            )


class RunLog:
    """The log of one process; only the main one writes.

    Args:
        out: the run's folder.
        accelerator: whose trackers are told, started already.
        steps: of the whole run.
        start: steps that are done; later lines of an interrupted run are removed.
    """

    def __init__(self, out: Path, accelerator: Accelerator, steps: int, start: int) -> None:
        self.out, self.accelerator, self.steps = out, accelerator, steps
        self.main = accelerator.is_main_process
        self.console = Console(stderr=True, highlight=False)
        self._values: list[torch.Tensor] = []
        self._samples, self._waited, self._since = 0, 0.0, time.perf_counter()
        self._bar: Progress | None = None
        if self.main:
            _drop_after(out / LOG, start)
            if sys.stderr.isatty():
                self._bar = Progress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    MofNCompleteColumn(),
                    TimeElapsedColumn(),
                    TimeRemainingColumn(elapsed_when_finished=True),
                    TextColumn("{task.fields[told]}"),
                    console=self.console,
                )
                self._task = self._bar.add_task("training", total=steps, completed=start, told="")

    def __enter__(self) -> RunLog:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """A line for who watches."""
        if self.main:
            self.console.print(text, soft_wrap=True, markup=False)

    @staticmethod
    def note(text: str) -> None:
        """A line from before the run begins."""
        Console(stderr=True, highlight=False).print(text, soft_wrap=True, markup=False)

    def count(self, values: torch.Tensor, samples: int, waited: float) -> None:
        """Keep what a step gave: its loss and gradient norm, its samples, and the seconds without a batch."""
        self._values.append(values)
        self._samples += samples
        self._waited += waited
        if self._bar is not None:
            self._bar.advance(self._task)

    def write(self, step: int, learning_rate: float) -> None:
        """A line of the log about all steps since the last one; all processes must call."""
        if not self._values:
            return
        mean = torch.stack(self._values).mean(dim=0)
        mean = self.accelerator.reduce(mean, "mean")
        loss, norm = (float(value) for value in mean)
        now = time.perf_counter()
        seconds = now - self._since
        line = {
            "step": step,
            "loss": loss,
            "gradient_norm": norm if math.isfinite(norm) else None,
            "learning_rate": learning_rate,
            "samples_per_second": round(self._samples / seconds, 3),
            "busy": round(1 - self._waited / seconds, 4),
            "memory_gb": round(_memory(), 3),
            "seconds": round(seconds, 3),
        }
        self._values, self._samples, self._waited, self._since = [], 0, 0.0, now
        self.accelerator.log({key: value for key, value in line.items() if value is not None and key != "step"}, step)
        if not self.main:
            return
        with (self.out / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        told = f"loss {loss:.4f}  {line['samples_per_second']:.1f} samples/s"
        if self._bar is not None:
            self._bar.update(self._task, told=told)
        else:
            self.console.print(f"step {step}/{self.steps}  {told}", soft_wrap=True, markup=False)

    def skip_time(self) -> None:
        """Forget the time since the last line, which went into something other than training."""
        self._since = time.perf_counter() if not self._values else self._since

    def picture(self, name: str, picture: npt.NDArray[np.uint8], step: int) -> None:
        """Keep a picture in `samples/` and show it to the trackers that take pictures."""
        if not self.main:
            return
        folder = self.out / "samples"
        folder.mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / f"{name}-{step:06d}.png")
        for tracker in self.accelerator.trackers:
            if tracker.name == "tensorboard":
                tracker.writer.add_image(name, picture, step, dataformats="HWC")
            elif hasattr(tracker, "log_images"):
                tracker.log_images({name: [picture]}, step=step)


def _drop_after(path: Path, step: int) -> None:
    """Remove the lines of steps that will be taken again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # torn by a kill
    write_text("".join(f"{line}\n" for line in kept), path)


def _memory() -> float:
    """Peak in GB: of the GPU where there is one, else of the process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)
