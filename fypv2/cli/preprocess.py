"""`fypv2 preprocess`: footage to training data."""

from __future__ import annotations

import json as json_module
import re
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mcbench import run_on_ray, this_worker

if TYPE_CHECKING:
    from fypv2.preprocess.runner import Job

__all__ = ["EXAMPLES", "NAME", "run"]

NAME = "preprocess"
EXAMPLES = """Examples:

$ fypv2 preprocess synthetic --clips 4 --frames 16 --size 64 -o data/drawn

$ fypv2 preprocess videos --size 640x896 -o data/own

$ fypv2 preprocess videos --poses openpose --flow none --depth none -o data/poses-only

$ fypv2 preprocess -o data/drawn --verify"""

_DRAWN = "synthetic"
_SIDES = (64, 4096)
_DRAWN_ONLY = ("clips", "frames", "seed", "cameras")
_NONE = "none"
_SHOWN = 10


class Flow(str, Enum):
    """Networks that estimate motion."""

    raft_large = "raft_large"
    raft_small = "raft_small"
    none = "none"


class Engine(str, Enum):
    """Where the workers run."""

    local = "local"
    ray = "ray"


class CamerasName(str, Enum):
    """What drawn cameras do."""

    mixed = "mixed"
    shaken = "shaken"
    still = "still"


class FrameFormatName(str, Enum):
    """How frames are kept."""

    png = "png"
    jpg = "jpg"


