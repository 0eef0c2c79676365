"""Videos to preprocess, and poses for them: moving discs whose middles are keypoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fypv2.conditions import Poses
from fypv2.extractors import save_poses
from mcbench import write_video

HEIGHT, WIDTH, FPS = 96, 160, 25.0

Frames = npt.NDArray[np.uint8]


def figure(frames: int, people: int = 2, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Poses:
    """Upright figures side by side, each moving a little to and fro."""
    height, width = size
    grid = np.array([[x, y] for x in (-1, 0, 1) for y in range(6)], np.float32) * (width / 60, height / 9)
    middles = (np.arange(people) + 1) * width / (people + 1)
    places = np.stack([grid + np.array([x, height / 5]) for x in middles]).astype(np.float32)
    shift = np.stack([3 * np.sin(np.arange(frames) / 4), np.zeros(frames)], -1).astype(np.float32)
    body = places[None] + shift[:, None, None]
    return Poses(body, np.ones((frames, people, 18), np.float32), size)


def picture(poses: Poses, hue: tuple[int, int, int] = (60, 120, 200)) -> Frames:
    """A coloured ramp with a bright disc on each keypoint."""
    height, width = poses.size
    y, x = np.mgrid[:height, :width]
    frames = np.empty((poses.frames, height, width, 3), np.uint8)
    frames[:] = np.array(hue) * (0.5 + 0.5 * x / width)[..., None]
    for i in range(poses.frames):
        for px, py in poses.body[i].reshape(-1, 2):
            frames[i][(x - px) ** 2 + (y - py) ** 2 <= 2.5**2] = (255, 240, 60)
    return frames


def make_footage(folder: Path, poses_folder: Path, lengths: dict[str, int], **settings: Any) -> None:
    """One video and one pose file for each name without a suffix."""
    for name, frames in lengths.items():
        poses = figure(frames, **settings)
        path = folder / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, picture(poses), FPS)
        save_poses(poses, poses_folder / f"{name}.safetensors")
