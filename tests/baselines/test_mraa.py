"""MRAA and MRAA*: what the program is given, what comes back, and what is refused."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from motion_programs import (
    FPS,
    Coloured,
    check_frames,
    make_checkout,
    make_checkpoint,
    meant,
    squares,
    walking_poses,
    write_methods,
)

from baselines.base import Job, OutputError
from baselines.inputs import driving_poses, pose_drawings
from baselines.mraa import LAUNCHER, MRAA, MRAATruthDriven
from baselines.tpsmm import TPSMM, TPSMMTruthDriven
from mcbench import Method, MethodError, evaluate, open_frames, read_result, write_frames, write_video
from mcbench.cli import main
from mcbench.datasets import open_truth
from mcbench.report import write_report
from mcbench.results import MethodInfo
from mcbench.site import write_site

# The tests are no packages.
sys.path += [str(Path(__file__).resolve().parents[1] / room) for room in ("leaderboard", "site")]

from paper_results import make_result, write_run
from site_entries import made_entry, made_result


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in, configured, with checkpoints that nobody published but that fit."""
    folder = make_checkout(tmp_path / "articulated-animation", "mraa")
    own = make_checkpoint(tmp_path / "own.pth", 10)
    write_methods(tmp_path / "methods.toml", "mraa", folder, {"own": own})
    monkeypatch.setenv("MCBENCH_METHODS", str(tmp_path / "methods.toml"))
    return folder


def own(method: type[MRAA] | type[MRAATruthDriven], device: str = "cpu", **settings: Any) -> MRAA | MRAATruthDriven:
    return method(method.Settings(weights="own", **settings), device=device)


class TestFrames:
    def test_the_starred_one_is_driven_by_the_square_true_frames(self, checkout: Path, tmp_path: Path) -> None:
        clip = Coloured.of(5)
        found = list(own(MRAATruthDriven).animate(clip.case(tmp_path, truth=True)))
        check_frames(found, meant(squares([clip.reference])[0], squares(clip.frames), "avd"))

    def test_the_other_is_driven_by_drawn_poses_and_never_given_the_truth(self, checkout: Path, tmp_path: Path) -> None:
        clip = Coloured.of(4)
        case = clip.case(tmp_path, truth=False, poses=walking_poses(4))
        drawings = list(pose_drawings(driving_poses(case, 384), size=384))
        assert all(drawing[:, 192:].any() for drawing in drawings)
        check_frames(list(own(MRAA).animate(case)), meant(squares([clip.reference])[0], drawings, "avd"))

    def test_the_driving_video_holds_every_pixel_at_the_clips_rate(self, checkout: Path, tmp_path: Path) -> None:
        clip = Coloured.of(3)
        case = clip.case(tmp_path, truth=True)
        list(own(MRAATruthDriven, keep=True).animate(case))
        driving = open_frames(tmp_path / "work/slot/inputs/driving.mp4")
        assert driving.fps == FPS
        np.testing.assert_array_equal(list(driving.read()), squares(clip.frames))
        assert open_frames(tmp_path / "work/slot/outputs/result.mp4").fps == FPS

    @pytest.mark.parametrize("mode", ["standard", "relative"])
    def test_the_mode_reaches_the_program(self, checkout: Path, tmp_path: Path, mode: str) -> None:
        clip = Coloured.of(1)
        found = list(own(MRAATruthDriven, mode=mode).animate(clip.case(tmp_path, truth=True)))
        check_frames(found, meant(squares([clip.reference])[0], squares(clip.frames), mode))

    def test_a_checkpoint_must_fit_its_configuration(self, checkout: Path, tmp_path: Path) -> None:
        case = Coloured.of(1).case(tmp_path, truth=True)
        with pytest.raises(
            MethodError, match=r"'a clip': the program ended with exit status 1: .*size mismatch"
        ) as told:
            list(own(MRAATruthDriven, config="ted-youtube384").animate(case))
        assert "\n" not in str(told.value)

    def test_a_gpu_is_used_where_the_method_has_one(self, checkout: Path, tmp_path: Path) -> None:
        case = Coloured.of(1).case(tmp_path, truth=True)
        commands = {
            device: own(MRAATruthDriven, device).command([Job(case, tmp_path)], tmp_path).argv
            for device in ("cpu", "cuda:1")
        }
        assert set(commands["cpu"]) - set(commands["cuda:1"]) == {"--cpu"}


