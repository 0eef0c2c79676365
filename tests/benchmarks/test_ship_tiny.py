"""From a training to what ships."""

from __future__ import annotations

import json
import shlex
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ship_tiny
import torch
from safetensors import safe_open
from ship_tiny import command_of, main, runs_behind, ship
from training_runs import run

from fypv2.checkpoint import load_pipeline
from fypv2.training.config import load_train_config
from mcbench import UserError


@pytest.fixture(scope="module")
def trained(mini_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VAE, stage 1 on it in two goes, its decoder again and stage 2, of two steps each."""
    folder = tmp_path_factory.mktemp("trained")
    run(folder / "vae", mini_shards, stage="vae", steps=2)
    run(folder / "one", mini_shards, steps=2, start=str(folder / "vae/run/model"))
    run(folder / "more", mini_shards, steps=2, start=str(folder / "one/run/model"))
    run(folder / "decoder", mini_shards, stage="decoder", steps=2, start=str(folder / "more/run/model"))
    run(folder / "two", mini_shards, stage=2, frames=4, steps=2, start=str(folder / "decoder/run/model"))
    return folder / "two" / "run"


@pytest.mark.slow
def test_a_training_ships(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [one.name for one in runs_behind(trained)] == ["vae", "stage1", "stage1-2", "decoder", "stage2"]
    place = tmp_path / "package" / "fypv2-tiny"
    main([str(trained), "--place", str(place), "--machine", "two cores"])
    report = json.loads(capsys.readouterr().out)
    assert report["mean_levels"] < 1
    sizes = {file: file.stat().st_size for file in place.rglob("*") if file.is_file()}
    assert report["bytes"] == sum(sizes.values())
    assert report["largest_bytes"] == max(sizes.values())
    for file in place.rglob("*.safetensors"):
        with safe_open(file, framework="pt") as content:
            assert {content.get_tensor(key).dtype for key in content.keys()} == {torch.float16}  # noqa: SIM118
    assert load_pipeline(place / "model").model_config == load_pipeline(trained / "model").model_config
    assert sorted(file.name for file in (place / "training").iterdir()) == [
        *("1-vae.json", "1-vae.log.jsonl", "2-stage1.json", "2-stage1.log.jsonl"),
        *("3-stage1-2.json", "3-stage1-2.log.jsonl", "4-decoder.json", "4-decoder.log.jsonl"),
        *("5-stage2.json", "5-stage2.log.jsonl", "mini.yaml"),
    ]
    assert len((place / "training" / "2-stage1.log.jsonl").read_text().splitlines()) == 2
    card = (place / "MODEL_CARD.md").read_text()
    assert "fypv2 preprocess synthetic --clips 4 --frames 10 --size 64 --seed 0 -o DATA\nfypv2 train tiny-vae" in card
    assert " --out runs/tiny-stage1-2 --set start=runs/tiny-stage1/model" in card
    assert report["checkpoint_sha256"] in card
    assert "On two cores." in card
    assert "Not judged yet." in card
    own = str(trained.parent.parent).encode()
    assert not [file for file in sizes if file.suffix != ".jsonl" and own in file.read_bytes()], "no one's own folders"
    first = report["checkpoint_sha256"]
    assert ship(trained, place)["checkpoint_sha256"] == first, "the same weights, the same digest"
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.slow
def test_the_judgement_must_be_of_these_weights(trained: Path, tmp_path: Path) -> None:
    place, judged = tmp_path / "fypv2-tiny", tmp_path / "judged"
    judged.mkdir()
    (judged / "held_out.md").write_text("a table\n")
    (judged / "contact_sheet.png").write_bytes(b"a picture")
    digest = ship(trained, place)["checkpoint_sha256"]
    (judged / "held_out.json").write_text(json.dumps({"checkpoint_sha256": "0" * 64}))
    with pytest.raises(UserError, match="other weights"):
        ship(trained, place, held_out=judged)
    assert "a table" not in (place / "MODEL_CARD.md").read_text()
    (judged / "held_out.json").write_text(json.dumps({"checkpoint_sha256": digest}))
    assert ship(trained, place, held_out=judged)["checkpoint_sha256"] == digest
    assert "a table\n\n![contact sheet](contact_sheet.png)" in (place / "MODEL_CARD.md").read_text()
    assert (place / "contact_sheet.png").read_bytes() == b"a picture"


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["FILE_BYTES", "TOTAL_BYTES", "MEAN_LEVELS"])
def test_what_is_too_large_or_too_coarse_replaces_nothing(
    trained: Path, tmp_path: Path, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "fypv2-tiny"
    place.mkdir()
    (place / "before").touch()
    monkeypatch.setattr(ship_tiny, limit, -1)
    with pytest.raises(UserError, match=r"is the most|too narrow"):
        ship(trained, place)
    assert [file.name for file in place.iterdir()] == ["before"]
    assert list(tmp_path.iterdir()) == [place]


def test_an_unfinished_training_does_not_ship(mini_shards: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint of a training"):
        ship(tmp_path, tmp_path / "place")
    run(tmp_path, mini_shards, steps=1, save_every=1)
    (state,) = (tmp_path / "run" / "checkpoints").glob("*/state.json")
    content = json.loads(state.read_text())
    content["config"]["steps"] = 5
    state.write_text(json.dumps(content))
    with pytest.raises(UserError, match="step 1 of 5; train it to its end"):
        ship(tmp_path / "run", tmp_path / "place")
    assert not (tmp_path / "place").exists()


def test_the_command_says_all_that_differs_from_a_config_that_ships() -> None:
    settings = ["steps=77", "mixed_precision=bf16", "learning_rate=1e-5", "min_snr_gamma=null", "trains=[unet, motion]"]
    plan = load_train_config("tiny-stage2", settings, start="/somewhere/one/model", data="/a", out="/b")
    made: Any = SimpleNamespace(config=plan.model_dump(mode="json"), name="stage2")
    words = command_of(made, SimpleNamespace(name="decoder"))  # type: ignore[arg-type]
    assert words.startswith("fypv2 train tiny-stage2 --data DATA --out runs/tiny-stage2 --set ")
    assert "start" not in words, "the config's own start is the run before"
    given = [word for before, word in pairwise(shlex.split(words)) if before == "--set"]
    again = load_train_config("tiny-stage2", given, start=plan.start, data="/a", out="/b")
    assert again == plan


def test_data_of_two_kinds_are_told_apart(tmp_path: Path) -> None:
    def made(name: str, data: str) -> Any:
        config = load_train_config("tiny-vae" if name == "vae" else "tiny-stage1", data="/a", out="/b")
        saved = SimpleNamespace(state={"data": data, "config": config.model_dump(mode="json")}, step=1)
        return ship_tiny.Run(name, tmp_path, saved)  # type: ignore[arg-type]

    runs = [made("vae", "1" * 64), made("stage1", "2" * 64)]
    report = {"parameters": {"unet": 1}, "checkpoint_sha256": "0" * 64, "mean_levels": 0.0}
    card = ship_tiny._card(runs, report, None, None)
    assert "fypv2 train tiny-vae --data DATA-1 --out runs/tiny-vae\n" in card
    assert "fypv2 train tiny-stage1 --data DATA-2 --out runs/tiny-stage1\n" in card


def test_a_long_command_is_one_for_a_shell() -> None:
    command = "fypv2 train tiny-stage1 " + " ".join(f"--set 'stride=[{k}, {k}]'" for k in range(1, 9))
    folded = ship_tiny._folded(command)
    assert max(map(len, folded.splitlines())) <= 112
    assert shlex.split(folded.replace("\\\n", "")) == shlex.split(command)
