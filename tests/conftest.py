"""What all tests share: a home of their own, one thread, and small clips made on the spot."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mcbench.backbones.base import FrameBackbone, PairBackbone, WindowBackbone
from mcbench.backbones.weights import WeightsRecord
from mcbench.video import write_frames


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or touches the user's own files."""
    monkeypatch.setenv("MCBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MCBENCH_WEIGHTS", raising=False)
    slurm = [name for name in os.environ if name.startswith("SLURM_")]
    sharing = ("LOCAL_WORLD_SIZE", "MCBENCH_SHARERS")
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MCBENCH_PARENT", "MCBENCH_PROGRESS", *sharing, *slurm):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mcbench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[[str], tuple[int, str, str]]:
    """Runs a command line in a folder of its own, 80 columns wide: exit code, stdout, stderr."""
    from mcbench.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for console in ("output", "errors"):  # they hold on to the streams that they were made with
        monkeypatch.setattr(f"mcbench.cli.console.{console}._file", None)

    def run(arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mcbench", *shlex.split(arguments)])
        with pytest.raises(SystemExit) as stop:
            main.main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


def moving_square(frames: int, size: tuple[int, int] = (64, 64), seed: int = 0) -> np.ndarray:
    """A bright square that moves over a textured background: uint8 (frames, height, width, 3)."""
    height, width = size
    random = np.random.default_rng(seed)
    background = random.integers(0, 120, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    scene = np.kron(background, np.ones((8, 8, 1), np.uint8))[:height, :width]
    video = np.repeat(scene[None], frames, axis=0)
    color = random.integers(150, 255, 3, np.uint8)
    for index in range(frames):
        left = (index * 3 + seed * 5) % (width - 16)
        video[index, height // 3 : height // 3 + 16, left : left + 16] = color
        video[index, :4, :4] = index  # no two frames are equal
    return video


@pytest.fixture
def clip_folders(tmp_path: Path) -> Callable[..., Path]:
    """Makes `<root>/<name>/{a,b,…}/00000.png …` and returns the root."""

    def make(name: str, clips: int = 2, frames: int = 18, noise: int = 0, size: tuple[int, int] = (64, 64)) -> Path:
        root = tmp_path / name
        for index in range(clips):
            video = moving_square(frames, size, seed=index)
            if noise:
                random = np.random.default_rng(index + 100)
                video = np.clip(video + random.integers(-noise, noise + 1, video.shape), 0, 255).astype(np.uint8)
            write_frames(root / "abcdefghijklmnopqrstuvwxyz"[index], video)
        return root

    return make


class _FakeFrames(FrameBackbone):
    name, dimension = "inception", 6

    def features(self, frames):  # type: ignore[no-untyped-def]
        self.calls.append(len(frames))
        grid = torch.as_tensor(np.asarray(frames)).float()[:, ::128, ::128].reshape(len(frames), -1)
        return grid[:, :6] + grid[:, -6:] * 0.5


class _FakeWindows(WindowBackbone):
    dimension, input_size = 5, 8

    def prepare(self, frames, each=map):  # type: ignore[no-untyped-def]
        self.prepared.append(len(frames))
        return torch.as_tensor(np.asarray(frames)).float().permute(0, 3, 1, 2)[:, :, ::64, ::64].contiguous()

    def features(self, windows):  # type: ignore[no-untyped-def]
        self.calls.append(len(windows))
        order = torch.arange(1, 17).float()[None, :, None]
        return (windows.flatten(2)[:, :, :5] * order).mean(1)


class _FakePairs(PairBackbone):
    def activations(self, frames, signed):  # type: ignore[no-untyped-def]
        self.calls.append(len(frames))
        pixels = torch.as_tensor(np.asarray(frames)).float().permute(0, 3, 1, 2)[:, :, ::32, ::32] / 255
        return (pixels * 2 - 1 if signed else pixels,)

    def distance(self, a, b):  # type: ignore[no-untyped-def]
        return (a[0] - b[0]).square().mean((1, 2, 3))

    def distance_map(self, a, b, size):  # type: ignore[no-untyped-def]
        small = (a[0] - b[0]).square().mean(1, keepdim=True)
        return torch.nn.functional.interpolate(small, size, mode="bilinear")[:, 0]


@pytest.fixture
def fake_networks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Networks that take no time and count their calls, in place of the real ones."""
    made: dict[str, Any] = {}

    def record(name: str, weights: str = "published") -> WeightsRecord:
        return WeightsRecord(name, "random@1", hashlib.sha256(f"{name} {weights}".encode()).hexdigest())

    def load(name: str, weights: str, device: str) -> Any:
        network = {"inception": _FakeFrames, "r3d50": _FakeWindows, "i3d": _FakeWindows}.get(name, _FakePairs)()
        network.name, network.record = name, record(name, weights)
        network.calls, network.prepared = [], []
        made[name] = network
        return network

    monkeypatch.setattr("mcbench.features.record_of", record)
    monkeypatch.setattr("mcbench.features.load_backbone", load)
    return made
