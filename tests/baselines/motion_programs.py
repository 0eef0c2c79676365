"""Checkouts of MRAA and TPSMM as stand-ins, and clips whose frames tell where they went."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tomlkit
import yaml

from mcbench import Case, DrivingPoses, open_frames, to_square, write_frames

STAND_INS = Path(__file__).with_name("stand_ins")
SIDE, BLOCK = 384, 64
FPS = 12.5
GREYS = {"standard": 40, "relative": 120, "avd": 200}

Frames = npt.NDArray[np.uint8]

MEAN_TOLERANCE = 4.0
"""Grey levels that the mean of a flat block may be off: yuv420p in limited range has 220 levels of brightness for 256,
and saturated colours are cut. Measured with imageio 2.38 and FFmpeg 9 on random colours: 3."""
PIXEL_TOLERANCE = 6
"""Grey levels that a pixel inside a flat block may be off, 8 pixels from its edges; likewise measured: 4."""


def make_checkout(folder: Path, program: str) -> Path:
    """A checkout of `mraa` or `tpsmm`, with configurations that differ in the one number a checkpoint must fit."""
    (folder / "modules").mkdir(parents=True)
    (folder / "config").mkdir()
    shutil.copy(STAND_INS / f"{program}_demo.py", folder / "demo.py")
    shutil.copy(STAND_INS / "mraa_demo_pictures.py", folder / "modules" / "pictures.py")
    if program == "mraa":
        shutil.copy(STAND_INS / "mraa_demo_logger.py", folder / "logger.py")
        configs = {"ted384": {"num_regions": 10}, "ted-youtube384": {"num_regions": 20}}
    else:
        configs = {"ted-384": {"common_params": {"num_tps": 10}}}
    for name, parameters in configs.items():
        (folder / "config" / f"{name}.yaml").write_text(yaml.safe_dump({"model_params": parameters}))
    return folder


def make_checkpoint(path: Path, regions: int, *, avd: bool = True) -> Path:
    """A checkpoint that fits networks of so many regions."""
    entries = ["generator", *(["avd_network"] if avd else [])]
    path.write_text(json.dumps({"regions": regions, "entries": entries}))
    return path


def write_methods(path: Path, section: str, checkout: Path, weights: dict[str, Path]) -> None:
    """The TOML file that says where all is."""
    about = {
        "repository": str(checkout),
        "interpreter": sys.executable,
        "weights": {key: {"path": str(place)} for key, place in weights.items()},
    }
    path.write_text(tomlkit.dumps({section: about}))


@dataclass(frozen=True)
class Coloured:
    """A clip of flat colours, another in every block, frame and channel, wider than high."""

    reference: Frames
    frames: list[Frames]

    @classmethod
    def of(cls, count: int, seed: int = 0) -> Coloured:
        random = np.random.default_rng(seed)
        pictures = [
            np.kron(random.integers(0, 256, (3, 5, 3), np.uint8), np.ones((64, 64, 1), np.uint8))
            for _ in range(count + 1)
        ]
        return cls(pictures[0], pictures[1:])

    def case(self, folder: Path, *, truth: bool, poses: DrivingPoses | None = None) -> Case:
        """The case of it, its truth on disk."""
        write_frames(folder / "truth", self.frames)
        return Case(
            clip="a clip",
            frames=len(self.frames),
            fps=FPS,
            size=(self.reference.shape[0], self.reference.shape[1]),
            seed=0,
            reference=self.reference,
            poses=poses,
            truth=open_frames(folder / "truth", FPS) if truth else None,
            folder=folder / "work" / "slot",
        )


def walking_poses(frames: int) -> DrivingPoses:
    """One character on the right that moves to the right, all keypoints visible, in a picture of 320 x 192."""
    column = np.linspace(30, 160, 18, dtype=np.float32)
    sway = np.tile(np.float32([-20, 20]), 9)
    keypoints = np.stack([np.stack([190 + sway + 8 * index, column], axis=1) for index in range(frames)])
    return DrivingPoses(keypoints[:, None].astype(np.float32), np.full((frames, 1, 18), 2, np.uint8))


def meant(reference: Frames, driving: list[Frames], mode: str) -> list[npt.NDArray[np.float64]]:
    """Colours of the 6 x 6 blocks that the stand-in means, from square pictures: (6, 6, 3) for each frame."""
    return [
        np.concatenate([means(reference)[:, :3], means(frame)[:, 3:]], axis=1)
        * (corner := np.r_[0.0, np.ones(35)].reshape(6, 6, 1))
        + GREYS[mode] * (1 - corner)
        for frame in driving
    ]


def means(picture: Frames, margin: int = 0) -> npt.NDArray[np.float64]:
    """Mean colours of the 6 x 6 blocks of a picture of 384 x 384, without a margin: (6, 6, 3)."""
    count = SIDE // BLOCK
    blocks = picture.reshape(count, BLOCK, count, BLOCK, 3)
    inside = slice(margin, BLOCK - margin)
    return blocks[:, inside, :, inside].mean(axis=(1, 3), dtype=np.float64)


def check_frames(found: list[Frames], wanted: list[npt.NDArray[np.float64]]) -> None:
    """Frames that came back are those that were meant, as far as an .mp4 of imageio's keeps them."""
    assert len(found) == len(wanted)
    for frame, colours in zip(found, wanted, strict=True):
        assert frame.dtype == np.uint8
        assert frame.shape == (SIDE, SIDE, 3)
        assert np.abs(means(frame, 8) - colours).max() <= MEAN_TOLERANCE
        whole = np.kron(colours, np.ones((BLOCK, BLOCK, 1)))
        off = np.abs(frame - whole).reshape(6, BLOCK, 6, BLOCK, 3)[:, 8:-8, :, 8:-8]
        assert off.max() <= PIXEL_TOLERANCE


def squares(pictures: list[Frames]) -> list[Frames]:
    """The centred squares, at the programs' size."""
    return [to_square(picture, SIDE) for picture in pictures]
