"""All clips: generate, measure, aggregate.

A run takes up where it stopped, and any number of processes may share it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from typing import Protocol as TypingProtocol

import torch

from mcbench import __version__
from mcbench.aggregate import apply_protocols
from mcbench.allocator import give_back_freed_memory
from mcbench.backbones import BACKBONES
from mcbench.cases import Case, make_case
from mcbench.datasets import load_dataset
from mcbench.datasets.base import Clip, Dataset, FrameSource
from mcbench.datasets.found import clip_name
from mcbench.datasets.manifest import fingerprint
from mcbench.errors import PredictionError, ResultError, UsageError, nearest
from mcbench.features import FeatureCache, Networks
from mcbench.home import home_folder
from mcbench.measure import check_prediction, measure_clip
from mcbench.measurement import Measurement, Plan, read_measurement
from mcbench.methods import Method, checked_frames, load_method, settings_document
from mcbench.protocol import PROTOCOLS, Protocol
from mcbench.provenance import command_line, device_name, git_state, library_versions
from mcbench.results import DatasetInfo, MethodInfo, PredictionsInfo, Provenance, Result, write_result
from mcbench.run_folder import RunFolder
from mcbench.video import find_clips, open_frames, write_frames
from mcbench.workers import Worker, this_worker

__all__ = ["Reporter", "evaluate", "resolve_device", "resolve_weights", "score"]

SYNTHETIC_PREFIX = "synthetic"


class _Predict(TypingProtocol):
    def __call__(self, clip: Clip, *, wait: bool) -> tuple[FrameSource, str] | None:
        """Frames of a claimed clip and its slot; None if others make them just now and are not to be waited for."""


class Reporter(TypingProtocol):
    """What a run tells while it goes on; the command line draws it, a library call may leave it out."""

    def start(self, total: int) -> None:
        """The number of frame pairs of the run is known."""

    def advance(self, frames: int, what: str) -> None:
        """So many frame pairs are done; `what` is being done now."""

    def warn(self, text: str) -> None:
        """Something that a reader of the result should know."""


class _Generator:
    """Lets a method make the frames of a clip; gone through, it gives the cases of this process that have none yet."""

    def __init__(self, method: Method, run: RunFolder, dataset: Dataset, seed: int) -> None:
        self._method, self._run, self._seed = method, run, seed
        worker = this_worker()
        after = replace(worker, index=worker.index + 1)
        self._share = dataset.clips[worker.turn(len(dataset.clips)) : after.turn(len(dataset.clips))]
        self._done: set[str] = set()

    def __call__(self, clip: Clip, *, wait: bool) -> tuple[FrameSource, str] | None:
        """The frames of a claimed clip and its slot; None if others work on it and are not to be waited for."""
        case, slot = self._case(clip)
        folder = self._run.prediction(slot)
        if not folder.is_dir():
            if not wait and self._run.is_worked_on(slot):
                return None
            write_frames(folder, checked_frames(self._method, case))
        self._done.add(clip.name)
        return open_frames(folder, clip.fps), slot

    def __iter__(self) -> Iterator[Case]:
        for clip in self._share:
            if clip.name in self._done:
                continue
            with self._run.claim(clip.name, wait=False) as mine:
                if not mine:
                    continue
                case, slot = self._case(clip)
                if self._run.prediction(slot).is_dir():
                    self._done.add(clip.name)
                    continue
            yield case

    def _case(self, clip: Clip) -> tuple[Case, str]:
        method = self._method
        case = make_case(clip, self._seed, with_truth=method.needs_truth, with_driving_video=method.needs_driving_video)
        slot = self._run.slot(clip.name, method.case_digest(case))
        return replace(case, folder=self._run.work(slot)), slot


class _Silent:
    def start(self, total: int) -> None: ...

    def advance(self, frames: int, what: str) -> None: ...

    def warn(self, text: str) -> None: ...


def evaluate(
    method: str | Method,
    dataset: str | Dataset = "synthetic-mini",
    *,
    protocols: Sequence[Protocol] = tuple(PROTOCOLS.values()),
    weights: str | Mapping[str, str] | None = None,
    out: Path | None = None,
    device: str = "auto",
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Result | None:
    """Let a method animate every clip of a data set, and measure what it returns.

    Args:
        method: a registered name, or a Method.
        dataset: a name, or a Dataset.
        protocols: what to measure.
        weights: see `resolve_weights`.
        out: the run folder; `runs/<method>-<dataset>` by default. A run that stopped is taken up there.
        device: `cpu`, `cuda`, `cuda:1` …, or `auto`.
        seed: of the method's random choices.
        reporter: told how it goes.

    Returns:
        The result, which is also in `<out>/result.json`; None in a worker process other than the first.

    Raises:
        UserError: for everything that the caller can mend.
    """
    started = time.monotonic(), datetime.now(timezone.utc)
    device = resolve_device(device)
    if isinstance(method, str):
        method = load_method(method, device=device)
    if isinstance(dataset, str):
        dataset = load_dataset(dataset)
    native = method.native
    run = RunFolder(out or Path("runs") / f"{method.id}-{dataset.name}")
    run.identify(
        {
            "kind": "eval",
            "method": method.id,
            "version": method.version,
            "settings": {
                key: value for key, value in settings_document(method).items() if key not in method.incidental
            },
            "checkpoint": method.checkpoint_sha256,
            "dataset": dataset.name,
            "dataset version": dataset.version,
            "seed": seed,
            **({"commit": native.commit, "uncommitted changes": method.uncommitted} if native else {}),
        }
    )
    about = MethodInfo(
        name=method.id,
        version=method.version,
        checkpoint_sha256=method.checkpoint_sha256,
        settings=settings_document(method),
        needs_truth=method.needs_truth,
        native=native,
        note=method.note,
    )
    generate = _Generator(method, run, dataset, seed)
    method.expect(generate)
    return _run(run, dataset, generate, about, protocols, weights, device, seed, started, reporter or _Silent())


def score(
    predictions: Path | str,
    dataset: str | Dataset,
    *,
    protocols: Sequence[Protocol] = tuple(PROTOCOLS.values()),
    weights: str | Mapping[str, str] | None = None,
    out: Path | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Result | None:
    """Measure predictions that were made elsewhere.

    Args:
        predictions: a folder of `<clip>/*.png` or `<clip>.mp4`, one for each clip of the data set.
        dataset: a name, or a Dataset (`mcbench.datasets.open_truth` makes one from a folder).
        protocols, weights, out, device, reporter: as in `evaluate`.

    Returns:
        As `evaluate`.

    Raises:
        PredictionError: if clips are missing or their counts differ; before anything is measured.
        UserError: for everything else that the caller can mend.
    """
    started = time.monotonic(), datetime.now(timezone.utc)
    predictions = Path(predictions)
    reporter = reporter or _Silent()
    if isinstance(dataset, str):
        dataset = load_dataset(dataset)
    named = find_clips(predictions)
    # Data sets whose own names are no file names (TED-talks: `abc#000000#000100`) are known by tamer ones.
    found = {clip_name(name): path for name, path in named.items()} | named
    wanted = {clip.name: clip for clip in dataset.clips}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise PredictionError(
            f"{predictions}: {len(missing)} of {len(wanted)} clips are missing: {_listed(missing)}"
            f"{nearest(missing[0], set(found) - set(wanted))}; every clip of the data set needs its prediction"
        )
    used = {found[name] for name in wanted}
    if extra := [name for name, path in named.items() if path not in used]:
        reporter.warn(f"{predictions}: not in the data set, left out: {_listed(extra)}")
    sources = {name: open_frames(found[name]) for name in wanted}
    for name, source in sources.items():
        check_prediction(wanted[name], source, str(found[name]))

    name = predictions.resolve().name
    run = RunFolder(out or Path("runs") / f"{name}-{dataset.name}")
    run.identify(
        {
            "kind": "score",
            "predictions": str(predictions.resolve()),
            "truth": str(dataset.folder.resolve()) if dataset.folder else None,
            "dataset": dataset.name,
            "dataset version": dataset.version,
        }
    )
    about = MethodInfo(name=_method_id(name))
    device = resolve_device(device)

    def find(clip: Clip, *, wait: bool) -> tuple[FrameSource, str]:
        return sources[clip.name], clip.name

    return _run(run, dataset, find, about, protocols, weights, device, 0, started, reporter)


def resolve_weights(weights: str | Mapping[str, str] | None, dataset: Dataset) -> dict[str, str]:
    """A choice for every backbone.

    Args:
        weights: one choice for all (`published`, `random@1`), or backbone name to choice or path; what is not named
            takes the default: `random@1` for the synthetic data sets, `published` for all others.

    Raises:
        UsageError: for an unknown backbone.
    """
    default = "random@1" if dataset.name.startswith(SYNTHETIC_PREFIX) else "published"
    if weights is None or isinstance(weights, str):
        return dict.fromkeys(BACKBONES, weights or default)
    for name in weights:
        if name not in BACKBONES:
            raise UsageError(
                f"no backbone is called '{name}'{nearest(name, BACKBONES)}; there are {', '.join(BACKBONES)}"
            )
    return {name: weights.get(name, default) for name in BACKBONES}


def resolve_device(device: str) -> str:
    """`auto` is the GPU of this worker where there is one.

    Raises:
        UsageError: for a device that is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device)
    except RuntimeError:
        raise UsageError(f"no device is called '{device}'; use cpu, cuda or cuda:0") from None
    if kind.type == "cpu":
        return "cpu"
    if kind.type != "cuda":
        raise UsageError(f"device '{device}' is not supported; use cpu or cuda")
    if not torch.cuda.is_available():
        raise UsageError(f"device '{device}': no CUDA GPU is usable here; use --device cpu")
    count = torch.cuda.device_count()
    index = kind.index if kind.index is not None else this_worker().local_index % count
    if index >= count:
        raise UsageError(f"device '{device}': there are {count} GPUs, counted from 0")
    return f"cuda:{index}"


