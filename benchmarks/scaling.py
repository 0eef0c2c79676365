"""Time and peak memory of `mcbench score` against clips, frames, processes, and methods that share one truth.

    python benchmarks/scaling.py                                     # all parts, `mcbench@1`
    python benchmarks/scaling.py --part workers --repeat 3           # on an otherwise idle machine
    python benchmarks/scaling.py --part clips --clips 2 4 --json

- clips: 10, 40 and 160 clips of 16 frames. Memory is to stay within 10% from the least to the most, and below 4 GB.
- frames: one clip of 16, 64 and 256 frames.
- workers: the same clips by `--workers` 1 and 2, one thread for each process. Two are to be 1.8 times as fast; each has
  its start-up in its time, so a set of a few clips shows less.
- methods: three methods one after the other on one truth, whose features the second and third find in the cache.

Every run is a process of its own with a home of its own (methods share theirs), start-up included, on H.264 files of
512 x 512 and with `random@1`. No two frames are equal, so that no pass can be saved. Memory is the resident size of the
process and all its children together, libraries included, at its highest, and the highest of `--repeat` turns; seconds
are their median.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil  # type: ignore[import-untyped]

from mcbench import UserError, write_video
from mcbench.protocol import MCBENCH, PROTOCOLS
from mcbench.workers import processors

__all__ = ["Cost", "Scaling", "judge", "main", "run_measured", "table"]

MEMORY_SPREAD = 1.10
"""Most memory over least, whatever the number of clips."""
MEMORY_LIMIT = 4e9
"""Bytes of one process on a CPU."""
WORKERS_SPEEDUP = 1.8
"""Two workers against one, a core and a thread each."""
SIZE = 512
_LOOK_EVERY = 0.05
_FIND_CHILDREN_EVERY = 0.5

Frame = npt.NDArray[np.uint8]
Row = dict[str, Any]


@dataclass(frozen=True)
class Cost:
    """What a run took.

    Attributes:
        seconds: from its start to its end.
        peak: bytes resident in it and its children together, at their highest.
    """

    seconds: float
    peak: int


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=list(PARTS), help="repeatable; all by default")
    parser.add_argument("--protocol", choices=list(PROTOCOLS), default=MCBENCH.id)
    parser.add_argument("--clips", type=int, nargs="+", default=[10, 40, 160])
    parser.add_argument("--clip-frames", type=int, default=16, help="of each clip, but in the part frames")
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--worker-clips", type=int, default=40)
    parser.add_argument("--methods", type=int, default=3)
    parser.add_argument("--method-clips", type=int, default=10)
    parser.add_argument("--threads", type=int, default=processors(), help="of the one process; workers have one each")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeat", type=int, default=1, help="turns; median seconds and the highest memory are given")
    parser.add_argument("--out", type=Path, help="file for the JSON document")
    parser.add_argument("--json", action="store_true", help="print the JSON document in place of the table")
    options = parser.parse_args(arguments)
    try:
        report = measure(options)
    except UserError as error:
        parser.exit(2, f"scaling: error: {error}\n")
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2) if options.json else table(report))  # noqa: T201


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All parts that were asked for."""
    counts = [*options.clips, *options.frames, *options.workers, options.worker_clips, options.methods]
    if min([*counts, options.method_clips, options.clip_frames, options.repeat, options.threads]) < 1:
        raise UserError("clips, frames, workers, methods, threads and turns are counted from 1; raise the one below it")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="mcbench-scaling-") as scratch:
        scaling = Scaling(Path(scratch), options)
        turns = [[row for part in options.part or PARTS for row in PARTS[part](scaling)] for _ in range(options.repeat)]
    rows = [_median(same) for same in zip(*turns, strict=True)]
    return {
        "schema": "mcbench.scaling/1",
        "protocol": options.protocol,
        "device": options.device,
        "threads": options.threads,
        "load_before": round(load, 2),
        "turns": options.repeat,
        "rows": rows,
        "targets": judge(rows),
    }


