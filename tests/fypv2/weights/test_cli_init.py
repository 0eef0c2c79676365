"""`fypv2 init`: what it prints, and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
import typer
from weight_files import sample_config, trained_parts, write_sources

from fypv2.cli import init as cli_init
from mcbench import run_command_line


class End:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def init(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    def run(*words: str) -> End:
        app = typer.Typer(pretty_exceptions_enable=False)
        app.command(cli_init.NAME)(cli_init.run)
        app.callback()(lambda: None)
        monkeypatch.setattr(sys, "argv", ["fypv2", "init", *words])
        with pytest.raises(SystemExit) as ended:
            run_command_line(app, "fypv2")
        captured = capsys.readouterr()
        return End(int(ended.value.code or 0), captured.out, captured.err)

    return run


def test_a_dry_run_tells_the_papers_parts(init) -> None:  # type: ignore[no-untyped-def]
    end = init("--config", "paper", "--dry-run", "--json")
    assert (end.code, end.err) == (0, "")
    told = json.loads(end.out)
    assert told["parameters"] == 2_564_217_199
    rows = {row["name"]: row for row in told["components"]}
    assert rows["motion"] == {
        "name": "motion",
        "part": "unet",
        "source": "guoyww/animatediff",
        "keys": 567,
        "parameters": 453_209_280,
        # the numbers, and the positions of 21 modules for 32 frames
        "bytes": 4 * (453_209_280 + 32 * 18_880),
        "drawn": [],
    }
    assert rows["pose_guider"]["drawn"] == ["conv_out.weight", "conv_out.bias"]
    assert rows["flow_guider"]["source"] == "fresh"
    assert len(rows["flow_guider"]["drawn"]) == 16
    table = init("--dry-run").out
    assert "859,520,964" in table
    assert "stabilityai/sd-vae-ft-mse" in table


def test_a_fresh_checkpoint(init, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    end = init("--config", "tiny", "--out", str(tmp_path / "tiny"), "--dtype", "float16", "--json")
    assert end.code == 0
    told = json.loads(end.out)
    assert told["folder"] == str(tmp_path / "tiny")
    assert {row["source"] for row in told["components"]} == {"fresh"}
    assert (tmp_path / "tiny" / "model_index.json").is_file()


def test_a_checkpoint_from_files(init, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    config = sample_config()
    (tmp_path / "sample.yaml").write_text(config.model_dump_json())
    parts = trained_parts(config)
    parts["vae"]["adapter.weight"] = torch.zeros(2)
    places = write_sources(tmp_path / "sources", parts, config)
    words = [word for source, place in places.items() for word in (f"--{source}", place)]
    end = init("--config", str(tmp_path / "sample.yaml"), "--out", str(tmp_path / "out"), *words)
    assert end.code == 0
    assert "vae.safetensors (vae): 1 tensors that are not known were left: adapter.weight" in end.err
    assert "AnimateDiff" in end.out
    report = json.loads((tmp_path / "out" / "starting_weights.json").read_text())
    assert report["schema"] == "fypv2.starting-weights/1"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--out is missing"),
        (("--config", "papr", "--dry-run"), "no config is called 'papr'"),
        (("--fresh", "--vae", "x", "--dry-run"), "--fresh and --vae exclude each other"),
        (("--allow-missing", "vea", "--dry-run"), "did you mean 'vae'"),
        (("--revision", "main", "--dry-run"), "--revision takes SOURCE=REVISION"),
        (("--revision", "clip=main", "--dry-run"), "nothing is called 'clip'"),
        (("--dtype", "float64", "--dry-run"), "float64"),
        (("--config", "tiny", "--out", "out", "--vae", "./none.bin"), "no vae weights at './none.bin'"),
    ],
)
def test_faults_are_one_line_and_exit_code_2(init, words: tuple[str, ...], told: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    end = init(*words)
    assert (end.code, end.out) == (2, "")
    assert told in end.err
    assert end.err.count("\n") == 1
    assert end.err.startswith("fypv2: error: ")


def test_every_option_is_explained(init) -> None:  # type: ignore[no-untyped-def]
    text = init("--help").out
    for option in (
        "--unet",
        "--motion",
        "--vae",
        "--image-encoder",
        "--controlnet",
        "--guider-output",
        "--allow-missing",
    ):
        assert option in text