def _run(
    run: RunFolder,
    dataset: Dataset,
    predict: _Predict,
    about: MethodInfo,
    protocols: Sequence[Protocol],
    weights: str | Mapping[str, str] | None,
    device: str,
    seed: int,
    started: tuple[float, datetime],
    reporter: Reporter,
) -> Result | None:
    if not protocols:
        raise UsageError("no protocol is asked for; give at least one")
    run.check_names(clip.name for clip in dataset.clips)
    plan = Plan.of(protocols)
    networks = Networks(resolve_weights(weights, dataset), device)
    for name in plan.backbones:  # missing weights are an error now, not after the first clip was generated
        networks.record(name)
    worker = this_worker()
    measurements = _measure_all(run, dataset, predict, plan, networks, worker, reporter)
    if worker.index != 0 or measurements is None:
        return None
    # The statistics of many clips have their room.
    del networks
    give_back_freed_memory()
    result = Result(
        method=about,
        dataset=DatasetInfo(
            name=dataset.name,
            version=dataset.version,
            fingerprint=fingerprint(
                (item.clip, item.frames, item.reference_frame, item.truth["frames"]) for item in measurements
            ),
            clips=len(measurements),
            frames=sum(item.frames for item in measurements),
        ),
        predictions=_about_predictions(measurements),
        protocols=apply_protocols(protocols, measurements),
        provenance=_provenance(device, seed, started),
    )
    write_result(result, run.result)
    return result