class Scaling:
    """Clips and runs in one folder."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.options = options
        self._runs = 0

    def by_clips(self) -> Iterator[Row]:
        """One run for each number of clips."""
        for clips in self.options.clips:
            yield self._row("clips", clips, self.options.clip_frames)

    def by_frames(self) -> Iterator[Row]:
        """One clip, longer each time."""
        for frames in self.options.frames:
            yield self._row("frames", 1, frames)

    def by_workers(self) -> Iterator[Row]:
        """The same clips, shared out."""
        for workers in self.options.workers:
            # `--workers` shares the threads out among the processes.
            yield self._row(
                "workers", self.options.worker_clips, self.options.clip_frames, workers=workers, threads=workers
            )

    def by_methods(self) -> Iterator[Row]:
        """Different predictions of the same clips; the cache stays."""
        home = self._next("home")
        for method in range(self.options.methods):
            yield self._row("methods", self.options.method_clips, self.options.clip_frames, method=method, home=home)

    def _row(
        self,
        part: str,
        clips: int,
        frames: int,
        *,
        workers: int = 1,
        threads: int | None = None,
        method: int = 0,
        home: Path | None = None,
    ) -> Row:
        truth, predictions = (self._videos(side, clips, frames) for side in ("truth", f"method-{method}"))
        command = [sys.executable, "-m", "mcbench", "score", str(predictions), "--truth", str(truth)]
        command += ["--weights", "random@1", "--protocol", self.options.protocol, "--device", self.options.device]
        command += ["--workers", str(workers), "--out", str(self._next("run"))]
        environment = {
            "MCBENCH_HOME": str(home or self._next("home")),
            "OMP_NUM_THREADS": str(threads or self.options.threads),
        }
        cost = run_measured(command, environment)
        return {
            "part": part,
            "clips": clips,
            "frames": frames,
            "workers": workers,
            "method": method + 1,
            "seconds": cost.seconds,
            "peak_gb": cost.peak / 1e9,
        }

    def _next(self, kind: str) -> Path:
        self._runs += 1
        return self.folder / f"{kind}-{self._runs}"

    def _videos(self, side: str, clips: int, frames: int) -> Path:
        """A folder of just those clips; each is drawn once and then linked."""
        folder = self.folder / f"{side}-{clips}x{frames}"
        folder.mkdir(exist_ok=True)
        for clip in range(clips):
            drawn = self.folder / "drawn" / f"{side}-{clip:04d}-{frames}.mp4"
            link = folder / f"clip-{clip:04d}.mp4"
            drawn.parent.mkdir(exist_ok=True)
            if not drawn.exists():
                write_video(drawn, draw(side, clip, frames), 25)
            if not link.exists():
                link.hardlink_to(drawn)
        return folder


PARTS: Mapping[str, Callable[[Scaling], Iterator[Row]]] = {
    "clips": Scaling.by_clips,
    "frames": Scaling.by_frames,
    "workers": Scaling.by_workers,
    "methods": Scaling.by_methods,
}


def draw(side: str, clip: int, frames: int) -> Iterator[Frame]:
    """A coloured square that crosses a blocky background; every frame of every side and clip is another."""
    random = np.random.default_rng([clip, *side.encode()])
    blocks = random.integers(0, 160, (SIZE // 16, SIZE // 16, 3), np.uint8)
    background = np.kron(blocks, np.ones((16, 16, 1), np.uint8))
    colour = random.integers(160, 256, 3).astype(np.uint8)
    top = int(random.integers(0, SIZE - 96))
    for number in range(frames):
        frame = np.roll(background, number, axis=0)
        left = number * 5 % (SIZE - 96)
        frame[top : top + 96, left : left + 96] = colour
        yield frame


def run_measured(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run a command to its end.

    Args:
        command: program and arguments; nothing of it goes through a shell.
        environment: variables on top of this process's own.

    Raises:
        UserError: if it fails, with the last line that it said.
    """
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(
            list(command), env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=said
        )
        peak, family, found_at = 0, [process.pid], start
        while process.poll() is None:
            now = time.perf_counter()
            if now - found_at > _FIND_CHILDREN_EVERY:
                found_at = now
                with suppress(psutil.NoSuchProcess):
                    children = psutil.Process(process.pid).children(recursive=True)
                    family = [process.pid, *(child.pid for child in children)]
            sizes = [_resident(pid) for pid in family]
            # A process's own highest, which the system keeps, has what rose and fell between two looks.
            peak = max(peak, sum(size for size, _ in sizes), *(highest for _, highest in sizes))
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_EVERY)
        seconds = time.perf_counter() - start
        if process.returncode:
            said.seek(0)
            last = (said.read().strip().splitlines() or [f"exit {process.returncode}"])[-1]
            raise UserError(f"`{' '.join(Path(word).name for word in command[1:4])}` failed: {last}")
    return Cost(seconds, peak)


