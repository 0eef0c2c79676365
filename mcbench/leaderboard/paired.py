"""Paired tests between submissions, by what they hold of each video."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mcbench.compare import FeatureScores, Source, untold
from mcbench.leaderboard.ranking import Indistinguishable
from mcbench.resources import data_folder

if TYPE_CHECKING:
    from mcbench.submissions import Submission

__all__ = ["paired_tests", "source_of", "tests_between"]


def paired_tests(folder: Path | None = None) -> Indistinguishable:
    """What `rank` needs to mark the submissions that cannot be told from the best: `rank(load(), paired_tests())`.

    Args:
        folder: of the submissions, `<dataset>/<method>.json`; those that ship with mcbench by default.

    Raises:
        ResultError: if a file is damaged.
    """
    # Loaded when asked for: making submissions draws in the measuring, which the paper's tables do not need.
    from mcbench.submissions import load_submission

    folder = data_folder("leaderboard") / "submissions" if folder is None else folder
    return tests_between(
        {
            hashlib.sha256(path.read_bytes()).hexdigest(): source_of(load_submission(path))
            for path in folder.glob("*/*.json")
        }
    )


def tests_between(sources: Mapping[str, Source]) -> Indistinguishable:
    """The same for results by the SHA-256 of their files."""

    def indistinguishable(protocol: str, claims: Sequence[tuple[Hashable, Hashable, str]]) -> list[bool]:
        return untold(sources, protocol, claims)

    return indistinguishable


def source_of(submission: Submission) -> Source:
    """What a comparison needs of a submission: its clips' scores, and each feature metric without each video."""
    features: dict[str, dict[str, FeatureScores]] = {}
    for protocol, metrics in submission.left_out.items():
        stated = submission.result.protocols[protocol].metrics if protocol in submission.result.protocols else {}
        features[protocol] = {}
        for name, left_out in metrics.items():
            values = left_out.values or {}
            clips = tuple(sorted(values))
            features[protocol][name] = FeatureScores(
                value=stated[name].value if name in stated else None,
                videos=clips,
                left_out=np.array([values[clip] for clip in clips]) if values else None,
                reason=left_out.reason,
            )
    return Source(submission.result, features=features)