def _measure_all(
    run: RunFolder,
    dataset: Dataset,
    predict: _Predict,
    plan: Plan,
    networks: Networks,
    worker: Worker,
    reporter: Reporter,
) -> list[Measurement] | None:
    """Every clip's measurement, in the data set's order; None in a worker that need not wait for the others."""
    cache = FeatureCache(home_folder() / "cache" / "features")
    records = {name: networks.record(name) for name in plan.backbones}
    reporter.start(sum(clip.frames for clip in dataset.clips))
    done: dict[str, Measurement] = {}

    def work(clip: Clip, *, wait: bool) -> None:
        if worker.is_orphan:
            raise ResultError("the process that started this worker is gone")
        with run.claim(clip.name, wait=wait) as mine:
            if not mine:
                return
            reporter.advance(0, clip.name)
            predicted = predict(clip, wait=wait)
            if predicted is None:
                return
            source, slot = predicted
            run.sweep(slot)
            file = run.measurement(slot)
            known = read_measurement(file)
            if known and not known.is_of(clip, source.digest(), clip.source.digest()):
                known = None
            if known and known.serves(plan, records):
                reporter.advance(clip.frames, clip.name)
            else:
                # What another protocol asked for before stays, unless its weights were others.
                wider = plan.union(known.plan) if known and networks.hold(known.weights) else plan
                known = measure_clip(
                    clip, source, wider, networks, cache, lambda frames: reporter.advance(frames, clip.name)
                )
                known.write(file)
            for side, word in ((known.prediction, ""), (known.truth, " of the truth")):
                for conversion in side["conversions"]:
                    reporter.warn(f"clip '{clip.name}'{word}: {conversion}, without loss")
            if worker.index == 0:  # the others' runs are over without a result
                done[clip.name] = known

    # Each worker begins at another clip, so that they seldom meet; what one of them leaves undone the first one does.
    offset = worker.turn(len(dataset.clips))
    for clip in (*dataset.clips[offset:], *dataset.clips[:offset]):
        work(clip, wait=False)
    if worker.index != 0:
        return None
    for clip in dataset.clips:
        if clip.name not in done:
            work(clip, wait=True)
    return [done[clip.name] for clip in dataset.clips]


def _about_predictions(measurements: Sequence[Measurement]) -> PredictionsInfo:
    about = [item.prediction for item in measurements]
    sizes = {tuple(item["size"]) for item in about}
    rates = {item["fps"] for item in about}
    return PredictionsInfo(
        digest=_digest([[item.clip, item.prediction["frames"]] for item in measurements]),
        container="/".join(sorted({item["container"] for item in about})),
        size=sizes.pop() if len(sizes) == 1 else None,
        fps=rates.pop() if len(rates) == 1 else None,
        conversions=sorted({conversion for item in about for conversion in item["conversions"]}),
    )


def _provenance(device: str, seed: int, started: tuple[float, datetime]) -> Provenance:
    clock, moment = started
    commit, dirty = git_state()
    return Provenance(
        mcbench=__version__,
        git_commit=commit,
        git_dirty=dirty,
        libraries=library_versions(),
        device=device_name(device),
        command=command_line(),
        seed=seed,
        start=moment.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 3),
    )


def _digest(rows: Any) -> str:
    return hashlib.sha256(json.dumps(rows, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def _method_id(name: str) -> str:
    """A folder's name as a method id, `[a-z0-9-]+`."""
    return (
        "-".join("".join(letter if letter.isascii() and letter.isalnum() else " " for letter in name).lower().split())
        or "predictions"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
