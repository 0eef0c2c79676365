"""A folder of truths, of which not every clip need be fit to be read."""

from __future__ import annotations

from pathlib import Path

from mcbench.datasets import truth_clip
from mcbench.datasets.base import Dataset
from mcbench.doctor.findings import Finding, finding
from mcbench.doctor.folder import list_predictions
from mcbench.errors import UserError, VideoError

__all__ = ["read_truth"]


def read_truth(folder: Path) -> tuple[Dataset, list[Finding]]:
    """As `mcbench.open_truth`, but a clip that cannot be opened is left out, and is a finding.

    Args:
        folder: `<clip>/*.png` or `<clip>.mp4`.

    Returns:
        The clips that can be opened, and a finding `truth-unreadable` for each of the others.

    Raises:
        VideoError: if there is no such folder, or nothing in it is a clip.
    """
    listed = list_predictions(folder, "the truths")
    if not listed.clips:
        raise VideoError(f"{folder}: holds no clip; it should have <clip>/*.png or <clip>.mp4 for each clip")
    twice = {item.clip: item for item in listed.findings}
    clips, found = [], []
    for name, path in listed.clips.items():
        if name in twice:
            found.append(finding("truth-unreadable", name, f"{folder}: {twice[name].evidence}; keep one"))
            continue
        try:
            clips.append(truth_clip(name, path))
        except (UserError, OSError) as error:
            found.append(finding("truth-unreadable", name, str(error)))
    return Dataset(name="custom", version="1", clips=tuple(clips), folder=folder), found
