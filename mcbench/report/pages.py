"""The pages: what the templates are given, and the files beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcbench import __version__
from mcbench.compare.evidence import PAIRWISE
from mcbench.errors import ResultError
from mcbench.leaderboard.wording import format_value, plain
from mcbench.protocol import HIGHER_IS_BETTER, LABELS, PROTOCOLS, heading
from mcbench.report.curves import HEIGHT, MARGIN, WIDTH, Chart, make_chart, worst_frames
from mcbench.report.film import DIFFERENCE_GAIN, Film
from mcbench.report.sources import Run
from mcbench.report.tables import clip_table, protocols_of, rank_metric, remarks, summary_table
from mcbench.web import SHARED_FILES, SHARED_FOLDER, environment

__all__ = ["GENERATOR", "PARTS", "ShownClip", "Still", "write_pages"]

GENERATOR = "mcbench report"
FOLDER = Path(__file__).resolve().parent
OWN_FILES = ("report.css", "viewer.js", "keys.js")
PARTS = (
    *("index.html", *SHARED_FILES, *OWN_FILES),
    *("clips/[0-9]*.html", "pictures/[0-9]*.jpg", "results/[0-9]*.json", "videos/[0-9]*.mp4"),
)
"""Patterns of all files of a report, by their paths."""
WORST_LISTED = 5
"""Frames listed as each method's worst on a clip's page."""


@dataclass(frozen=True)
class Still:
    """One of a method's worst frames.

    Attributes:
        run: index of the method.
        clip, slug: name of the clip, and of its files.
        frame: index.
        protocol, metric, value: by what it is among the worst.
    """

    run: int
    clip: str
    slug: str
    frame: int
    protocol: str
    metric: str
    value: float

    def file(self, kind: str) -> str:
        """File name of a picture: `made`, `truth` or `difference`. The truth's is one for all methods."""
        middle = "" if kind == "truth" else f"-{self.run}"
        return f"{self.slug}-{self.frame:05d}{middle}-{kind}.jpg"


@dataclass(frozen=True)
class ShownClip:
    """A clip and what there is to see of it.

    Attributes:
        slug: of its files.
        name: its name.
        film: its video, None where no frame is left.
        reference: whether there is a picture of its reference image.
    """

    slug: str
    name: str
    film: Film | None
    reference: bool


def write_pages(
    folder: Path, runs: Sequence[Run], clips: Sequence[ShownClip], stills: Sequence[Still], missing: Sequence[str]
) -> None:
    """Write all pages and the files they need into a folder that holds `videos` and `pictures` already.

    Raises:
        ResultError: if the disk is full or the place cannot be written to.
    """
    templates = environment(FOLDER / "templates")
    templates.filters["plain"] = plain
    templates.globals["metric"] = format_value
    shared = {
        "generator": GENERATOR,
        "version": __version__,
        "runs": runs,
        "facts": [_facts(run) for run in runs],
        "dataset": runs[0].result.dataset,
        "missing": missing,
        "gain": DIFFERENCE_GAIN,
        "labels": {name: heading(name) for name in PAIRWISE},
        "names": LABELS,
    }
    protocols = protocols_of(runs)
    try:
        (folder / "clips").mkdir(exist_ok=True)
        (folder / "results").mkdir(exist_ok=True)
        for name in SHARED_FILES:
            shutil.copyfile(SHARED_FOLDER / name, folder / name)
        for name in OWN_FILES:
            shutil.copyfile(FOLDER / name, folder / name)
        for index, run in enumerate(runs, 1):
            (folder / "results" / f"{index}.json").write_text(run.result.to_json(), encoding="utf-8")
        page = templates.get_template("index.html")
        there = {file.name for file in (folder / "pictures").glob("*.jpg")}
        text = page.render(
            **shared,
            root="",
            clips=clips,
            slugs={clip.name: clip.slug for clip in clips},
            parts=[_part(runs, protocol) for protocol in protocols],
            stills=stills,
            pictures=there,
        )
        (folder / "index.html").write_text(text, encoding="utf-8")
        page = templates.get_template("clip.html")
        for place, clip in enumerate(clips):
            clip_parts = _clip_parts(runs, clip, protocols)
            text = page.render(
                **shared,
                root="../",
                clip=clip,
                place=place + 1,
                of=len(clips),
                before=clips[place - 1] if place else None,
                after=clips[place + 1] if place + 1 < len(clips) else None,
                parts=clip_parts,
                document=_document(runs, clip, clip_parts),
                width=WIDTH,
                height=HEIGHT,
            )
            (folder / "clips" / f"{clip.slug}.html").write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResultError(f"{folder}: cannot be written ({error.strerror or error}); free space there") from error


