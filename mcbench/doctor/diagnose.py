"""A whole set of predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mcbench.datasets.base import Clip, Dataset
from mcbench.doctor.clip import examine_path
from mcbench.doctor.findings import Diagnosis, Finding
from mcbench.doctor.folder import assign, list_predictions

__all__ = ["diagnose"]


def diagnose(
    predictions: Path | str,
    dataset: Dataset,
    *,
    unread: Sequence[Finding] = (),
    on_frame: Callable[[str], None] = lambda clip: None,
) -> Diagnosis:
    """Find out what is wrong with predictions before they are measured. Needs no network and no weights.

    Args:
        predictions: a folder of `<clip>/*.png` or `<clip>.mp4`, as `mcbench.score` takes it.
        dataset: the truths.
        unread: findings about truths that could not even be opened, see `read_truth`; their predictions are left alone.
        on_frame: called with the clip's name after each frame of a prediction.

    Returns:
        The findings. What `score` refuses is among them.

    Raises:
        VideoError: if there is no such folder.
    """
    folder = Path(predictions)
    listed = list_predictions(folder)
    nobody_knows = {item.clip for item in unread}
    listed = replace(listed, clips={name: path for name, path in listed.clips.items() if name not in nobody_knows})
    pairs, names = assign(folder, listed, dataset)
    found = [*unread, *listed.findings, *names]
    frames = 0
    for clip in dataset.clips:
        if clip.name not in pairs:
            continue

        def tick(name: str = clip.name) -> None:
            nonlocal frames
            frames += 1
            on_frame(name)

        found += examine_path(clip, pairs[clip.name], _known_fps(dataset, clip), tick)
    return Diagnosis.of(found, len(pairs), frames)


def _known_fps(dataset: Dataset, clip: Clip) -> float | None:
    """Truths in folders of frames do not say at what rate they go."""
    return clip.source.fps if dataset.name == "custom" else clip.fps
