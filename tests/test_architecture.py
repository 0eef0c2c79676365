"""The house: which room may know which, and what is public."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mcbench

ROOT = Path(__file__).resolve().parent.parent

# From bottom to top; a room imports from its own level or below.
LEVELS = {
    "ahead": 0,
    "allocator": 0,
    "errors": 0,
    "home": 0,
    "workers": 0,
    "engines": 1,
    "command_line": 1,
    "resources": 0,
    "protocol": 1,
    "geometry": 1,
    "atomic": 1,
    "digests": 0,
    "video": 1,
    "backbones": 2,
    "datasets": 2,
    "download": 3,
    "metrics": 3,
    "statistics": 4,
    "results": 4,
    "cases": 4,
    "methods": 4,
    "measurement": 4,
    "features": 5,
    "measure": 6,
    "run_folder": 5,
    "provenance": 5,
    "aggregate": 6,
    "evaluation": 7,
    "doctor": 7,
    "web": 0,
    "compare": 7,
    "submissions": 7,
    "leaderboard": 8,
    "tables": 8,
    "report": 8,
    "site": 9,
    "cli": 10,
    "__main__": 11,
}


def imports_of(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "mcbench" and len(parts) > 1 else None


@pytest.mark.parametrize("file", sorted((ROOT / "mcbench").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_arrows_point_downwards(file: Path) -> None:
    room = file.relative_to(ROOT / "mcbench").parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for module in imports_of(file):
        assert module.split(".")[0] not in {"baselines", "fypv2"}, f"{file.name} imports {module}"
        other = room_of(module)
        if other is not None:
            assert LEVELS[other] <= LEVELS[room], f"{room} must not know {other}"


@pytest.mark.parametrize("package", ["baselines", "fypv2"])
def test_what_is_measured_uses_only_the_public_names(package: str) -> None:
    for file in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mcbench"):
                assert node.module == "mcbench", f"{file.name} reaches into {node.module}"
                assert {alias.name for alias in node.names} <= set(mcbench.__all__)


def test_in_baselines_adapters_know_the_machinery_and_not_the_reverse() -> None:
    rooms = {"launchers": {"launchers"}, "inputs": {"inputs"}, "external": {"external", "inputs", "launchers"}}
    for room, known in rooms.items():
        for file in sorted((ROOT / "baselines" / room).rglob("*.py")):
            for module in imports_of(file):
                if module.startswith("baselines"):
                    assert module.split(".")[1] in known, f"{file.name} imports {module}"


def test_the_public_names_are_just_these() -> None:
    """Who adds one answers for it in every later version; who takes one away breaks the packages of others."""
    assert mcbench.__all__ == [
        *("KEYPOINT_NAMES", "PROTOCOLS", "Annotations", "Cameras", "Case", "Clip", "Dataset", "DrivingPoses"),
        *("FrameSource", "Method", "MethodError", "NativeOutput", "Protocol", "Question", "ReferenceAnnotations"),
        *("Result", "UserError", "case_digest", "evaluate", "files_of", "files_sha256", "find_clips", "home_folder"),
        *("load_dataset", "load_method", "open_frames", "open_truth", "read_result", "render_clip"),
        *("run_command_line", "run_on_ray", "score", "share_threads", "this_worker", "to_square", "training_clips"),
        *("write_frames", "write_video"),
    ]


def test_every_public_name_is_there() -> None:
    for name in mcbench.__all__:
        assert getattr(mcbench, name) is not None
    assert sorted(mcbench._HOMES) == sorted(mcbench.__all__)
    assert not hasattr(mcbench, "no_such_name")


@pytest.mark.parametrize("statement", ["import mcbench", "import mcbench.cli.main"])
def test_start_up_does_not_load_torch(statement: str) -> None:
    code = f"{statement}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_no_file_is_too_long_to_read_in_one_sitting() -> None:
    for package in ("mcbench", "baselines", "fypv2"):
        for file in sorted((ROOT / package).rglob("*.py")):
            assert len(file.read_text(encoding="utf-8").splitlines()) <= 450, file


def test_no_public_function_is_hidden_by_a_module_of_its_name() -> None:
    """Python sets a sub-module as an attribute when it is first imported, in front of what `__getattr__` would give."""
    modules = {file.stem for file in (ROOT / "mcbench").iterdir()}
    assert not modules & set(mcbench.__all__)
