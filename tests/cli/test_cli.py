"""The command line: one line for a fault, one document for --json, and examples that work."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcbench.cli import (
    compare,
    console,
    datasets,
    doctor,
    download,
    env,
    eval,
    leaderboard,
    methods,
    report,
    score,
    submit,
    table,
    verify,
)
from mcbench.video import write_frames

ROOT = Path(__file__).resolve().parents[2]
MEASURING = (eval, score, doctor, download, datasets, methods, env)
"""Their examples run here, one after the other; those of the others in their own tests, on results made there."""
VERBS = (*MEASURING, compare, report, table, leaderboard, submit, verify)


class TestFaults:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("evaluate", "No such command 'evaluate'"),
            ("eval", "Missing option '--method'"),
            ("eval --method copy-referense", "did you mean 'copy-reference'"),
            ("eval --methd copy-reference", "--method"),
            ("eval --method copy-reference --dataset sintetic", "did you mean 'synthetic'"),
            ("eval --method copy-reference --protocol mcbench", "disco-legacy@1 and mcbench@1"),
            ("eval --method copy-reference --weights random@2", "give published, random@1 or BACKBONE=PATH"),
            ("eval --method copy-reference --weights i3=random@1", "did you mean 'i3d'"),
            ("eval --method copy-reference --weights published --weights random@1", "contradict each other"),
            ("eval --method copy-reference --set steps", "give it as key=value"),
            ("eval --method copy-reference --set steps=3", "setting 'steps'"),
            ("eval --method copy-reference --set a=1 --set a=2", "--set a=1 and a=2 contradict each other"),
            ("eval --method truth --weights i3d=x --weights i3d=y", "--weights i3d=x and i3d=y contradict each other"),
            ("eval --method copy-reference --checkpoint x.pt", "takes no checkpoint"),
            ("eval --method copy-reference --clips 0", "--clips 0: at least 1"),
            ("eval --method copy-reference --frames none", "--frames"),
            ("eval --method copy-reference --workers 0", "--workers 0: at least 1"),
            ("eval --method copy-reference --engine slurm", "no engine is called 'slurm'"),
            ("eval --method copy-reference --device tpu9", "no device is called 'tpu9'"),
            ("score predictions", "give either --dataset NAME or --truth DIR"),
            ("score predictions --dataset synthetic-mini --truth truth", "give either --dataset NAME or --truth DIR"),
            ("score predictions --truth nowhere", "nowhere: no such folder"),
            ("datasets syntetic", "did you mean 'synthetic'"),
        ],
    )
    def test_one_line_exit_2_and_nothing_on_stdout(
        self, mcbench: Callable[[str], tuple[int, str, str]], arguments: str, message: str
    ) -> None:
        code, out, error = mcbench(arguments)
        assert (code, out) == (2, "")
        assert error.startswith("mcbench: error: ")
        assert error.count("\n") == 1
        assert message in error

    def test_missing_weights_name_the_file_and_the_way_on(
        self, mcbench: Callable[[str], tuple[int, str, str]], clip_folders: Callable[..., Path]
    ) -> None:
        clip_folders("truth"), clip_folders("predictions")
        code, out, error = mcbench("score predictions --truth truth")
        assert (code, out, error.count("\n")) == (2, "", 1)
        for part in ("pt_inception-2015-12-05-6726825d.pth", "6726825d0af5f729", "https://", "--weights random@1"):
            assert part in error
        assert not Path("runs/predictions-custom/result.json").exists()

    @pytest.mark.usefixtures("fake_networks")
    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda folder: shutil.rmtree(folder / "b"), "1 of 2 clips are missing: b"),
            (lambda folder: (folder / "a" / "00017.png").unlink(), "17 frames, fewer than the 18 of its truth"),
            (
                lambda folder: (folder / "a" / "00003.png").write_bytes(b"\x89PNG"),
                "00003.png: this frame does not decode",
            ),
            (
                lambda folder: Image.new("RGB", (64, 65)).save(folder / "a" / "00003.png"),
                "all frames of a clip have one size",
            ),
            (lambda folder: Image.new("RGB", (64, 64)).save(folder / "a" / "3.png"), "are the same frame number"),
            (lambda folder: [file.unlink() for file in (folder / "a").iterdir()], "no frames in it"),
        ],
    )
    def test_bad_predictions(
        self,
        mcbench: Callable[[str], tuple[int, str, str]],
        clip_folders: Callable[..., Path],
        spoil: Callable[[Path], object],
        message: str,
    ) -> None:
        clip_folders("truth")
        spoil(clip_folders("predictions"))
        code, out, error = mcbench("score predictions --truth truth --weights random@1")
        assert (code, out, error.count("\n")) == (2, "", 1)
        assert message in error
        assert not Path("runs/predictions-custom/result.json").exists()

    def test_a_link_to_itself(self, mcbench: Callable[[str], tuple[int, str, str]]) -> None:
        Path("loop").symlink_to("loop")
        for arguments in ("score loop --truth loop", "score . --truth loop"):
            code, out, error = mcbench(arguments)
            assert (code, out, error.count("\n")) == (2, "", 1)
            assert "loop: cannot be listed" in error

    def test_debug_shows_the_traceback(self, mcbench: Callable[[str], tuple[int, str, str]]) -> None:
        with pytest.raises(Exception, match="did you mean 'copy-reference'"):
            mcbench("eval --method copy-referense --debug")


@pytest.mark.usefixtures("fake_networks")
class TestOutput:
    def test_json_is_the_result_file(
        self, mcbench: Callable[[str], tuple[int, str, str]], clip_folders: Callable[..., Path]
    ) -> None:
        clip_folders("truth"), clip_folders("predictions", noise=9)
        code, out, _ = mcbench("score predictions --truth truth --weights random@1 --out run --json")
        assert code == 0
        assert out == Path("run/result.json").read_text()
        assert json.loads(out)["schema"] == "mcbench.result/1"

    def test_the_table_says_what_a_reader_must_know(
        self, mcbench: Callable[[str], tuple[int, str, str]], clip_folders: Callable[..., Path]
    ) -> None:
        clip_folders("truth"), clip_folders("predictions", noise=9)
        code, out, error = mcbench("score predictions --truth truth --weights random@1")
        assert code == 0
        for part in ("disco-legacy@1", "mcbench@1", "FID-VID ↓", "random@1", "an interval needs 8 videos"):
            assert part in out
        assert "result.json" in error

    @pytest.mark.parametrize("terminal", [True, False])
    def test_a_narrow_place_shows_the_numbers(
        self,
        mcbench: Callable[[str], tuple[int, str, str]],
        clip_folders: Callable[..., Path],
        monkeypatch: pytest.MonkeyPatch,
        terminal: bool,
    ) -> None:
        clip_folders("truth", 1, 3), clip_folders("predictions", 1, 3, noise=9)
        monkeypatch.setenv("COLUMNS", "40")
        monkeypatch.setattr(console.output, "_force_terminal", terminal)
        code, out, _ = mcbench("score predictions --truth truth --weights random@1 --protocol mcbench@1 --out run")
        assert code == 0
        out = re.sub(r"\x1b\[[0-9;]*m", "", out)
        metrics = json.loads(Path("run/result.json").read_text())["protocols"]["mcbench@1"]["metrics"]
        assert re.search(rf"PSNR ↑ +{metrics['psnr']['value']:.2f} ", out)
        assert re.search(rf"SSIM ↑ +{metrics['ssim']['value']:.3f} ", out)
        # What is read by a program is whole; at a terminal the last columns may make room.
        [line] = [line for line in out.splitlines() if line.lstrip().startswith("FID ↓")]
        assert ("inception" in line) is not terminal

    def test_what_a_method_prints_never_reaches_stdout(
        self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with console.stdout_to_stderr():
            os.write(1, b"descriptor\n")
            subprocess.run(["echo", "program"], check=True)
        os.write(1, b"result\n")
        out, error = capfd.readouterr()
        assert out == "result\n"
        assert {"descriptor", "program"} <= set(error.split())

    def test_extra_clips_are_a_warning_on_stderr(
        self, mcbench: Callable[[str], tuple[int, str, str]], clip_folders: Callable[..., Path]
    ) -> None:
        clip_folders("truth", 1), clip_folders("predictions", 2)
        code, out, error = mcbench("score predictions --truth truth --weights random@1 --json")
        assert code == 0
        assert json.loads(out)["dataset"]["clips"] == 1
        assert "not in the data set, left out: b" in error

    def test_conversions_are_said_and_recorded(
        self, mcbench: Callable[[str], tuple[int, str, str]], clip_folders: Callable[..., Path]
    ) -> None:
        clip_folders("truth", 1, 2)
        for file in (clip_folders("predictions", 1, 2) / "a").iterdir():
            Image.open(file).convert("RGBA").save(file)
        code, out, error = mcbench("score predictions --truth truth --weights random@1 --json")
        assert code == 0
        assert json.loads(out)["predictions"]["conversions"] == ["opaque alpha channel dropped"]
        assert "opaque alpha channel dropped, without loss" in error


class TestLists:
    def test_brackets_in_a_summary_are_no_markup(
        self, mcbench: Callable[[str], tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = {"a": "it [dim]is[/dim] registered"}
        monkeypatch.setattr("mcbench.methods.available_methods", lambda: found)
        assert "[dim]is[/dim]" in mcbench("methods")[1]

    @pytest.mark.parametrize("verb", ["datasets", "methods", "env"])
    def test_table_and_json(self, mcbench: Callable[[str], tuple[int, str, str]], verb: str) -> None:
        code, out, error = mcbench(verb)
        assert (code, error) == (0, "")
        assert out.strip()
        code, out, error = mcbench(f"{verb} --json")
        assert (code, error) == (0, "")
        assert json.loads(out)

    def test_version(self, mcbench: Callable[[str], tuple[int, str, str]]) -> None:
        code, out, _ = mcbench("--version")
        assert (code, re.fullmatch(r"mcbench \d+\.\d+\.\d+\n", out) is not None) == (0, True)

    def test_a_card(self, mcbench: Callable[[str], tuple[int, str, str]]) -> None:
        code, out, _ = mcbench("datasets synthetic-mini")
        assert code == 0
        assert "synthetic-mini" in out


def examples_of(text: str) -> list[str]:
    return re.findall(r"^\s*\$ (mcbench .*?)\s*$", text, re.MULTILINE)


class TestHelp:
    @pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.NAME)
    def test_every_help_ends_in_examples_that_can_be_copied(
        self, mcbench: Callable[[str], tuple[int, str, str]], verb: object
    ) -> None:
        code, out, _ = mcbench(f"{verb.NAME} --help")  # type: ignore[attr-defined]
        assert code == 0
        # Each stands whole on a line of 80 columns, so that it can be copied.
        assert examples_of(out) == examples_of(verb.EXAMPLES) != []  # type: ignore[attr-defined]

    @pytest.mark.parametrize("verb", ["eval", "score"])
    def test_the_protocols_are_named(self, mcbench: Callable[[str], tuple[int, str, str]], verb: str) -> None:
        told = " ".join(re.sub(r"[^\w@. -]", " ", mcbench(f"{verb} --help")[1]).split())
        assert "disco-legacy@1 or mcbench@1" in told

    @pytest.mark.parametrize("arguments", ["", "--help"])
    def test_the_first_help_lists_the_verbs(
        self, mcbench: Callable[[str], tuple[int, str, str]], arguments: str
    ) -> None:
        code, out, error = mcbench(arguments)
        assert (code, error) == (0, "")
        assert all(verb.NAME in out for verb in VERBS)
        assert examples_of(out)

    @pytest.mark.slow
    def test_every_example_of_the_helps_and_the_readme_runs(self, tmp_path: Path) -> None:
        """As a new user would run them, one after the other in one folder, with the real networks."""
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        commands = [line for verb in MEASURING for line in examples_of(verb.EXAMPLES)]
        blocks = "\n".join(re.findall(r"```sh\n(.*?)```", readme, re.DOTALL))
        commands += [line for line in blocks.splitlines() if line.startswith("mcbench ")]
        commands = list(dict.fromkeys(line.split("  #")[0].strip() for line in commands))
        assert any("score" in line for line in commands)
        # The folder of truths holds two frames a clip, and the predictions follow it for the last of them.
        commands.sort(key=lambda line: "truth" in line.split("--method")[0])
        frames = {f"mini-{index:02d}": [np.full((512, 512, 3), 40 * index, np.uint8)] * 24 for index in range(4)}
        for name, video in frames.items():
            write_frames(tmp_path / "predictions" / name, video)
            write_frames(tmp_path / "truth" / name, video[:2])
        for line in commands:
            if "predictions --truth truth" in line:
                for name, video in frames.items():
                    write_frames(tmp_path / "predictions" / name, video[:2])
            done = subprocess.run(
                [sys.executable, "-m", *shlex.split(line)], cwd=tmp_path, capture_output=True, text=True, check=False
            )
            # The doctor says with 1 that these predictions are ill, which they are.
            assert done.returncode in ((0, 1) if "doctor" in line else (0,)), f"{line}\n{done.stderr}"
