"""Stands for PyTorch beside DreamPose's stand-ins: what the launcher seeds and `test.py` draws from."""

from __future__ import annotations

_seed = 0


def manual_seed(seed: int) -> None:
    global _seed
    _seed = seed


def initial_seed() -> int:
    return _seed