class TestResult:
    pytestmark = pytest.mark.usefixtures("fake_networks")

    @pytest.fixture
    def truth(self, tmp_path: Path) -> Path:
        for index, name in enumerate("ab"):
            write_frames(tmp_path / "truth" / name, Coloured.of(3, seed=index).frames)
        return tmp_path / "truth"

    def test_it_is_starred_and_says_how_it_was_made(self, checkout: Path, truth: Path, tmp_path: Path) -> None:
        method = own(MRAATruthDriven, mode="relative")
        result = evaluate(method, open_truth(truth), weights="random@1", out=tmp_path / "run", device="cpu")
        assert result is not None
        assert result == read_result(tmp_path / "run")
        about = result.method
        assert (about.name, about.needs_truth) == ("mraa-truth-driven", True)
        assert about.settings is not None
        assert {key: about.settings[key] for key in ("config", "mode", "weights")} == {
            "config": "ted384",
            "mode": "relative",
            "weights": "own",
        }
        assert about.native is not None
        assert (about.native.size, about.native.container, about.native.driver) == ((384, 384), "mp4", "truth video")
        assert about.checkpoint_sha256 == method.checkpoint_sha256
        assert about.checkpoint_sha256 is not None

    @pytest.mark.parametrize("method", [MRAATruthDriven, MRAA, TPSMMTruthDriven, TPSMM])
    def test_who_is_shown_the_truth_is_starred_wherever_numbers_are_shown(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, method: type[Method]
    ) -> None:
        about = MethodInfo(name=method.name, version=method.version, needs_truth=method.needs_truth)
        starred = f"{method.name}*" if "truth-driven" in method.name else method.name

        def shown(text: str) -> set[str]:
            seen = re.sub(r"(?s)<script.*?</script>|<[^>]*>", "", text)
            return set(re.findall(rf"(?<![\w-]){method.name}(?![\w-])\*?", seen))

        def told(line: str) -> str:
            monkeypatch.setattr("mcbench.cli.console.output._file", None)
            monkeypatch.setattr(sys, "argv", shlex.split(line))
            with pytest.raises(SystemExit) as stop:
                main.main()
            assert not stop.value.code
            return str(capsys.readouterr().out)

        run = write_run(tmp_path / "whole", make_result("ted-talks").model_copy(update={"method": about}))
        for form in ("csv", "markdown"):
            assert starred in shown(told(f"mcbench table ted-talks --format {form} --with {run}")), form
        names = [line.partition(",")[0] for line in told("mcbench table ted-talks --format csv").splitlines()]
        assert {"MRAA", "MRAA*", "TPSMM", "TPSMM*"} <= set(names)

        entry = made_entry(made_result().model_copy(update={"method": about}))
        monkeypatch.setattr("mcbench.site.collect", lambda: [entry])
        assert shown(told(f"mcbench leaderboard --dataset {entry.dataset}")) == {starred}
        write_site([entry], tmp_path / "site")
        # A board's rows are drawn in the browser, from what stands in its page.
        pages = [page.read_text(encoding="utf-8") for page in (tmp_path / "site").rglob(f"{entry.dataset}_*.html")]
        assert len(pages) == 2
        assert all((f"{method.name}*" in page) == starred.endswith("*") for page in pages)

        report = write_report([run], tmp_path / "report").index
        assert starred in shown(report.read_text(encoding="utf-8"))

    def test_a_run_is_taken_up_without_starting_the_program_again(
        self, checkout: Path, truth: Path, tmp_path: Path
    ) -> None:
        (checkout / "demo.py").write_text((checkout / "demo.py").read_text() + BREAKS_AT_THE_SECOND)
        with pytest.raises(MethodError, match=r"clip 'b': the program ended with exit status 7"):
            evaluate(own(MRAATruthDriven), open_truth(truth), weights="random@1", out=tmp_path / "run", device="cpu")
        (first,) = (tmp_path / "run/predictions").iterdir()
        before = (first / "00000.png").stat().st_mtime_ns
        (checkout / "started").write_text("")  # the third start works, a fourth would not
        result = evaluate(
            own(MRAATruthDriven), open_truth(truth), weights="random@1", out=tmp_path / "run", device="cpu"
        )
        assert result is not None
        assert result.dataset.clips == 2
        assert (checkout / "started").read_text() == "x"
        assert (first / "00000.png").stat().st_mtime_ns == before

    def test_drawn_poses_are_no_reason_for_a_star(self) -> None:
        assert (MRAA.needs_truth, MRAA.needs_driving_video) == (False, True)
        assert (MRAATruthDriven.needs_truth, MRAATruthDriven.needs_driving_video) == (True, False)
        assert "poses" not in MRAATruthDriven.Settings.model_fields


