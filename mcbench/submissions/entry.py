"""What a rule sees of a submission."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcbench.compare.evidence import PAIRWISE
from mcbench.protocol import PROTOCOLS, Protocol
from mcbench.results import ProtocolResult
from mcbench.submissions.boards import Board
from mcbench.submissions.schema import ClipRecord, Submission

__all__ = ["FEATURES", "PAIRWISE", "Entry"]

FEATURES = {
    "fid": ("inception", 2048),
    "kid": ("inception", 2048),
    "fid_vid": ("r3d50", 2048),
    "fvd": ("i3d", 400),
    "kvd": ("i3d", 400),
}
"""Network and dimension of each feature metric; see `mcbench.backbones`."""


@dataclass(frozen=True)
class Entry:
    """A submission in its place.

    Attributes:
        path: of its file.
        document: the file's JSON as it stands.
        submission: the same, typed.
        board: the board of its data set, None if that has none.
        others: the readable submissions beside it, by file name.
    """

    path: Path
    document: Mapping[str, Any]
    submission: Submission
    board: Board | None
    others: Mapping[str, Submission]

    @property
    def protocols(self) -> list[tuple[Protocol, ProtocolResult]]:
        """Those of its protocols that there are; the rule `protocols` complains of others."""
        stated = self.submission.result.protocols
        return [(protocol, stated[id]) for id, protocol in PROTOCOLS.items() if id in stated]

    def pair_frames(self, protocol: Protocol) -> dict[str, int]:
        """Frames of each clip that count for pairwise metrics."""
        return {clip.name: clip.frames - self._drops(protocol, clip) for clip in self.submission.clips}

    def vectors(self, metric: str, protocol: Protocol) -> dict[str, int]:
        """Feature vectors of each clip that has any: frames, or windows without partial ones."""
        if FEATURES[metric][0] == "inception":
            return {clip.name: clip.frames for clip in self.submission.clips}
        whole = {clip.name: clip.frames - protocol.window_length for clip in self.submission.clips}
        return {name: rest // protocol.window_stride + 1 for name, rest in whole.items() if rest >= 0}

    @staticmethod
    def _drops(protocol: Protocol, clip: ClipRecord) -> bool:
        return protocol.drop_reference and clip.reference_frame is not None and clip.reference_frame < clip.frames
