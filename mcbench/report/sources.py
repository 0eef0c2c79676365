"""What can still be reached of some results: their measurements, their frames, and the truth.

A report is made of what is there. What is not there is told in one sentence each, with what to do about it, and
frames are only shown where they are, byte for byte or pixel for pixel, the ones that were measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from mcbench.aggregate import pairwise_frames
from mcbench.compare.evidence import PAIRWISE, is_behind
from mcbench.datasets import load_dataset, open_truth
from mcbench.datasets.base import Clip, Dataset, FrameSource
from mcbench.datasets.found import clip_name
from mcbench.datasets.manifest import check_comparable, frames_digest
from mcbench.errors import ResultError, UsageError, UserError
from mcbench.measurement import Measurement, read_measurement
from mcbench.protocol import PROTOCOLS
from mcbench.results import Result, read_result
from mcbench.video import find_clips, open_frames

__all__ = ["MOST_RUNS", "ClipTrace", "Run", "find_predictions", "find_truth", "open_runs"]

MOST_RUNS = 8
"""Methods side by side: more have no colours that can be told apart, and no room."""

Values = list[float | None]


@dataclass(frozen=True)
class ClipTrace:
    """What the measurement of one clip says, frame by frame.

    Attributes:
        slot: name of its measurement and of its folder of frames; a second case of a clip has a name of its own.
        frames: number of frames.
        reference_frame: index of the frame that the method was given, None where it was an image of its own.
        curves: protocol id to metric to one value a frame; None where a frame does not count.
        truth, prediction: digests, container, size and rate of what was measured, as in a measurement.
    """

    slot: str
    frames: int
    reference_frame: int | None
    curves: dict[str, dict[str, Values]]
    truth: dict[str, Any]
    prediction: dict[str, Any]


@dataclass
class Run:
    """One result and what is left of its run.

    Attributes:
        label: what it is called in the report; unique, and starred where the method was shown the truth.
        result: the result.
        folder: its run folder; holds nothing but the result where that was copied elsewhere.
        about: what `run.json` says, empty where there is none.
        traces: by clip.
        missing: what is not there, a sentence each.
    """

    label: str
    result: Result
    folder: Path
    about: dict[str, Any]
    traces: dict[str, ClipTrace] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def clips(self) -> list[str]:
        """Names of the clips in the order in which they were measured."""
        return list(next(iter(self.result.protocols.values())).clips) if self.result.protocols else []


def open_runs(paths: Sequence[Path]) -> list[Run]:
    """Read results and their measurements.

    Args:
        paths: run folders or result files, one to `MOST_RUNS`.

    Raises:
        UsageError: for none, or too many.
        ResultError: if one cannot be read, or they are not of the same frames.
    """
    if not 1 <= len(paths) <= MOST_RUNS:
        raise UsageError(f"{len(paths)} results; a report holds 1 to {MOST_RUNS}, choose among them")
    results = [read_result(path) for path in paths]
    for result, path in zip(results[1:], paths[1:], strict=True):
        try:
            check_comparable(results[0].dataset, result.dataset)
        except ResultError as error:
            raise ResultError(f"{paths[0]} and {path}: {error}") from None
    runs = []
    for label, result, path in zip(_labels(results), results, paths, strict=True):
        folder = path if path.is_dir() else path.parent
        run = Run(label=label, result=result, folder=folder, about=_about(folder))
        _read_traces(run)
        runs.append(run)
    return runs


def find_truth(
    runs: Sequence[Run], folder: Path | None, on_frame: Callable[[int, int], None] | None = None
) -> tuple[dict[str, Clip], str | None]:
    """The true clips that were measured.

    Args:
        runs: of one data set.
        folder: of truths, where the user says where they lie now.
        on_frame: told (done, total) while a synthetic data set is drawn.

    Returns:
        Clip by name, only those whose frames are the measured ones; and what is missing, in one sentence, or None.
    """
    traces = {name: trace for run in reversed(runs) for name, trace in run.traces.items()}
    about = runs[0].result.dataset
    if not traces:
        return {}, None  # that the measurements are gone is told for each run
    remedy = "give the folder of the truths with --truth DIR"
    try:
        if folder is not None:
            dataset = open_truth(folder)
        elif about.name == "custom":
            known = next((place for run in runs if (place := _place(run, "truth"))), None)
            if known is None:
                return {}, f"Where the truths lie is not written down; {remedy}."
            dataset = open_truth(known)
        else:
            dataset = _load(about.name, about.version, len(runs[0].clips), traces, on_frame)
    except (UserError, OSError) as error:
        return {}, f"The truth is not at hand ({_told(error)}); {remedy}."
    if dataset.name != "custom" and dataset.version != about.version:
        return {}, f"The truth here is of version {dataset.version}, the results are of {about.version}; {remedy}."
    there = {clip.name: clip for clip in dataset.clips}
    found, gone, changed = {}, [], []
    for name, trace in traces.items():
        clip = there.get(name)
        if clip is None:
            gone.append(name)
        elif _is_measured(clip.source, trace.frames, trace.truth):
            found[name] = clip
        else:
            changed.append(name)
    faults = [_count(gone, "no truth"), _count(changed, "other frames in the truth than were measured")]
    told = "; ".join(fault for fault in faults if fault)
    return found, f"{told}; {remedy}." if told else None


def find_predictions(run: Run) -> dict[str, FrameSource]:
    """The measured frames of a run, by clip; what is gone or changed is added to `run.missing`."""
    if not run.traces:
        return {}
    brought = _place(run, "predictions")
    if run.about.get("kind") == "score" and brought is not None:
        place, slots = brought, {name: name for name in run.traces}
    else:
        place, slots = run.folder / "predictions", {name: trace.slot for name, trace in run.traces.items()}
    try:
        named = find_clips(place)
    except UserError as error:
        run.missing.append(f"The frames are not at hand ({_told(error)}).")
        return {}
    there = {clip_name(name): path for name, path in named.items()} | named
    found: dict[str, FrameSource] = {}
    gone, changed = [], []
    for name, trace in run.traces.items():
        path = there.get(slots[name])
        if path is None:
            gone.append(name)
            continue
        try:
            source = open_frames(path)
            same = _is_measured(source, trace.frames, trace.prediction)
        except UserError:
            same = False
        if same:
            found[name] = source
        else:
            changed.append(name)
    for fault in (_count(gone, "no frames any more"), _count(changed, "other frames now than were measured")):
        if fault:
            run.missing.append(f"{fault} in {place}.")
    return found


def _labels(results: Sequence[Result]) -> list[str]:
    names = [result.method.name + ("*" if result.method.needs_truth else "") for result in results]
    return [
        f"{name} ({names[:index].count(name) + 1})" if names.count(name) > 1 else name
        for index, name in enumerate(names)
    ]


def _about(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _place(run: Run, key: str) -> Path | None:
    """A path that `run.json` names; None where it names none that can be one."""
    value = run.about.get(key)
    return Path(value) if isinstance(value, str) and value and "\0" not in value else None


def _read_traces(run: Run) -> None:
    shelf = run.folder / "measurements"
    files = sorted(shelf.glob("*.safetensors")) if shelf.is_dir() else []
    clips, other, unreadable = set(run.clips), False, False
    for file in files:
        measurement = read_measurement(file)
        if measurement is None:
            unreadable = True
            continue
        if measurement.clip not in clips:
            continue
        trace = _trace(run.result, measurement, file.name.removesuffix(".safetensors"))
        if trace is None:
            other = True
        else:
            run.traces[measurement.clip] = trace
    absent = [name for name in run.clips if name not in run.traces]
    what = "measurements of another run" if other else "no measurement"
    if unreadable and not other:
        what = "measurements that are damaged or of another version of mcbench"
    if fault := _count(absent, what, of=len(run.clips)):
        run.missing.append(
            f"{fault} in {shelf}, so that there are no curves and no frames; the command that made the result makes"
            " them again."
        )


def _trace(result: Result, item: Measurement, slot: str) -> ClipTrace | None:
    """The frames' values, or None for a measurement that the result was not made of."""
    if not is_behind(item, result):
        return None
    curves: dict[str, dict[str, Values]] = {}
    for id in (id for id in result.protocols if id in PROTOCOLS):
        for name in PAIRWISE:
            row: Values = [float(value) for value in pairwise_frames(name, PROTOCOLS[id], item)]
            if len(row) < item.frames:
                row.insert(item.reference_frame or 0, None)
            curves.setdefault(id, {})[name] = row
    return ClipTrace(slot, item.frames, item.reference_frame, curves, item.truth, item.prediction)


def _load(
    name: str,
    version: str,
    clips: int,
    traces: dict[str, ClipTrace],
    on_frame: Callable[[int, int], None] | None,
) -> Dataset:
    split = version.partition("/")[2] or None  # the version of an imported data set names its split
    frames = max(trace.frames for trace in traces.values())
    return load_dataset(name, clips=clips, frames=frames, on_frame=on_frame, split=split)


def _is_measured(source: FrameSource, frames: int, about: dict[str, Any]) -> bool:
    """Whether a source's first frames are those that were measured: by their files, else by their pixels."""
    try:
        if source.frames < frames:
            return False
        if source.digest() == about["files"]:
            return True
        return frames_digest(islice(source.read(), frames)) == str(about["frames"])
    except UserError:
        return False


def _count(names: Sequence[str], what: str, of: int | None = None) -> str:
    if not names:
        return ""
    if of == len(names):
        return f"There are {what}" if what.startswith("measurements") else f"There is {what}"
    listed = ", ".join(f"'{name}'" for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{listed}: {what}"


def _told(error: Exception) -> str:
    return " ".join(str(error).split())
