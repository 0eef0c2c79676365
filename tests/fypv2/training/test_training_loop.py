"""Runs: they learn, they are taken up where they stopped, and nothing good is lost when something breaks."""

from __future__ import annotations

import errno
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from small_models import mini_config
from training_runs import configured, log_of, losses, run

import fypv2.training.state as state
from fypv2.checkpoint import load_pipeline
from fypv2.errors import ConfigError
from fypv2.training.errors import TrainingError
from fypv2.training.loop import Trainer, train
from fypv2.training.setup import learning_rate
from fypv2.training.state import last_checkpoint
from mcbench import UserError


class _KilledError(BaseException):
    """As if the process ended here."""


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    whole = Trainer._pass
    count = 0

    def once_more(self: Trainer, batch: dict[str, Any], *, last: bool) -> Any:
        nonlocal count
        count += 1
        if count > step:
            raise _KilledError
        return whole(self, batch, last=last)

    monkeypatch.setattr(Trainer, "_pass", once_more)


@pytest.mark.parametrize(
    "stage",
    [
        1,
        pytest.param(2, marks=pytest.mark.slow),
        pytest.param("vae", marks=pytest.mark.slow),
        pytest.param("decoder", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_goes_on_as_if_it_had_not_been(
    stage: Any, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = int(np.random.default_rng().integers(4, 7))
    how: dict[str, Any] = {"stage": stage, "steps": 8, "warmup": 5, "schedule": "cosine"}
    whole = losses(run(tmp_path / "whole", shards, **how))
    kill_at(monkeypatch, steps)
    with pytest.raises(_KilledError):
        run(tmp_path / "killed", shards, **how)
    monkeypatch.undo()
    assert max(losses(log_of(tmp_path / "killed"))) == steps
    again = losses(run(tmp_path / "killed", shards, **how))
    assert list(again) == list(range(1, 9))
    for step, loss in whole.items():
        assert again[step] == pytest.approx(loss, abs=1e-5)
    one, other = (load_pipeline(tmp_path / name / "run/model") for name in ("whole", "killed"))
    for name, part in one.components.items():
        if isinstance(part, torch.nn.Module):
            again_part = other.components[name].state_dict()
            for key, tensor in part.state_dict().items():
                assert torch.allclose(tensor, again_part[key], atol=1e-5), f"{name}, {key}"
    assert other.vae.config.scaling_factor == pytest.approx(one.vae.config.scaling_factor, rel=1e-4)


@pytest.mark.slow
def test_accumulated_passes_are_one_batch(shards: Path, tmp_path: Path) -> None:
    whole = losses(run(tmp_path / "whole", shards, batch=4))
    parts = losses(run(tmp_path / "parts", shards, batch=4, micro_batch=1))
    assert all(parts[step] == pytest.approx(loss, abs=1e-4) for step, loss in whole.items())


@pytest.mark.slow
def test_prepared_data_trains_as_pixels_do(shards: Path, tmp_path: Path) -> None:
    ready = losses(run(tmp_path / "ready", shards, steps=3, cache_latents=True))
    pixels = losses(run(tmp_path / "pixels", shards, steps=3, cache_latents=False, workers=1))
    assert all(pixels[step] == pytest.approx(loss, abs=5e-3) for step, loss in ready.items())


def test_only_the_last_checkpoints_stay_and_the_model_can_be_used(shards: Path, tmp_path: Path) -> None:
    run(tmp_path, shards, steps=6, save_every=2, keep=2, model_dtype="float16", sample_every=6, sample_clips=1)
    out = tmp_path / "run"
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["step-000004", "step-000006"]
    assert not list(out.rglob("*.bin")) + list(out.rglob("*.pt"))
    pipeline = load_pipeline(out / "model")
    average = load_file(out / "checkpoints/step-000006/ema.safetensors")
    saved = dict(pipeline.unet.named_parameters())
    name = "mid_block.resnets.0.conv1.weight"
    assert torch.allclose(saved[name], average[f"denoiser.unet.{name}"], atol=1e-3)
    assert (out / "samples/sample-000006.png").is_file()


def test_a_run_of_the_denoiser_decides_on_the_switches(shards: Path, tmp_path: Path) -> None:
    """A model that was trained without the reference added can learn it; its decoder's own run leaves it as it is."""
    run(tmp_path / "one", shards, steps=1)
    plain = tmp_path / "plain.yaml"
    content = mini_config().model_dump(mode="json")
    plain.write_text(yaml.safe_dump({**content, "aligned_reference": not content["aligned_reference"]}))
    start = str(tmp_path / "one" / "run" / "model")
    for stage, switched in ((1, True), ("decoder", False)):
        run(tmp_path / str(stage), shards, steps=1, stage=stage, start=start, model=str(plain))
        settings = load_pipeline(tmp_path / str(stage) / "run" / "model").model_config
        assert (settings.aligned_reference != content["aligned_reference"]) is switched


def test_stage_two_starts_from_stage_one(shards: Path, tmp_path: Path) -> None:
    run(tmp_path / "one", shards, steps=2)
    start = str(tmp_path / "one/run/model")
    run(tmp_path / "two", shards, stage=2, frames=3, steps=2, start=start, without=["flow"])
    pipeline = load_pipeline(tmp_path / "two/run/model")
    assert pipeline.model_config.guiders == ("pose", "depth", "reference_pose")
    assert pipeline.denoiser.has_motion
    with pytest.raises(ConfigError, match="stage 1 would lose"):
        run(tmp_path / "back", shards, start=str(tmp_path / "two/run/model"))


@pytest.mark.parametrize("where", ["loss", pytest.param("gradient", marks=pytest.mark.slow)])
def test_a_loss_that_is_not_finite_ends_the_run(
    where: str, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fypv2.training.module import AnimationStep

    forward = AnimationStep.forward
    calls = 0

    def broken(self: AnimationStep, batch: dict[str, Any]) -> Any:
        nonlocal calls
        calls += 1
        loss = forward(self, batch)
        if calls == 5:
            # The second has a loss like any other.
            return loss * torch.nan if where == "loss" else loss + (loss - loss.detach()) * torch.inf
        return loss

    monkeypatch.setattr(AnimationStep, "forward", broken)
    with pytest.raises(TrainingError, match=r"not finite at step 5; the last good checkpoint is .*step-000003"):
        run(tmp_path, shards)
    assert max(losses(log_of(tmp_path))) == 4
    kept = state.Saved(tmp_path / "run/checkpoints/step-000003").tensors("model")
    assert all(torch.isfinite(one).all() for one in kept.values())


@pytest.mark.parametrize("file", ["optimiser", pytest.param("state", marks=pytest.mark.slow)])
def test_a_full_disk_keeps_the_last_good_checkpoint(
    file: str, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, count = state.save_file if file == "optimiser" else state._to_disk, 0

    def full_disk(*arguments: Any) -> None:
        nonlocal count
        place = Path(arguments[-1])
        if place.stem == file and "step-000006" in str(place):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(state, "save_file" if file == "optimiser" else "_to_disk", full_disk)
    with pytest.raises(TrainingError, match=r"No space left on device.*step-000003"):
        run(tmp_path, shards)
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-000003"]
    monkeypatch.undo()
    assert max(losses(run(tmp_path, shards))) == 6


def test_sigterm_ends_the_step_and_writes_a_checkpoint(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing, before = Trainer._pass, signal.getsignal(signal.SIGTERM)

    def told_to_stop(self: Trainer, batch: dict[str, Any], *, last: bool) -> Any:
        if not (tmp_path / "told").exists():
            (tmp_path / "told").touch()
            signal.raise_signal(signal.SIGTERM)
        return passing(self, batch, last=last)

    monkeypatch.setattr(Trainer, "_pass", told_to_stop)
    assert train(configured(tmp_path, shards)) is False
    assert signal.getsignal(signal.SIGTERM) == before
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-000001"]
    assert train(configured(tmp_path, shards)) is True
    assert list(losses(log_of(tmp_path))) == list(range(1, 7))


def test_a_run_is_taken_up_only_as_it_was(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no checkpoint to go on from"):
        run(tmp_path, shards, resume=True)
    run(tmp_path, shards, steps=2)
    with pytest.raises(TrainingError, match=r"learning_rate=0\.001, not 0.002"):
        run(tmp_path, shards, learning_rate=2e-3)
    assert max(losses(run(tmp_path, shards, steps=3, resume=True, log_every=1))) == 3
    anew = run(tmp_path, shards, steps=1, resume=False, learning_rate=2e-3)
    assert list(losses(anew)) == [1]
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-000001"]


@pytest.mark.parametrize("changes", [{"start": "nowhere"}, {"optimiser": "adamw-8bit"}, {"frames": 99, "stage": 2}])
def test_what_cannot_begin_anew_leaves_the_run_that_is_there(
    changes: dict[str, Any], shards: Path, tmp_path: Path
) -> None:
    run(tmp_path, shards, steps=2)
    with pytest.raises(UserError):
        run(tmp_path, shards, steps=1, resume=False, **changes)
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-000002"]
    load_pipeline(tmp_path / "run/model")


def test_what_begins_anew_leaves_no_model_of_the_run_before(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, shards, steps=1)
    kill_at(monkeypatch, 0)
    with pytest.raises(_KilledError):
        run(tmp_path, shards, steps=1, resume=False, start=str(tmp_path / "run/model"))
    assert (tmp_path / "run/model").is_dir(), "it is what this one starts from"
    with pytest.raises(_KilledError):
        run(tmp_path, shards, steps=1, resume=False)
    assert not (tmp_path / "run/model").exists()


def test_a_run_that_is_done_has_its_model(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails at the last step: the checkpoint comes after the model, and says that both are there."""

    def full_disk(*_: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr(Trainer, "_grid", full_disk)
    with pytest.raises(OSError, match="no space"):
        run(tmp_path, shards, steps=3, sample_every=3)
    monkeypatch.undo()
    average = load_file(tmp_path / "run/checkpoints/step-000003/ema.safetensors")
    name = "mid_block.resnets.0.conv1.weight"
    assert torch.equal(load_pipeline(tmp_path / "run/model").unet.get_parameter(name), average[f"denoiser.unet.{name}"])
    shutil.rmtree(tmp_path / "run/model")
    run(tmp_path, shards, steps=3)
    assert torch.equal(load_pipeline(tmp_path / "run/model").unet.get_parameter(name), average[f"denoiser.unet.{name}"])


def test_a_run_is_not_taken_up_with_another_network_or_start(shards: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    for number, seed in enumerate((1, 2)):
        run(tmp_path / str(number), shards, steps=1, seed=seed)
    shutil.copytree(tmp_path / "0/run/model", start)
    how: dict[str, Any] = {"start": str(start), "trains": ["guiders"]}
    run(tmp_path, shards, steps=2, **how)
    shutil.rmtree(start)
    shutil.copytree(tmp_path / "1/run/model", start)
    # Another VAE would be told as such; here all else differs.
    shutil.rmtree(start / "vae")
    shutil.copytree(tmp_path / "0/run/model/vae", start / "vae")
    with pytest.raises(TrainingError, match="another start"):
        run(tmp_path, shards, steps=3, **how)
    other = tmp_path / "other.yaml"
    content = mini_config().model_dump(mode="json")
    other.write_text(yaml.safe_dump({**content, "aligned_reference": not content["aligned_reference"]}))
    saved = last_checkpoint(tmp_path / "run")
    assert saved is not None
    saved.state["config"]["model"] = str(other)  # the name may stay as it is, and what it stands for change
    (saved.folder / "state.json").write_text(json.dumps(saved.state))
    with pytest.raises(TrainingError, match="another model settings"):
        run(tmp_path, shards, steps=3, model=str(other), **how)


def test_a_run_from_before_a_key_is_taken_up_where_the_key_changes_nothing(shards: Path, tmp_path: Path) -> None:
    run(tmp_path, shards, steps=2, stage="vae")
    state = tmp_path / "run/checkpoints/step-000002/state.json"
    document = json.loads(state.read_text())
    del document["config"]["contrast_weight"]
    state.write_text(json.dumps(document))
    with pytest.raises(TrainingError, match=r"contrast_weight=0\.0, not 1\.0"):
        run(tmp_path, shards, steps=3, stage="vae", contrast_weight=1.0)
    assert max(losses(run(tmp_path, shards, steps=3, stage="vae", log_every=1))) == 3


def test_a_torn_checkpoint_is_named(shards: Path, tmp_path: Path) -> None:
    run(tmp_path, shards, steps=2)
    file = tmp_path / "run/checkpoints/step-000002/model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(TrainingError, match=r"model\.safetensors: damaged"):
        run(tmp_path, shards)


def test_two_runs_cannot_share_a_folder(shards: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run/.lock"), pytest.raises(TrainingError, match="another run is training here"):
        run(tmp_path, shards)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"optimiser": "adamw-8bit"}, "needs a CUDA device"),
        ({"log_with": ["wandb"]}, "pip install wandb"),
        ({"fsdp": True}, "there is one"),
        ({"start": "nowhere"}, "no such folder"),
        ({"data": "nowhere"}, "fypv2 preprocess"),
    ],
    ids=["8 bit", "tracker", "sharded", "start", "data"],
)
def test_what_cannot_be_had_is_said_in_one_line(
    changes: dict[str, Any], says: str, shards: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says) as fault:
        run(tmp_path, shards, **changes)
    assert "\n" not in str(fault.value)


def test_the_log_says_what_a_run_costs(shards: Path, tmp_path: Path) -> None:
    lines = run(tmp_path, shards, log_with=["tensorboard"], log_every=2)
    assert [line["step"] for line in lines] == [2, 3, 4, 6]
    for line in lines:
        assert line["samples_per_second"] > 0
        assert 0 <= line["busy"] <= 1
        assert line["memory_gb"] > 0.1
    assert list((tmp_path / "run/logs").rglob("events.out.tfevents*"))
    assert json.loads((tmp_path / "run/checkpoints/step-000006/state.json").read_text())["config"]["steps"] == 6


def test_the_rate_rises_and_falls(shards: Path, tmp_path: Path) -> None:
    config = configured(tmp_path, shards, steps=110, warmup=10, schedule="cosine", learning_rate=1e-3)
    rates = [learning_rate(config, step) for step in range(110)]
    assert rates[:10] == pytest.approx([1e-4 * (step + 1) for step in range(10)])
    assert rates[60] == pytest.approx(0.55e-3)
    assert rates[-1] == pytest.approx(1e-4, rel=0.01)
