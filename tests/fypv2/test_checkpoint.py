"""Checkpoints come back as they were; what is not one is refused in one line and never executed."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import mini_config, picture, shake, walk
from torch import nn

from fypv2.checkpoint import fresh_pipeline, load_pipeline, read_settings, save_pipeline
from fypv2.errors import CheckpointError


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "mini"
    pipeline = fresh_pipeline(mini_config(), seed=6)
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            shake(part)
    save_pipeline(pipeline, folder)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def frames(pipeline: Any) -> np.ndarray:
    pipeline.set_progress_bar_config(disable=True)
    return np.asarray(pipeline(picture(), walk(2), walk(1), generator=torch.Generator().manual_seed(0)).frames)


def test_a_loaded_model_makes_the_same_frames(saved: Path, tmp_path: Path) -> None:
    first = load_pipeline(saved)
    save_pipeline(first, tmp_path / "again", max_shard_size="200KB")
    assert list((tmp_path / "again" / "unet").glob("*-of-*.safetensors"))
    again = load_pipeline(tmp_path / "again")
    assert np.array_equal(frames(first), frames(again))
    assert again.model_config == mini_config()


def test_everything_that_was_awake_comes_back(saved: Path) -> None:
    pipeline = load_pipeline(saved)
    for name in ("unet", "reference_unet", "pose_guider", "vae"):
        stored = load_file(next((saved / name).glob("*.safetensors")))
        state = getattr(pipeline, name).state_dict()
        assert all(torch.equal(state[key], value) for key, value in stored.items())


def test_weights_in_half_take_half(saved: Path) -> None:
    assert {p.dtype for p in load_pipeline(saved, dtype=torch.float16).unet.parameters()} == {torch.float16}


def test_a_model_without_a_guider_comes_back_without_it(tmp_path: Path) -> None:
    save_pipeline(fresh_pipeline(mini_config(use_depth=False)), tmp_path / "ablation")
    assert load_pipeline(tmp_path / "ablation").depth_guider is None


def edit_index(folder: Path, **changes: Any) -> None:
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | changes))


class Bomb:
    """A pickle that leaves a mark where it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def plant_pickle(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Bomb(folder / "exploded")))
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()


def truncate(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def lose_a_weight(folder: Path) -> None:
    file = folder / "reference_unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    del state["conv_out.weight"]
    save_file(state, file)


def other_shape(folder: Path) -> None:
    file = folder / "pose_guider" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    state["conv_in.weight"] = torch.zeros(1, 3, 3, 3)
    save_file(state, file)


def edit_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def edit_weights(folder: Path, part: str, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    file = next((folder / part).glob("*.safetensors"))
    state = load_file(file)
    change(state)
    save_file(state, file, metadata={"format": "pt"})


def shard_elsewhere(folder: Path) -> None:
    """The image encoder's index names a pickle beside the checkpoint."""
    (folder.parent / "bomb.bin").write_bytes(pickle.dumps(Bomb(folder / "exploded")))
    (folder / "image_encoder" / "model.safetensors").unlink()
    shards = {"metadata": {}, "weight_map": {"visual_projection.weight": "../../bomb.bin"}}
    (folder / "image_encoder" / "model.safetensors.index.json").write_text(json.dumps(shards))


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pickle": (plant_pickle, "a pickle"),
    "truncated": (truncate, "cannot be loaded"),
    "a weight is missing": (lose_a_weight, "conv_out.weight"),
    "another shape": (other_shape, "conv_in.weight"),
    "no index": (lambda folder: (folder / "model_index.json").unlink(), "no checkpoint"),
    "index is no JSON": (lambda folder: (folder / "model_index.json").write_text("{"), "cannot be read"),
    "index is a list": (lambda folder: (folder / "model_index.json").write_text("[]"), "something else"),
    "index is deep": (lambda folder: (folder / "model_index.json").write_text("[" * 100_000), "cannot be read"),
    "another pipeline": (
        lambda folder: edit_index(folder, _class_name="StableDiffusionPipeline"),
        "StableDiffusionPipeline",
    ),
    "a class of one's own": (lambda folder: edit_index(folder, unet=["os", "system"]), "'unet' must be"),
    "a part too many": (lambda folder: edit_index(folder, helper=["os", "system"]), "helper"),
    "no settings": (lambda folder: edit_index(folder, settings=None), "not a config"),
    # transformers draws what is missing, and keeps silent about what is too many.
    "an encoder's weight is missing": (
        lambda folder: edit_weights(folder, "image_encoder", lambda state: state.pop("visual_projection.weight")),
        "lacks visual_projection.weight",
    ),
    "a weight too many": (
        lambda folder: edit_weights(folder, "vae", lambda state: state.update(strange=torch.zeros(2))),
        "strange",
    ),
    "whole numbers": (
        lambda folder: edit_weights(folder, "vae", lambda s: s.update({k: v.to(torch.int8) for k, v in s.items()})),
        "not floating",
    ),
    "not finite": (
        lambda folder: edit_weights(folder, "flow_guider", lambda state: state["conv_in.bias"].fill_(torch.nan)),
        "not finite",
    ),
    "a shard elsewhere": (shard_elsewhere, "do not lie beside it"),
    "a part in four bits": (
        lambda folder: edit_json(
            folder / "image_encoder" / "config.json", quantization_config={"quant_method": "gptq", "bits": 4}
        ),
        "quantised",
    ),
    "other heads of the same width": (
        lambda folder: edit_json(folder / "image_encoder" / "config.json", num_attention_heads=4),
        "num_attention_heads",
    ),
    "another schedule": (
        lambda folder: edit_json(folder / "scheduler" / "scheduler_config.json", prediction_type="epsilon"),
        "prediction_type",
    ),
    "another preprocessing": (
        lambda folder: edit_json(folder / "feature_extractor" / "preprocessor_config.json", do_resize=False),
        "do_resize",
    ),
    "a part is gone": (lambda folder: shutil.rmtree(folder / "vae"), "vae"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_no_checkpoint_is_refused_in_one_line(copy: Path, name: str) -> None:
    damage, says = FAULTS[name]
    damage(copy)
    with pytest.raises(CheckpointError) as fault:
        load_pipeline(copy)
    assert says in str(fault.value)
    assert "\n" not in str(fault.value)
    assert not (copy / "exploded").exists()


def test_another_config_is_refused(saved: Path) -> None:
    assert read_settings(saved).name == "mini"
    with pytest.raises(CheckpointError, match="'mini', not of 'paper'"):
        load_pipeline(saved, config="paper")


def test_a_missing_folder_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="fypv2 init"):
        load_pipeline(tmp_path / "nowhere")


def test_saving_replaces_a_checkpoint_but_nothing_else(saved: Path, tmp_path: Path) -> None:
    pipeline = load_pipeline(saved)
    save_pipeline(pipeline, tmp_path / "here")
    save_pipeline(pipeline, tmp_path / "here")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_text("dear")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        save_pipeline(pipeline, tmp_path / "letters")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["here", "letters"]
    assert (tmp_path / "letters" / "one.txt").read_text() == "dear"


def test_others_may_read_a_checkpoint(saved: Path) -> None:
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in saved.rglob("*"))


def test_the_old_checkpoint_outlives_a_new_one_that_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it cannot be put back: then it lies aside."""
    pipeline = fresh_pipeline(mini_config())
    save_pipeline(pipeline, tmp_path / "model")
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if Path(target) == tmp_path / "model":
            raise OSError("refused")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(CheckpointError, match="refused"):
        save_pipeline(pipeline, tmp_path / "model")
    (aside,) = tmp_path.iterdir()
    load_pipeline(aside)
