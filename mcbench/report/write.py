"""A report from results: what can be shown is gathered, filmed and written; what cannot be is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mcbench.atomic import replacing_folder
from mcbench.datasets.base import Clip, FrameSource
from mcbench.errors import ResultError, UsageError
from mcbench.protocol import HIGHER_IS_BETTER
from mcbench.report.curves import worst_frames
from mcbench.report.film import Film, Tile, difference, make_film, read_poses, write_picture
from mcbench.report.pages import GENERATOR, PARTS, ShownClip, Still, write_pages
from mcbench.report.sources import ClipTrace, Run, find_predictions, find_truth, open_runs
from mcbench.report.tables import protocols_of, rank_metric

__all__ = ["MEGABYTES", "Report", "write_report"]

Frame = npt.NDArray[np.uint8]

MEGABYTES = 4.5
"""What a clip's video keeps below by default, so that a report of twenty clips fits into 100 MB."""
DEFAULT_FPS = 25.0
"""Of frames whose rate nobody knows."""
WORST = 6
"""Frames shown as each method's worst."""
WORST_OF_CLIP = 2
"""At most so many of them are of one clip, so that one bad clip does not hide the others."""


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        index: the page to open.
        methods: names of the methods, as the report has them.
        clips: number of clips.
        size: of all files, in bytes.
        missing: what is not shown and why, a sentence each.
    """

    index: Path
    methods: tuple[str, ...]
    clips: int
    size: int
    missing: tuple[str, ...]


def write_report(
    results: Sequence[Path],
    out: Path,
    *,
    truth: Path | None = None,
    megabytes: float = MEGABYTES,
    on_draw: Callable[[int, int], None] | None = None,
    on_frame: Callable[[int, int], None] | None = None,
) -> Report:
    """Write the HTML report of results of one data set.

    Args:
        results: run folders or result files, 1 to 8.
        out: the folder to make; it appears whole or not at all, and replaces only another report.
        truth: folder of the truths, where they do not lie any more where the results say.
        megabytes: what each clip's video is to keep below, in MB of 10^6 bytes.
        on_draw: told (done, total) while a synthetic data set is drawn.
        on_frame: told (done, total) of the frames that are shown.

    Raises:
        ResultError: if a result cannot be read, they are not of the same frames, or `out` holds something else.
        UsageError: for too many results, or a size that is not positive.
        VideoError: if the disk is full.
    """
    if not 0 < megabytes < 1e6:
        raise UsageError(f"{megabytes:g} megabytes for a clip; it must be more than 0")
    runs = open_runs(results)
    out = out.resolve()
    _check_place(out)
    clips, no_truth = find_truth(runs, truth, on_draw)
    predictions = [find_predictions(run) for run in runs]
    names = runs[0].clips
    wanted = _stills(runs)
    total = sum(trace.frames for name in names if (trace := _trace_of(runs, name)))
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if on_frame is not None:
            on_frame(done, total)

    with replacing_folder(out, "report", partial(_unwritable, out)) as folder:
        shown = []
        for number, name in enumerate(names, 1):
            sources = {index: found[name] for index, found in enumerate(predictions) if name in found}
            stills = [still for still in wanted if still.clip == name]
            clip = _Filming(folder, f"{number:03d}", name, runs, clips.get(name), sources, stills)
            shown.append(clip.shoot(int(megabytes * 1e6), tick))
        missing = [*([no_truth] if no_truth else []), *(f"{run.label}: {text}" for run in runs for text in run.missing)]
        write_pages(folder, runs, shown, wanted, missing)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Report(out / "index.html", tuple(run.label for run in runs), len(names), size, tuple(missing))


@dataclass(frozen=True)
class _Filming:
    """One clip's video and pictures."""

    folder: Path
    slug: str
    name: str
    runs: Sequence[Run]
    truth: Clip | None
    sources: Mapping[int, FrameSource]
    stills: Sequence[Still]

    def shoot(self, largest: int, tick: Callable[[], None]) -> ShownClip:
        """Write them."""
        trace, reference = _trace_of(self.runs, self.name), self._reference()
        tiles = self._tiles()
        film: Film | None = None
        if trace is not None and tiles:
            self._make("videos")
            frame = 0

            def keep(shown: dict[str, Frame]) -> None:
                nonlocal frame, reference
                if reference is None and trace is not None and frame == trace.reference_frame and "truth" in shown:
                    reference = shown["truth"]
                for still in self.stills:
                    if still.frame == frame:
                        self._keep(still, shown)
                frame += 1
                tick()

            path = self.folder / "videos" / f"{self.slug}.mp4"
            film = make_film(path, tiles, trace.frames, self._fps(trace), largest=largest, on_tiles=keep)
        if reference is not None:
            write_picture(self.folder / "pictures" / f"{self.slug}-reference.jpg", reference)
        return ShownClip(self.slug, self.name, film, reference is not None)

    def _make(self, name: str) -> None:
        try:
            (self.folder / name).mkdir(exist_ok=True)
        except OSError as error:
            raise ResultError(f"{self.folder / name}: cannot be made ({error.strerror or error})") from error

    def _tiles(self) -> list[Tile]:
        tiles = []
        if self.truth is not None:
            tiles.append(Tile("truth", "truth", self.truth.source.read))
            if self.truth.annotations is not None:
                tiles.append(Tile("pose", "driving pose", partial(read_poses, self.truth, self.truth.annotations)))
        return tiles + [Tile(str(run), self.runs[run].label, source.read) for run, source in self.sources.items()]

    def _fps(self, trace: ClipTrace) -> float:
        if self.truth is not None:
            return self.truth.fps
        return float(trace.prediction.get("fps") or trace.truth.get("fps") or DEFAULT_FPS)

    def _reference(self) -> Frame | None:
        """The reference image, where it is not a frame of the clip."""
        if self.truth is None or self.truth.reference_source is None:
            return None
        return next(iter(self.truth.reference_source.read()))

    def _keep(self, still: Still, shown: Mapping[str, Frame]) -> None:
        made = shown.get(str(still.run))
        true = shown.get("truth")
        if made is not None:
            write_picture(self.folder / "pictures" / still.file("made"), made)
        if true is not None:
            write_picture(self.folder / "pictures" / still.file("truth"), true)
        if made is not None and true is not None:
            write_picture(self.folder / "pictures" / still.file("difference"), difference(made, true))


