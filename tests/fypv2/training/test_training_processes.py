"""Runs in processes of their own: killed, told to stop, and side by side."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from training_runs import killed_after, log_of, losses, run, started, write_config

from fypv2.training.state import last_checkpoint

pytestmark = pytest.mark.slow


def processes_of(folder: Path) -> int:
    """How many processes made the last checkpoint: a launcher may start one where two were asked for."""
    saved = last_checkpoint(folder / "run")
    assert saved is not None
    return int(saved.state["processes"])


def test_killed_at_any_step_a_run_goes_on_with_the_same_losses(shards: Path, tmp_path: Path) -> None:
    whole = losses(run(tmp_path / "whole", shards, steps=30, save_every=5))
    config = write_config(tmp_path / "killed", shards, steps=30, save_every=5, workers=1)
    process = killed_after(config, tmp_path / "killed", int(np.random.default_rng().integers(2, 10)))
    assert process.returncode == -signal.SIGKILL
    process = started(config)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    again = losses(log_of(tmp_path / "killed"))
    assert list(again) == list(range(1, 31))
    assert max(abs(again[step] - loss) for step, loss in whole.items()) <= 1e-5


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_leaves_a_checkpoint_and_its_exit_code(kind: int, shards: Path, tmp_path: Path) -> None:
    """The workers that make batches get it too, and must not die of it before the step in hand is done."""
    config = write_config(tmp_path, shards, steps=500, save_every=500, workers=1)
    process = killed_after(config, tmp_path, 3, kind)
    output, errors = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert output == ""
    assert "Traceback" not in errors
    (checkpoint,) = (tmp_path / "run/checkpoints").iterdir()
    assert checkpoint.name == f"step-{max(losses(log_of(tmp_path))):06d}"


def test_a_launcher_s_end_leaves_a_checkpoint(shards: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, shards, batch=4, steps=500, save_every=500, workers=1)
    process = killed_after(config, tmp_path, 3, signal.SIGTERM, processes=2)
    process.communicate()
    (checkpoint,) = (tmp_path / "run/checkpoints").iterdir()
    assert checkpoint.name == f"step-{max(losses(log_of(tmp_path))):06d}"
    assert processes_of(tmp_path) == 2


def test_two_processes_are_one_with_the_same_batch(shards: Path, tmp_path: Path) -> None:
    whole = losses(run(tmp_path / "one", shards, batch=4, steps=10, save_every=5))
    config = write_config(tmp_path / "two", shards, batch=4, steps=10, save_every=5)
    process = started(config, processes=2)
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    assert processes_of(tmp_path / "two") == 2
    together = losses(log_of(tmp_path / "two"))
    assert list(together) == list(range(1, 11))
    assert max(abs(together[step] - loss) for step, loss in whole.items()) <= 1e-4


def test_a_run_of_two_processes_is_taken_up_by_one(shards: Path, tmp_path: Path) -> None:
    whole = losses(run(tmp_path / "one", shards, batch=4, steps=10, save_every=5))
    first = write_config(tmp_path / "two", shards, batch=4, steps=5, save_every=5)
    process = started(first, processes=2)
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    assert processes_of(tmp_path / "two") == 2
    again = losses(run(tmp_path / "two", shards, batch=4, steps=10, save_every=5))
    assert processes_of(tmp_path / "two") == 1
    assert max(abs(again[step] - loss) for step, loss in whole.items()) <= 1e-4
