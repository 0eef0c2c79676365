"""The scripts of `benchmarks/` as modules, and the small models of the reference model's own tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
# Last, so that no script's name hides a package's.
for folder in (TESTS.parent / "benchmarks", TESTS / "fypv2", TESTS / "fypv2" / "training"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

from accelerate.state import AcceleratorState, GradientState  # noqa: E402
from small_models import mini_config, shake  # noqa: E402
from training_runs import draw_shards  # noqa: E402

from fypv2.checkpoint import fresh_pipeline, save_pipeline  # noqa: E402


@pytest.fixture(scope="session")
def mini_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of ten frames, 64 x 64."""
    return draw_shards(tmp_path_factory.mktemp("mini-shards") / "data")


@pytest.fixture(scope="session")
def mini_stage1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as stage 1 leaves it: without motion modules, and with guiders that say something."""
    pipeline = fresh_pipeline(mini_config(steps=2), seed=6, motion=False)
    for number, guider in enumerate(pipeline.denoiser.guiders.values()):
        shake(guider, seed=number)
    folder = tmp_path_factory.mktemp("mini-stage1") / "model"
    save_pipeline(pipeline, folder)
    return folder


@pytest.fixture(autouse=True)
def _forget_processes() -> None:
    """accelerate keeps one state for a whole process, and these tests make many runs in one."""
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
