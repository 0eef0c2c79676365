"""Training configs: those that ship, and values from the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fypv2.config import load_config
from fypv2.errors import ConfigError
from fypv2.training.config import TRAIN_CONFIGS, load_train_config

CONFIGS = Path(__file__).resolve().parents[3] / "fypv2/configs/train"


@pytest.mark.parametrize("name", TRAIN_CONFIGS)
def test_every_config_that_ships_is_one(name: str) -> None:
    config = load_train_config(name)
    assert load_config(config.model).name == name.split("-")[0]
    assert str(config.stage) == name.split("-")[1].removeprefix("stage")
    if config.stage == 2:
        assert config.frames <= load_config(config.model).motion["motion_max_seq_length"]


def test_the_folder_holds_just_these() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(TRAIN_CONFIGS)


def test_the_papers_numbers_are_the_papers() -> None:
    one, two = load_train_config("paper-stage1"), load_train_config("paper-stage2")
    assert (one.steps, one.batch, one.frames) == (60_000, 4, 1)
    assert (two.steps, two.batch, two.frames) == (60_000, 1, 16)
    assert {(config.height, config.width) for config in (one, two)} == {(896, 640)}
    assert one.learning == ("unet", "reference_unet", "guiders")
    assert two.learning == ("unet", "reference_unet", "guiders", "motion")


def test_any_value_can_be_set() -> None:
    overrides = [
        "steps=7",
        "stride=[2, 3]",
        "learning_rate=1e-4",
        "without=[flow, depth]",
        "sample_every=null",
        "start=a",
    ]
    config = load_train_config("tiny-stage2", overrides, data="shards", out=None)
    assert (config.steps, config.stride, config.learning_rate) == (7, (2, 3), 1e-4)
    assert (config.without, config.sample_every, config.start) == (("flow", "depth"), None, "a")
    assert (config.data, config.out) == ("shards", None)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["step=7"], "did you mean steps"),
        (["steps"], "key=value"),
        (["steps=many"], "tiny-stage1, steps"),
        (["steps=0"], "steps"),
        (["batch=8", "micro_batch=3"], "multiple"),
        (["stride=[3, 2]"], "stride"),
        (["trains=[motion]"], "stage 2"),
        (["stage=2", "frames=1"], "windows"),
        (["learning_rate=.inf"], "learning_rate"),
        (["steps=[1"], "YAML"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_wrong_value_is_named(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as fault:
        load_train_config("tiny-stage1", overrides)
    assert "\n" not in str(fault.value)


def test_a_config_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"stage": 1, "steps": 3, "batch": 1, "learning_rate": 1e-4}))
    assert load_train_config(path).steps == 3
    with pytest.raises(ConfigError, match="tiny-stage1"):
        load_train_config("mine")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_train_config(tmp_path / "other.yaml")
    path.write_text("- 1\n")
    with pytest.raises(ConfigError, match="mapping"):
        load_train_config(path)


def test_the_command_line_says_a_fault_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fypv2.cli", "train", "tiny-stage1", "--out", str(tmp_path), "--set", "step=7"]
    end = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (end.returncode, end.stdout) == (2, "")
    assert end.stderr == "fypv2: error: --set step: no such key; did you mean steps?\n"


def test_no_mixed_precision_can_be_said(tmp_path: Path) -> None:
    """As the advice at a loss that is not finite has it, and as a file would say it."""
    assert load_train_config("tiny-decoder", ["mixed_precision=no"]).mixed_precision == "no"
    path = tmp_path / "own.yaml"
    path.write_text("stage: 1\nsteps: 1\nbatch: 1\nlearning_rate: 0.1\nmixed_precision: no\n")
    assert load_train_config(path).mixed_precision == "no"