BREAKS_AT_THE_SECOND = """
from pathlib import Path
marks = Path(__file__).with_name("started")
marks.write_text((marks.read_text() if marks.exists() else "") + "x")
if marks.read_text() == "xx":
    Path(options.result_video).unlink()
    raise SystemExit(7)
"""


class TestRefused:
    @pytest.mark.parametrize("key", ["ted384", "ted-youtube384"])
    def test_a_published_checkpoint_with_another_hash(
        self, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
    ) -> None:
        other = make_checkpoint(tmp_path / "other.pth", 10)
        write_methods(tmp_path / "methods.toml", "mraa", checkout, {key: other})
        # Or a file of another size is refused before it is read.
        monkeypatch.setattr(MRAA, "weights", tuple(replace(weights, size=None) for weights in MRAA.weights))
        method = MRAA(MRAA.Settings(config=key))
        with pytest.raises(MethodError, match=f"{key}: {other} is not the file that it should be") as told:
            assert method.checkpoint_sha256
        assert "\n" not in str(told.value)

    def test_a_published_checkpoint_of_another_size(self, checkout: Path, tmp_path: Path) -> None:
        other = make_checkpoint(tmp_path / "ted384.pth", 10)
        write_methods(tmp_path / "methods.toml", "mraa", checkout, {"ted384": other})
        with pytest.raises(MethodError, match="bytes, not 273,409,224") as told:
            MRAA(MRAA.Settings())
        assert "\n" not in str(told.value)

    def test_no_checkpoint_of_the_configuration(self, checkout: Path) -> None:
        with pytest.raises(MethodError, match="has no 'ted384', which these settings load"):
            assert MRAA(MRAA.Settings()).checkpoint_sha256

    def test_one_checkpoint_is_enough_and_none_is_not(self, checkout: Path, tmp_path: Path) -> None:
        assert MRAA.lacks() == []
        write_methods(tmp_path / "methods.toml", "mraa", checkout, {})
        (line,) = MRAATruthDriven.lacks()
        assert line.startswith("ted384: ted384.pth")

    def test_a_checkpoint_without_avd_is_not_used_for_it(self, checkout: Path, tmp_path: Path) -> None:
        make_checkpoint(tmp_path / "own.pth", 10, avd=False)
        case = Coloured.of(1).case(tmp_path, truth=True)
        with pytest.raises(MethodError, match=r"holds no AVD network.* --set mode=standard"):
            list(own(MRAATruthDriven).animate(case))
        assert len(list(own(MRAATruthDriven, mode="standard").animate(case))) == 1

    def test_a_checkout_without_the_configuration(self, checkout: Path, tmp_path: Path) -> None:
        (checkout / "config/ted384.yaml").unlink()
        with pytest.raises(MethodError, match=r"config/ted384\.yaml: not there"):
            list(own(MRAATruthDriven).animate(Coloured.of(1).case(tmp_path, truth=True)))

    def test_too_few_frames_too_many_another_size_and_none(self, checkout: Path, tmp_path: Path) -> None:
        method = own(MRAATruthDriven)
        case = Coloured.of(3).case(tmp_path, truth=True)
        video = tmp_path / "outputs/result.mp4"
        video.parent.mkdir()
        with pytest.raises(OutputError, match="wrote no result"):
            list(method.collect(case, tmp_path))
        for count, side in ((2, 384), (4, 384), (3, 256)):
            write_video(video, [np.zeros((side, side, 3), np.uint8)] * count, FPS)
            with pytest.raises(OutputError, match=r"result\.mp4") as told:
                list(method.collect(case, tmp_path))
            assert "\n" not in str(told.value)