def _resident(pid: int) -> tuple[int, int]:
    """Bytes resident now, and at their highest where the system says so; zeros for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        with suppress(psutil.Error):
            size = int(psutil.Process(pid).memory_info().rss)
            return size, size
        return 0, 0
    kilobytes = {
        key: int(value.split()[0]) for key, _, value in (line.partition(":") for line in lines) if key in _SIZES
    }
    now, highest = (kilobytes.get(key, 0) * 1024 for key in _SIZES)
    return now, highest


_SIZES = ("VmRSS", "VmHWM")
"""Linux's names, proc(5)."""


def _median(same: Sequence[Row]) -> Row:
    """One row of the turns' rows; memory is the highest of them."""
    seconds = statistics.median(row["seconds"] for row in same)
    peak = max(row["peak_gb"] for row in same)
    frames = same[0]["clips"] * same[0]["frames"]
    rounded = {"seconds": round(seconds, 2), "frames_per_second": round(frames / seconds, 3), "peak_gb": round(peak, 3)}
    return same[0] | rounded


def judge(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the rows show of what is asked: name, value, target, and whether it is reached.

    Args:
        rows: of any parts, with the keys `part`, `clips`, `workers`, `method`, `seconds` and `peak_gb`.
    """
    of = {part: [row for row in rows if row["part"] == part] for part in PARTS}
    found: list[tuple[str, float, float | None, bool | None]] = []
    if len(of["clips"]) > 1:
        few, many = (pick(of["clips"], key=lambda row: row["clips"]) for pick in (min, max))
        peaks = [row["peak_gb"] for row in of["clips"]]
        spread = max(peaks) / min(peaks)
        name = f"most memory over least, {few['clips']} to {many['clips']} clips"
        found.append((name, spread, MEMORY_SPREAD, spread <= MEMORY_SPREAD))
        # What another clip takes, start-up left out.
        more = (many["seconds"] - few["seconds"]) / max(1, many["clips"] - few["clips"])
        found.append(("seconds for each further clip", more, None, None))
    single = [row["peak_gb"] for row in rows if row["workers"] == 1]
    if single:
        limit = MEMORY_LIMIT / 1e9
        found.append(("most memory of one process, GB", max(single), limit, max(single) < limit))
    alone = next((row for row in of["workers"] if row["workers"] == 1), None)
    for row in of["workers"]:
        if alone is not None and row is not alone:
            speedup = alone["seconds"] / row["seconds"]
            target = WORKERS_SPEEDUP if row["workers"] == 2 else None
            reached = None if target is None else speedup >= target
            found.append((f"{row['workers']} workers against one", speedup, target, reached))
    for row in of["methods"][1:]:
        found.append(
            (f"method {row['method']} against the first", of["methods"][0]["seconds"] / row["seconds"], None, None)
        )
    keys = ("name", "value", "target", "reached")
    return [dict(zip(keys, (name, round(value, 3), *rest), strict=True)) for name, value, *rest in found]


def table(report: Mapping[str, Any]) -> str:
    """The report as text."""
    lines = [
        f"{report['protocol']} on {report['device']}, {report['threads']} threads (workers: 1 each), "
        f"load {report['load_before']} before",
        f"{'part':10s}{'clips':>6s}{'frames':>8s}{'workers':>9s}{'method':>8s}{'seconds':>10s}{'frames/s':>10s}{'GB':>8s}",
    ]
    for row in report["rows"]:
        shape = f"{row['clips']:6d}{row['frames']:8d}{row['workers']:9d}{row['method']:8d}"
        lines.append(
            f"{row['part']:10s}{shape}{row['seconds']:10.1f}{row['frames_per_second']:10.2f}{row['peak_gb']:8.2f}"
        )
    for target in report["targets"]:
        goal = "" if target["target"] is None else f"   target {target['target']}"
        missed = " missed" if target["reached"] is False else ""
        lines.append(f"{target['name']:50s}{target['value']:8.3f}{goal}{missed}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
