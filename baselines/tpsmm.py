"""TPSMM, Thin-Plate Spline Motion Model (Zhao and Zhang 2022), driven by drawn poses or the truth.

https://github.com/yoyo-nb/Thin-Plate-Spline-Motion-Model, head c616878. Its `demo.py` starts as it is. See
`baselines.motion_transfer` for what the program reads and writes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from baselines.base import Weights
from baselines.inputs import PoseSettings
from baselines.motion_transfer import DrivenByPoses, DrivenByTruth, Mode, MotionTransfer

__all__ = ["TPSMM", "TPSMMTruthDriven"]


class _TPSMM(MotionTransfer):
    """Both rows of the paper; they share one section of the TOML file."""

    version: ClassVar[str] = "1"
    repository: ClassVar[str] = "yoyo-nb/Thin-Plate-Spline-Motion-Model"
    licence: ClassVar[str] = "MIT"
    section: ClassVar[str | None] = "tpsmm"
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(key="ted", what="ted.pth.tar, linked in the repository's README under 'Pre-trained models'"),
    )

    class Settings(MotionTransfer.Settings):
        """The program's options, with its defaults."""

        config: Literal["ted-384"] = "ted-384"
        """Configuration: the one for people at 384 x 384 pixels."""
        mode: Mode = "relative"
        """How motion is transferred; see `baselines.motion_transfer.Mode`."""

    settings: Settings

    @property
    def weights_key(self) -> str:
        """There is one checkpoint for TED-talks."""
        return "ted"


class TPSMM(_TPSMM, DrivenByPoses):
    """TPSMM of the paper: sees drawings of the driving poses."""

    name: ClassVar[str] = "tpsmm"
    summary: ClassVar[str] = "TPSMM (Zhao and Zhang 2022), driven by drawn poses"

    class Settings(PoseSettings, _TPSMM.Settings):
        """The program's options, with its defaults, and where the poses come from."""

    settings: Settings


class TPSMMTruthDriven(_TPSMM, DrivenByTruth):
    """TPSMM* of the paper: sees the true video."""

    name: ClassVar[str] = "tpsmm-truth-driven"
    summary: ClassVar[str] = "TPSMM (Zhao and Zhang 2022), driven by the true video"
