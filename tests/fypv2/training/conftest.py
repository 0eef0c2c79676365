"""Clips to train on, drawn once."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerate.state import AcceleratorState, GradientState
from training_runs import draw_shards


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of ten frames, 64 x 64."""
    return draw_shards(tmp_path_factory.mktemp("shards") / "data")


@pytest.fixture(autouse=True)
def _forget_processes() -> None:
    """accelerate keeps one state for a whole process, and these tests make many runs in one."""
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
