"""Rules about what was measured on: the data set, its version, its clips and frames, and the predictions of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mcbench.datasets.manifest import MAX_FRAMES
from mcbench.datasets.manifest import fingerprint as fingerprint_of
from mcbench.submissions.boards import BOARDS
from mcbench.submissions.entry import Entry
from mcbench.submissions.findings import printable
from mcbench.submissions.schema import predictions_digest

__all__ = ["clips", "dataset", "dataset_version", "fingerprint", "predictions", "truth_copied"]

Broken = Iterator[tuple[str, str]]

LARGEST_SIDE = 1 << 14
"""Of a picture, in pixels."""
LARGEST_RATE = 1000.0
"""Frames a second."""
SHOWN = 3


def dataset(entry: Entry) -> Broken:
    """Only data sets that others can measure on have a board."""
    if entry.board is None:
        name = printable(entry.submission.result.dataset.name, 60)
        yield "result.dataset.name", f"'{name}' has none; there are {', '.join(BOARDS)}"


def dataset_version(entry: Entry) -> Broken:
    """A board stands on one version, and of an imported data set on one split."""
    stated = entry.submission.result.dataset.version
    if entry.board is not None and stated != entry.board.version:
        yield "result.dataset.version", f"'{printable(stated, 60)}'; the board stands on '{entry.board.version}'"


def clips(entry: Entry) -> Broken:
    """All clips of the data set are there with all their frames, and nothing else is."""
    records, stated = entry.submission.clips, entry.submission.result.dataset
    twice = [name for name, count in Counter(clip.name for clip in records).items() if count > 1]
    for name in twice[:SHOWN]:
        yield "clips", f"clip '{printable(name, 60)}' is there {sum(clip.name == name for clip in records)} times"
    for index, clip in enumerate(records):
        if not clip.name or clip.name.startswith(".") or set(clip.name) & set("/\\"):
            yield f"clips.{index}.name", f"'{printable(clip.name, 60)}' is no file name"
        if not 1 <= clip.frames <= MAX_FRAMES:
            yield f"clips.{index}.frames", f"{clip.frames} frames"
        if clip.reference_frame is not None and clip.reference_frame < 0:
            yield f"clips.{index}.reference_frame", f"frame {clip.reference_frame}; they are counted from 0"
    frames = sum(clip.frames for clip in records)
    if (stated.clips, stated.frames) != (len(records), frames):
        yield (
            "result.dataset",
            f"{stated.clips} clips and {stated.frames} frames; the records have {len(records)} and {frames}",
        )
    if entry.board is None:
        return
    if entry.board.lengths is not None:
        yield from _against_lengths(entry, entry.board.lengths)
    elif (entry.board.clips or stated.clips) != stated.clips or (entry.board.frames or stated.frames) != stated.frames:
        yield (
            "result.dataset",
            f"{stated.clips} clips and {stated.frames} frames; the data set has"
            f" {entry.board.clips or 'some'} and {entry.board.frames or 'some'}",
        )


def fingerprint(entry: Entry) -> Broken:
    """The fingerprint follows from the clips, and is the data set's where that is known."""
    stated = entry.submission.result.dataset.fingerprint
    rows = [(clip.name, clip.frames, clip.reference_frame, clip.truth) for clip in entry.submission.clips]
    computed = fingerprint_of(rows)
    if stated != computed:
        yield "result.dataset.fingerprint", f"{stated[:12]}; the clips' is {computed[:12]}"
    known = entry.board.fingerprint if entry.board else None
    if known is not None and stated != known:
        yield (
            "result.dataset.fingerprint",
            f"{stated[:12]}; that of {entry.submission.result.dataset.name} is {known[:12]}",
        )


def predictions(entry: Entry) -> Broken:
    """What is said of the predictions follows from the clips, and can be true."""
    stated = entry.submission.result.predictions
    computed = predictions_digest(entry.submission.clips)
    if stated.digest != computed:
        yield "result.predictions.digest", f"{stated.digest[:12]}; the clips' is {computed[:12]}"
    if stated.size is not None and not all(1 <= side <= LARGEST_SIDE for side in stated.size):
        yield "result.predictions.size", f"{stated.size[0]} x {stated.size[1]} pixels"
    if stated.fps is not None and not 0 < stated.fps <= LARGEST_RATE:
        yield "result.predictions.fps", f"{stated.fps:.6g} frames a second"
    if not stated.container:
        yield "result.predictions.container", "it is empty"


def truth_copied(entry: Entry) -> Broken:
    """A method that returns the truth, frame for frame, has seen it, and says so."""
    same = [clip.name for clip in entry.submission.clips if clip.prediction == clip.truth]
    if same and not entry.submission.result.method.needs_truth:
        yield "clips", f"{len(same)} predictions equal their truth, that of '{printable(same[0], 60)}' first"


def _against_lengths(entry: Entry, lengths: dict[str, int]) -> Broken:
    seen = {clip.name: clip.frames for clip in entry.submission.clips}
    missing = [name for name in lengths if name not in seen]
    if missing:
        listed = ", ".join(missing[:SHOWN]) + (" …" if len(missing) > SHOWN else "")
        yield "clips", f"{len(missing)} of {len(lengths)} clips are missing: {listed}"
    for name, frames in seen.items():
        if name not in lengths:
            yield "clips", f"the data set has no clip '{printable(name, 60)}'"
        elif frames != lengths[name]:
            yield "clips", f"clip '{name}' has {frames} of {lengths[name]} frames"