class TestLauncher:
    def run(self, program: Path, *arguments: str, packages: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **({"PYTHONPATH": str(packages)} if packages else {})}
        return subprocess.run(
            [sys.executable, str(LAUNCHER), str(program), *arguments], env=environment, capture_output=True, text=True
        )

    def test_the_program_as_it_is_does_not_start(self, checkout: Path) -> None:
        """Else the launcher would be tested against nothing."""
        ended = subprocess.run([sys.executable, str(checkout / "demo.py")], capture_output=True, text=True)
        assert "cannot import name 'circle'" in ended.stderr
        (checkout / "logger.py").write_text("")
        options = ["--config", "c", "--cpu"]
        ended = subprocess.run([sys.executable, str(checkout / "demo.py"), *options], capture_output=True, text=True)
        assert "name 'os' is not defined" in ended.stderr

    def test_it_runs_the_program_as_if_it_had_been_started_itself(self, tmp_path: Path) -> None:
        program = tmp_path / "demo.py"
        (tmp_path / "beside.py").write_text("VALUE = 'beside'")
        program.write_text(
            "import sys, beside\nassert __name__ == '__main__'\n"
            "print(os.sep, beside.VALUE, sys.argv[0] == __file__, sys.argv[1:])\nsys.exit(5)\n"
        )
        ended = self.run(program, "--mode", "a b")
        assert ended.stdout == f"{os.sep} beside True ['--mode', 'a b']\n"
        assert ended.returncode == 5

    def test_an_old_scikit_image_keeps_its_own_circle(self, tmp_path: Path) -> None:
        (tmp_path / "old/skimage").mkdir(parents=True)
        (tmp_path / "old/skimage/__init__.py").write_text("")
        (tmp_path / "old/skimage/draw.py").write_text("def circle(r, c, radius, shape=None):\n    return 'its own'\n")
        program = tmp_path / "demo.py"
        program.write_text("from skimage.draw import circle\nprint(circle(1, 2, 3))\n")
        assert self.run(program, packages=tmp_path / "old").stdout == "its own\n"


class TestStandIn:
    """It refuses what the real program would take and get wrong, and what it would not take."""

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            ({"--img_shape": "256,256"}, "trained at 384"),
            ({"--mode": "fast"}, "invalid choice"),
            ({"--cpu": None}, "not compiled with CUDA"),
            ({"--driving_video": "wide.mp4"}, "would be squeezed"),
            ({"--config": "none.yaml"}, "no file there"),
            ({"--result_video": "o.avi"}, "name's ending"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_refuses(self, checkout: Path, tmp_path: Path, change: dict[str, str | None], fault: str) -> None:
        case = replace(Coloured.of(1).case(tmp_path, truth=True), clip="other")
        method = own(MRAATruthDriven)
        (tmp_path / "inputs").mkdir()
        method.prepare(case, tmp_path)
        write_video(tmp_path / "wide.mp4", Coloured.of(1).frames, FPS)
        argv = list(method.command([Job(case, tmp_path)], tmp_path).argv)
        for flag, value in change.items():
            index = argv.index(flag)
            argv[index : index + 2] = [] if value is None else [flag, value]
        ended = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
        assert ended.returncode != 0
        assert fault in ended.stderr
