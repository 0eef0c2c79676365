"""MRAA, Motion Representations for Articulated Animation (Siarohin et al. 2021), driven by drawn poses or the truth.

https://github.com/snap-research/articulated-animation, head 03f1968. Snap grants no licence to its code, so nothing of
it is here; the user's own checkout is run. Its head does not start by itself, which `baselines.launchers.mraa` mends
from outside. See `baselines.motion_transfer` for what the program reads and writes.

The authors' link to the weights is reported dead (issues 85 and 86 there). Whoever has a copy can tell by its SHA-256;
a checkpoint of one's own training goes by `--set weights=own`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from baselines.base import Weights
from baselines.external.installation import read_section
from baselines.inputs import PoseSettings
from baselines.launchers import LAUNCHERS
from baselines.motion_transfer import DrivenByPoses, DrivenByTruth, Mode, MotionTransfer
from mcbench import MethodError

__all__ = ["MRAA", "MRAATruthDriven"]

LAUNCHER = LAUNCHERS / "mraa.py"


class _MRAA(MotionTransfer):
    """Both rows of the paper; they share one section of the TOML file."""

    version: ClassVar[str] = "1"
    repository: ClassVar[str] = "snap-research/articulated-animation"
    licence: ClassVar[str] = "none granted: shown by Snap for information alone"
    section: ClassVar[str | None] = "mraa"
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            key="ted384",
            what="ted384.pth, linked in the repository's README; the link is reported dead",
            sha256="5c88fb60718a64a8fd87043b0e95781b50e500457d03bf3b4fd26cca6b70c3f7",
            size=273_409_224,
            required=False,
        ),
        Weights(
            key="ted-youtube384",
            what="ted-youtube384.pth, from the same place, for --set config=ted-youtube384",
            sha256="75ce78089fc2f0b0a276346bf8f14c2043895845ed869bdbe9b2656d3feec13b",
            size=292_943_746,
            required=False,
        ),
        Weights(
            key="own",
            what="a checkpoint of your own training, for --set weights=own",
            required=False,
        ),
    )

    class Settings(MotionTransfer.Settings):
        """The program's options, with its defaults."""

        config: Literal["ted384", "ted-youtube384"] = "ted384"
        """Configuration, and the checkpoint of that name: trained on TED-talks, with 10 regions, or on a larger set of
        talks, with 20."""
        mode: Mode = "avd"
        """How motion is transferred; see `baselines.motion_transfer.Mode`."""
        weights: Literal["published", "own"] = "published"
        """Whether to load the authors' checkpoint or one of your own training with that configuration."""

    settings: Settings

    @classmethod
    def lacks(cls) -> Sequence[str]:
        """What is not there yet; of the weights any one will do."""
        lines = list(super().lacks())
        try:
            configured = read_section(cls.needs()).weights
        except MethodError:  # which is one of the lines already
            return lines
        return lines if configured else [*lines, f"{cls.weights[0].key}: {cls.weights[0].what}; or another checkpoint"]

    @property
    def weights_key(self) -> str:
        """The authors' checkpoint has the configuration's name."""
        return "own" if self.settings.weights == "own" else self.settings.config

    def program(self) -> tuple[str, ...]:
        """The launcher, which runs `demo.py`."""
        return (str(LAUNCHER), *super().program())


class MRAA(_MRAA, DrivenByPoses):
    """MRAA of the paper: sees drawings of the driving poses."""

    name: ClassVar[str] = "mraa"
    summary: ClassVar[str] = "MRAA (Siarohin et al. 2021), driven by drawn poses"

    class Settings(PoseSettings, _MRAA.Settings):
        """The program's options, with its defaults, and where the poses come from."""

    settings: Settings


class MRAATruthDriven(_MRAA, DrivenByTruth):
    """MRAA* of the paper: sees the true video."""

    name: ClassVar[str] = "mraa-truth-driven"
    summary: ClassVar[str] = "MRAA (Siarohin et al. 2021), driven by the true video"
