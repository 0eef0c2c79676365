"""The wheel, installed in a folder of its own: its data is there, and verbs that need it work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(folder / "site"), str(wheel)], check=True)
    return folder


def run(installed: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed / "site"), "MCBENCH_HOME": str(installed / "home")}
    elsewhere = installed / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, *arguments], cwd=elsewhere, env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_it_is_the_installed_one_that_runs(installed: Path) -> None:
    where = run(installed, "-c", "import mcbench, baselines, fypv2; print(mcbench.__file__)")
    assert where.startswith(str(installed / "site"))


def test_the_data_ships(installed: Path) -> None:
    cards = json.loads(run(installed, "-m", "mcbench", "datasets", "--json"))
    assert {"synthetic", "synthetic-mini"} <= {card["name"] for card in cards}
    assert "synthetic-mini" in run(installed, "-m", "mcbench", "datasets", "synthetic-mini")
    folder = Path(
        run(installed, "-c", "from mcbench.resources import data_folder; print(data_folder('leaderboard'))").strip()
    )
    assert folder.is_relative_to(installed / "site")
    assert folder.is_dir()


def test_methods_are_found_and_a_run_goes_through(installed: Path) -> None:
    assert {"copy-reference", "truth"} <= {
        row["name"] for row in json.loads(run(installed, "-m", "mcbench", "methods", "--json"))
    }
    arguments = (
        "eval",
        "--method",
        "copy-reference",
        "--clips",
        "1",
        "--frames",
        "2",
        "--protocol",
        "mcbench@1",
        "--json",
    )
    result = json.loads(run(installed, "-m", "mcbench", *arguments))
    assert result["provenance"]["git_commit"] is None
    assert result["protocols"]["mcbench@1"]["metrics"]["psnr"]["value"] > 0


def test_nothing_else_is_in_it(installed: Path) -> None:
    (wheel,) = installed.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"mcbench", "baselines", "fypv2"}
    assert not [name for name in names if name.endswith((".pth", ".pt", ".mp4", ".pyc"))]