def _facts(run: Run) -> list[tuple[str, str]]:
    """How a result came about, as pairs of what and what it is."""
    method, origin, frames = run.result.method, run.result.provenance, run.result.predictions
    commit = (origin.git_commit or "")[:12] + (" with uncommitted changes" if origin.git_dirty else "")
    facts = {
        "Version": method.version,
        "Checkpoint": method.checkpoint_sha256,
        "Settings": json.dumps(method.settings, ensure_ascii=False) if method.settings else None,
        "Its own frames": method.native.told() if method.native else None,
        "Frames": f"{frames.container}, {_size(frames.size)}, digest {frames.digest[:12]}",
        "Converted": "; ".join(frames.conversions) or None,
        "Command": origin.command,
        "Seed": str(origin.seed),
        "Device": origin.device,
        "mcbench": f"{origin.mcbench}{f', commit {commit}' if commit else ''}",
        "Run": f"{origin.start}, {origin.seconds:.0f} s",
        "Libraries": ", ".join(f"{name} {version}" for name, version in origin.libraries.items()),
    }
    return [(name, value) for name, value in facts.items() if value]


def _format(protocol: str, metric: str) -> dict[str, Any]:
    """How `format_value` writes a metric, for a script: times `scale`, with so many `digits`, then `tail`."""
    text = format_value(protocol, metric, 0.0)
    number, mark, exponent = text.partition("E")
    return {"scale": 10.0 ** -int(exponent or 0), "digits": len(number.partition(".")[2]), "tail": mark + exponent}


def _size(size: tuple[int, int] | None) -> str:
    return f"{size[1]} x {size[0]}" if size else "of several sizes"


def _part(runs: Sequence[Run], protocol: str) -> dict[str, Any]:
    return {
        "protocol": protocol,
        "summary": PROTOCOLS[protocol].summary if protocol in PROTOCOLS else "",
        "table": summary_table(runs, protocol),
        "clips": clip_table(runs, protocol),
        "rank": rank_metric(runs, protocol),
        "remarks": remarks(runs, protocol),
        "unverified": _unverified(runs, protocol),
    }


def _unverified(runs: Sequence[Run], protocol: str) -> list[str]:
    """Kinds of weights that are not the published ones."""
    kinds = {
        metric.weights
        for run in runs
        if protocol in run.result.protocols
        for metric in run.result.protocols[protocol].metrics.values()
    }
    return sorted(kind for kind in kinds if kind not in (None, "published"))


def _clip_parts(runs: Sequence[Run], clip: ShownClip, protocols: Sequence[str]) -> list[dict[str, Any]]:
    """What a clip's page says under each protocol; the charts are numbered through the page."""
    parts, charts = [], 0
    for protocol in protocols:
        drawn = _charts(runs, clip.name, protocol)
        parts.append(
            {
                "protocol": protocol,
                "summary": PROTOCOLS[protocol].summary if protocol in PROTOCOLS else "",
                "table": clip_table(runs, protocol, clip.name),
                "rank": rank_metric(runs, protocol),
                "worst": _worst(runs, clip.name, protocol),
                "charts": [
                    {"id": place, "metric": name, "kind": kind, "chart": chart}
                    for place, (name, kind, chart) in enumerate(drawn, charts)
                ],
            }
        )
        charts += len(drawn)
    return parts


def _worst(runs: Sequence[Run], clip: str, protocol: str) -> list[tuple[int, list[tuple[int, float | None]]]]:
    """For each run its worst frames of a clip and their values."""
    rank, found = rank_metric(runs, protocol), []
    for index, run in enumerate(runs):
        trace = run.traces.get(clip)
        values = trace.curves.get(protocol, {}).get(rank, []) if trace else []
        frames = worst_frames(values, WORST_LISTED, higher_is_better=rank in HIGHER_IS_BETTER)
        if frames:
            found.append((index, [(frame, values[frame]) for frame in frames]))
    return found


def _charts(runs: Sequence[Run], clip: str, protocol: str) -> list[tuple[str, str, Chart]]:
    """Metric, kind of weights and chart; LPIPS of other weights has a chart of its own."""
    charts = []
    for name in PAIRWISE:
        groups: dict[tuple[str | None, str | None], list[int]] = {}
        for index, run in enumerate(runs):
            trace = run.traces.get(clip)
            if trace is not None and protocol in trace.curves:
                metric = run.result.protocols[protocol].metrics[name]
                groups.setdefault((metric.weights, metric.weights_sha256), []).append(index)
        for (kind, _), members in groups.items():
            chart = make_chart([(index, runs[index].traces[clip].curves[protocol][name]) for index in members])
            if chart is not None:
                charts.append((name, kind or "", chart))
    return charts


def _document(runs: Sequence[Run], clip: ShownClip, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the viewer reads; the names in it are used as text alone."""
    film = clip.film
    frames = next((run.traces[clip.name].frames for run in runs if clip.name in run.traces), 0)
    tiles = []
    for place, key in enumerate(film.tiles if film else ()):
        left, top = film.layout.place(place) if film else (0, 0)
        tiles.append({"key": key, "left": left, "top": top})
    return {
        "frames": frames,
        "rate": [film.rate.numerator, film.rate.denominator] if film else None,
        "side": film.layout.side if film else None,
        "tiles": tiles,
        "gain": DIFFERENCE_GAIN,
        "width": WIDTH,
        "height": HEIGHT,
        "margin": MARGIN,
        "charts": [
            {
                "format": _format(part["protocol"], item["metric"]),
                "lines": {str(line.run): line.values for line in item["chart"].lines},
            }
            for part in parts
            for item in part["charts"]
        ],
    }