def run(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the training data.", metavar="DATA")],
    videos: Annotated[
        list[str] | None,
        typer.Argument(help="Folders of videos, videos, or the word `synthetic`.", metavar="VIDEOS"),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size", help="Side, or WIDTHxHEIGHT: a centred crop, resized. Default 512; synthetic 128.", metavar="SIZE"
        ),
    ] = None,
    keep_aspect: Annotated[
        bool, typer.Option("--keep-aspect", help="No crop: --size is the shorter side.", metavar="")
    ] = False,
    fps: Annotated[
        float | None,
        typer.Option("--fps", help="Keep every n-th frame to come near this rate. Default 25.", metavar="FPS"),
    ] = None,
    source_fps: Annotated[
        float | None,
        typer.Option("--source-fps", help="Rate of footage that does not say it. Default 25.", metavar="FPS"),
    ] = None,
    min_frames: Annotated[
        int | None, typer.Option("--min-frames", help="Leave shorter scenes out. Default 16.", metavar="N", min=1)
    ] = None,
    max_frames: Annotated[
        int | None, typer.Option("--max-frames", help="Divide longer scenes. Default 128.", metavar="N", min=1)
    ] = None,
    min_people: Annotated[
        int | None, typer.Option("--min-people", help="Leave scenes with fewer out. Default 1.", metavar="N", min=1)
    ] = None,
    max_people: Annotated[
        int | None, typer.Option("--max-people", help="Leave scenes with more out. Default 8.", metavar="N", min=1)
    ] = None,
    poses: Annotated[
        Path | None, typer.Option("--poses", help="Folder of pose files, instead of DWPose.", metavar="DIR")
    ] = None,
    flow: Annotated[Flow | None, typer.Option("--flow", help="What estimates motion. Default raft_large.")] = None,
    depth: Annotated[
        str | None,
        typer.Option(
            "--depth",
            help="A depth model: folder or name on the hub; or none. Default Depth Anything V2.",
            metavar="MODEL",
        ),
    ] = None,
    map_scale: Annotated[
        int | None,
        typer.Option("--map-scale", help="Keep flow and depth 1, 2 or 4 times coarser. Default 4.", metavar="N"),
    ] = None,
    frame_format: Annotated[
        FrameFormatName | None, typer.Option("--frame-format", help="Lossless png, or jpg of quality 95. Default jpg.")
    ] = None,
    clips: Annotated[
        int | None, typer.Option("--clips", help="Synthetic: how many. Default 1000.", metavar="N", min=1)
    ] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", help="Synthetic: frames of each. Default 48.", metavar="N", min=1)
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Synthetic: of the stream of clips. Default 0.", metavar="N")
    ] = None,
    cameras: Annotated[
        CamerasName | None, typer.Option("--cameras", help="Synthetic: mixed shakes every other one; the default.")
    ] = None,
    per_shard: Annotated[
        int, typer.Option("--per-shard", help="Videos, or synthetic clips, of one shard.", metavar="N", min=1)
    ] = 16,
    workers: Annotated[
        int, typer.Option("--workers", help="Processes that share the work.", metavar="N", min=1, max=1024)
    ] = 1,
    engine: Annotated[
        Engine, typer.Option("--engine", help="Where the workers run: on this machine, or on a Ray cluster.")
    ] = Engine.local,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", help="HOST:PORT of a Ray cluster, or auto. Default one of this machine.", metavar="ADDRESS"
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 …", metavar="DEVICE")] = "auto",
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.", metavar="")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only compare the digests of what was made.", metavar="")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.", metavar="")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", metavar="")] = False,
) -> int:
    """Cut videos into clips with poses, motion and depth, and write them as shards to train on.

    A run that stopped is taken up by the same command; any number of machines may run it in one shared folder.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    if verify:
        return _verify(out, as_json=json)
    if address is not None and engine is not Engine.ray:
        raise typer.BadParameter("--address: of a Ray cluster; give --engine ray too")
    if not videos:
        raise typer.BadParameter("name folders of videos, videos, or the word synthetic")

    from fypv2.preprocess.runner import preprocess

    job = _drawn(given) if videos == [_DRAWN] else _footage([Path(video) for video in videos], given)
    if engine is Engine.ray and this_worker().parent is None:
        _run_on_ray(out, workers, address, device)
        return 0
    with _Bar(out) as bar:
        manifest = preprocess(job, out, workers, bar)
    if manifest is not None:
        _show(manifest, out, as_json=json)
    return 0


def _run_on_ray(out: Path, workers: int, address: str | None, device: str) -> None:
    if this_worker().count > 1:
        raise typer.BadParameter("--engine ray starts all workers itself; run it once, not by torchrun or srun")
    errors = Console(stderr=True, highlight=False)
    with _Bar(out) as bar:
        printed = run_on_ray(
            "fypv2",
            sys.argv[1:],
            workers=workers,
            folder=out,
            address=address,
            device=device,
            on_progress=bar.set,
            say=lambda line: errors.print(line, soft_wrap=True, markup=False),
        )
    sys.stdout.write(printed)


def _drawn(given: dict[str, Any]) -> Job:
    from fypv2.preprocess.drawn import DrawnJob

    allowed = {*_DRAWN_ONLY, "size", "videos", "out", "per_shard", "workers", "engine", "address", "device", "offline",
               "verify", "json", "debug", "keep_aspect"}  # fmt: skip
    _refuse(set(given) - allowed | ({"keep_aspect"} if given["keep_aspect"] else set()), "synthetic clips take no")
    size = _size(given.get("size", "128"), step=1)
    if size[0] != size[1]:
        raise typer.BadParameter("--size: synthetic clips are square; give one number")
    return DrawnJob(
        clips=given.get("clips", 1000),
        frames=given.get("frames", 48),
        size=size[0],
        seed=given.get("seed", 0),
        clips_per_shard=given["per_shard"],
        cameras=given.get("cameras", CamerasName.mixed).value,
    )


def _footage(places: list[Path], given: dict[str, Any]) -> Job:
    from fypv2.extractors.depth_anything import DEFAULT_MODEL
    from fypv2.preprocess.cutting import CutSettings
    from fypv2.preprocess.footage import FootageJob
    from fypv2.preprocess.probing import find_videos
    from fypv2.training.members import MAP_SCALES

    _refuse(set(given) & set(_DRAWN_ONLY), "only synthetic clips take")
    size = _size(given.get("size", "512"), step=8)
    if given["keep_aspect"] and size[0] != size[1]:
        raise typer.BadParameter("--size: with --keep-aspect it is the shorter side; give one number")
    rates = [given.get(name, 25.0) for name in ("fps", "source_fps")]
    if not all(0 < rate <= 1000 for rate in rates):
        raise typer.BadParameter("--fps and --source-fps: give more than 0 and at most 1000 frames a second")
    ranges = {"frames": (given.get("min_frames", 16), given.get("max_frames", 128), 10_000),
              "people": (given.get("min_people", 1), given.get("max_people", 8), 100)}  # fmt: skip
    for what, (least, most, limit) in ranges.items():
        if not least <= most <= limit:
            raise typer.BadParameter(f"--min-{what} {least} and --max-{what} {most}: give a range within 1 to {limit}")
    if given.get("map_scale", 4) not in MAP_SCALES:
        raise typer.BadParameter("--map-scale: give 1, 2 or 4")
    folder = given.get("poses")
    if folder is not None and not folder.is_dir():
        raise typer.BadParameter(f"--poses: {folder} is no folder; it holds a file or folder of poses for each video")
    flow = given.get("flow", Flow.raft_large)
    depth = given.get("depth", DEFAULT_MODEL)
    return FootageJob(
        videos=find_videos(places),
        cutting=CutSettings(
            size=size,
            keep_aspect=given["keep_aspect"],
            fps=rates[0],
            assumed_fps=rates[1],
            min_frames=ranges["frames"][0],
            max_frames=ranges["frames"][1],
        ),
        poses=folder,
        flow=None if flow is Flow.none else flow.value,
        depth=None if depth == _NONE else depth,
        frame_format=given.get("frame_format", FrameFormatName.jpg).value,
        map_scale=given.get("map_scale", 4),
        min_people=ranges["people"][0],
        max_people=ranges["people"][1],
        videos_per_shard=given["per_shard"],
        device=given["device"],
        offline=given["offline"] or None,
    )


def _refuse(names: set[str], what: str) -> None:
    if names:
        raise typer.BadParameter(f"{what} --{min(names).replace('_', '-')}; leave it out")


def _size(text: str, step: int) -> tuple[int, int]:
    """Height and width."""
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    sides = [] if match is None else [int(match[2] or match[1]), int(match[1])]
    if not sides or any(side % step or not _SIDES[0] <= side <= _SIDES[1] for side in sides):
        multiples = f", multiples of {step}" if step > 1 else ""
        raise typer.BadParameter(
            f"--size {text}: give pixels as 512 or 640x896 (width x height), {_SIDES[0]} to {_SIDES[1]}{multiples}"
        )
    return sides[0], sides[1]


def _verify(out: Path, *, as_json: bool) -> int:
    from fypv2.training.shards import open_shards

    faults = open_shards(out).verify()
    if as_json:
        _print_json({"ok": not faults, "faults": faults})
    else:
        for line in faults or [f"{out}: every byte is as it was written"]:
            sys.stdout.write(line + "\n")
    return 1 if faults else 0


def _show(manifest: dict[str, Any], out: Path, *, as_json: bool) -> None:
    from fypv2.training.clips import ShardError

    bad, left_out, totals = manifest["bad_videos"], manifest["frames_left_out"], manifest["totals"]
    if not totals["clips"]:
        example = f"{bad[0]['video']}: {bad[0]['reason']}" if bad else "no videos"
        raise ShardError(f"{out}: no clip came out of it ({example}); see bad_videos in its manifest.json")
    if as_json:
        _print_json({"folder": str(out), **totals, "frames_left_out": left_out, "bad_videos": bad})
        return
    sys.stdout.write(
        f"{out}: {totals['clips']} clips, {totals['frames']} frames, {totals['bytes'] / 1e6:.1f} MB in"
        f" {len(manifest['shards'])} shards\n"
    )
    for reason, count in left_out.items():
        sys.stdout.write(f"left out: {count} frames, {reason}\n")
    errors = Console(stderr=True, highlight=False)
    for row in bad[:_SHOWN]:
        kept = f" ({row['clips']} clips before it are kept)" if row["clips"] else ""
        errors.print(
            f"fypv2: warning: {row['video']}: {row['reason']}{kept}", style="yellow", soft_wrap=True, markup=False
        )
    if len(bad) > _SHOWN:
        errors.print(f"fypv2: warning: {len(bad) - _SHOWN} more bad videos; see manifest.json", style="yellow")


class _Bar:
    """Units that are done, on stderr, where that is a terminal."""

    def __init__(self, out: Path) -> None:
        console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("shards"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._name = out.name
        self._task: TaskID | None = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._progress.stop()

    def start(self, total: int, done: int) -> None:
        self._progress.start()
        self._task = self._progress.add_task(f"making {self._name}", total=total, completed=done)

    def set(self, done: int, total: int, _: str) -> None:
        """So many are done, whoever did them; in place of `start` and `advance`."""
        if self._task is None:
            self.start(total, done)
        else:
            self._progress.update(self._task, completed=done)

    def advance(self) -> None:
        if self._task is not None:
            self._progress.advance(self._task)


def _print_json(document: Any) -> None:
    sys.stdout.write(json_module.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