def _trace_of(runs: Sequence[Run], name: str) -> ClipTrace | None:
    return next((run.traces[name] for run in runs if name in run.traces), None)


def _stills(runs: Sequence[Run]) -> list[Still]:
    """Each method's worst frames, the worst one first, under the first protocol that it was measured under."""
    slugs = {name: f"{number:03d}" for number, name in enumerate(runs[0].clips, 1)}
    stills: list[Still] = []
    for index, run in enumerate(runs):
        protocol = next((id for id in protocols_of(runs) if id in run.result.protocols), None)
        if protocol is None:
            continue
        metric = rank_metric(runs, protocol)
        higher = metric in HIGHER_IS_BETTER
        found = [
            Still(index, name, slugs[name], frame, protocol, metric, value)
            for name, trace in run.traces.items()
            if protocol in trace.curves and name in slugs
            for frame in worst_frames(trace.curves[protocol][metric], WORST_OF_CLIP, higher_is_better=higher)
            if (value := trace.curves[protocol][metric][frame]) is not None
        ]
        stills += sorted(found, key=lambda still: still.value if still.metric in HIGHER_IS_BETTER else -still.value)[
            :WORST
        ]
    return stills


def _check_place(out: Path) -> None:
    """Refuse to replace anything but a report and what belongs to it."""
    try:
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return
        text = (out / "index.html").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    if f'content="{GENERATOR}"' not in text:
        raise ResultError(f"{out}: is there and is no report; give another folder with --out")
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if (path.is_symlink() or not path.is_dir()) and not any(_is_like(name, part) for part in PARTS):
            raise ResultError(
                f"{out}: holds {name!a}, which is no part of a report and would be lost; give another folder with --out"
            )


def _is_like(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")


def _unwritable(out: Path, error: OSError) -> ResultError:
    return ResultError(f"{out}: cannot be written ({error.strerror or error}); free space, or give another --out")
