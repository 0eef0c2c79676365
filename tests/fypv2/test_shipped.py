"""The trained checkpoint in the package: what is taken by default, and how to have something else."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import mini_config, picture, walk

import fypv2.shipped
from fypv2.checkpoint import fresh_pipeline, load_pipeline, save_pipeline
from fypv2.cli.main import main
from fypv2.conditions import nearness_from_depth, poses_of_annotations
from fypv2.config import load_config
from fypv2.errors import CheckpointError
from fypv2.extractors import save_poses
from fypv2.model.build import PARTS
from fypv2.shipped import SHIPPED, choose_checkpoint, shipped_checkpoint
from mcbench import load_method, render_clip, training_clips

NAME = SHIPPED["tiny"]
REAL = Path(fypv2.shipped.__file__).parent / "checkpoints"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder in which nothing ships yet."""
    folder = tmp_path / "package" / "checkpoints"
    monkeypatch.setattr("fypv2.shipped._FOLDER", folder)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def shipped(package: Path) -> Path:
    """The same with a model in it, in float16."""
    folder = package / NAME / "model"
    save_pipeline(fresh_pipeline(mini_config(steps=1), seed=6).to(torch.float16), folder)
    (package / NAME / "MODEL_CARD.md").write_text("a card")
    return folder


def test_nothing_ships_until_it_is_there(package: Path) -> None:
    assert shipped_checkpoint(NAME) is None
    method = load_method("fypv2")
    assert method.checkpoint is None
    assert "WITHOUT TRAINING" in (method.note or "")
    assert choose_checkpoint(Path(NAME), config="tiny", fresh=False) == Path(NAME)
    (package / NAME).mkdir(parents=True)
    assert shipped_checkpoint(NAME) is None


def test_what_ships_is_the_default(shipped: Path) -> None:
    method = load_method("fypv2")
    assert method.checkpoint == shipped
    assert method.note is None
    assert method.checkpoint_sha256 == load_method("fypv2", checkpoint=shipped).checkpoint_sha256
    named = load_method("fypv2", checkpoint=Path(NAME), settings={"config": "small"})
    assert named.checkpoint == shipped


def test_the_card_is_no_part_of_the_digest(shipped: Path) -> None:
    before = load_method("fypv2").checkpoint_sha256
    (shipped.parent / "MODEL_CARD.md").write_text("a better card")
    assert load_method("fypv2").checkpoint_sha256 == before


def test_fresh_weights_are_still_to_be_had(shipped: Path) -> None:
    for settings, config in (({"fresh": "true"}, "tiny"), ({"config": "paper"}, "paper")):
        method = load_method("fypv2", settings=settings)
        assert method.checkpoint is None
        assert method.checkpoint_sha256 is None
        assert f"WITHOUT TRAINING: config '{config}'" in (method.note or "")
    with pytest.raises(CheckpointError, match="contradict"):
        load_method("fypv2", settings={"fresh": "true"}, checkpoint=shipped)


def test_a_folder_of_one_s_own_counts_before_the_name(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    assert choose_checkpoint(Path(NAME), config="tiny", fresh=False) == Path(NAME)
    assert choose_checkpoint(Path("elsewhere") / NAME, config="tiny", fresh=False) == Path("elsewhere") / NAME


@pytest.mark.slow
def test_every_part_may_lie_in_many_files(tmp_path: Path) -> None:
    original = fresh_pipeline(mini_config(steps=1), seed=6).to(torch.float16)
    for name, size in (("small", "5KB"), ("large", "5GB")):
        save_pipeline(original, tmp_path / name, max_shard_size=size)
    loaded = load_pipeline(tmp_path / "small")
    for name in PARTS:
        assert len(list((tmp_path / "small" / name).glob("*.safetensors"))) > 1, name
        assert len(list((tmp_path / "large" / name).glob("*.safetensors"))) == 1, name
        mine, its = original.components[name].state_dict(), loaded.components[name].state_dict()
        assert mine.keys() == its.keys()
        assert all(torch.equal(value.float(), its[key]) for key, value in mine.items())
    next((tmp_path / "small" / "image_encoder").glob("*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match="shards that do not lie beside it"):
        load_pipeline(tmp_path / "small")


def animate(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    Image.fromarray(picture()).save("people.png")
    save_poses(walk(2), Path("poses.safetensors"))
    save_poses(walk(1), Path("people.safetensors"))
    given = ("people.png", "--poses", "poses.safetensors", "--reference-poses", "people.safetensors", "--depth", "none")
    monkeypatch.setattr(sys, "argv", ["fypv2", "animate", *given, "--steps", "1", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_animate_takes_it_too(shipped: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert animate(monkeypatch, "-o", "default") == 0
    assert "warning" not in capsys.readouterr().err
    assert animate(monkeypatch, "-o", "named", "--checkpoint", NAME) == 0
    frames = [np.asarray(Image.open(Path(name) / "00001.png")) for name in ("default", "named")]
    assert np.array_equal(*frames)
    assert animate(monkeypatch, "-o", "fresh", "--fresh", "--frames", "1") == 0
    assert "fresh weights" in capsys.readouterr().err
    assert animate(monkeypatch, "-o", "both", "--fresh", "--checkpoint", NAME) == 2


def test_what_the_package_holds_is_small_and_loads() -> None:
    """Of the real package: whatever lies there is within the limits, is no pickle, and what is named can be used."""
    sizes = {file: file.stat().st_size for file in REAL.rglob("*") if file.is_file()}
    assert sum(sizes.values()) <= 40_000_000
    assert all(size <= 15_000_000 for size in sizes.values())
    assert {file.suffix for file in sizes} <= {".safetensors", ".json", ".jsonl", ".md", ".png", ".yaml"}
    assert {folder.name for folder in REAL.glob("*")} == set(SHIPPED.values())
    for folder in REAL.glob("*"):
        assert load_pipeline(folder / "model").model_config.name == "tiny"
        digest = load_method("fypv2", checkpoint=folder / "model").checkpoint_sha256
        assert digest in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert json.loads((folder / "held_out.json").read_text(encoding="utf-8"))["checkpoint_sha256"] == digest
        assert "](contact_sheet.png)" in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert Image.open(folder / "contact_sheet.png").width > 500


def test_what_ships_moves_people_as_they_are_driven() -> None:
    """Where people are, and where they were: nearer to the truth than the still reference is; unlike fresh weights."""
    frames, size = 8, 128
    drawn = list(render_clip(next(training_clips(4, 1, 25, size, "still"))))[:: 24 // (frames - 1)]
    truth = np.stack([frame.image for frame in drawn]).astype(np.float64)
    people = np.stack([(frame.mask > 0) | (drawn[0].mask > 0) for frame in drawn])
    keypoints, seen = (np.stack([getattr(frame, name) for frame in drawn]) for name in ("keypoints", "visibility"))
    poses = poses_of_annotations(keypoints, seen, (size, size))
    folder = shipped_checkpoint(NAME)
    assert folder is not None
    errors = []
    for pipeline in (load_pipeline(folder), fresh_pipeline(load_config("tiny"))):
        pipeline.set_progress_bar_config(disable=True)
        made = pipeline(
            drawn[0].image, poses, poses.frame(0), reference_nearness=nearness_from_depth(drawn[0].depth),
            height=size, width=size, num_inference_steps=10, generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        errors.append(np.abs(np.asarray(made.frames) - truth)[1:][people[1:]].mean())
    still = np.abs(truth[:1] - truth)[1:][people[1:]].mean()
    assert errors[0] < still < errors[1]
