"""Where programs are: the TOML file, what is lacking, configuring, hashes, containers."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import ClassVar

import pytest
import tomlkit
from external_samples import STRENGTH, ManyClips, OneClip, make_checkout, write_methods

from baselines.base import Command, Weights
from baselines.external.container import wrapped
from baselines.external.digests import sha256_of
from baselines.external.installation import Container, Installation
from mcbench import UserError

SHA256 = hashlib.sha256(STRENGTH).hexdigest()


class Known(ManyClips):
    """Whose weights are known by their hash."""

    name: ClassVar[str] = "known"
    weights: ClassVar[tuple[Weights, ...]] = (Weights("checkpoint", "model.pth of its release", sha256="ab" * 32),)


class Sharing(ManyClips):
    """Which shares a section, and part of its weights."""

    name: ClassVar[str] = "sharing"
    shares: ClassVar[str | None] = "many-clips"
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights("checkpoint", "another model"),
        Weights("extra", "more.pth", shared=True),
    )


def made(kind: type[ManyClips] = ManyClips) -> ManyClips:
    return kind(kind.Settings())


def fault(call: object, *arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        call(*arguments)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def answers(tmp_path: Path) -> dict[str, str]:
    """Right ones."""
    checkout = make_checkout(tmp_path / "answered", "many_clips.py", "many_clips.py")
    (tmp_path / "model.pth").write_bytes(STRENGTH)
    return {"repository": str(checkout), "interpreter": sys.executable, "checkpoint": str(tmp_path / "model.pth")}


class TestLacks:
    def test_nothing_said_yet(self) -> None:
        lines = ManyClips.lacks()
        assert [line.partition(": ")[0] for line in lines] == ["repository", "interpreter", "checkpoint"]
        assert "https://github.com/somebody/many-clips (MIT)" in lines[0]
        assert lines[2] == "checkpoint: model.pth of its release"
        assert fault(made) == (
            "method 'many-clips' is not ready: repository: a checkout of https://github.com/somebody/many-clips (MIT)"
            " and 2 more; `mcbench methods --configure many-clips` asks for what it needs"
        )

    def test_things_that_are_not_what_they_should_be(self, many_clips: Path, methods_toml: Path) -> None:
        assert ManyClips.lacks() == []
        elsewhere = methods_toml.parent / "other"
        elsewhere.write_bytes(b"no weights")
        write_methods(
            methods_toml,
            many_clips={
                "repository": str(methods_toml.parent),
                "interpreter": str(methods_toml),
                "weights": {"checkpoint": str(elsewhere), "extra": str(many_clips)},
            },
        )
        assert [line.partition(": ")[2] for line in ManyClips.lacks()] == [
            f"{methods_toml.parent} holds no many_clips.py; it must be a checkout of"
            " https://github.com/somebody/many-clips",
            f"{methods_toml} is no Python and no folder of an environment",
            f"{elsewhere} has 10 bytes, not 7; model.pth of its release",
            f"{many_clips} must be a file; more.pth",
        ]

    def test_an_environments_folder_relative_paths_and_the_home(
        self, many_clips: Path, methods_toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "env" / "bin").mkdir(parents=True)
        (tmp_path / "env" / "bin" / "python").symlink_to(sys.executable)
        write_methods(
            methods_toml,
            many_clips={
                "repository": "../checkout",
                "interpreter": "~/env",
                "weights": {"checkpoint": {"path": "../weights/model.pth"}},
                "environment": {"HF_HOME": "/x"},
            },
        )
        place = made().place
        # The link itself: a venv's Python finds its packages by it.
        assert place.interpreter == (str(tmp_path / "env" / "bin" / "python"),)
        assert (place.repository, place.weights["checkpoint"].read_bytes()) == (many_clips, STRENGTH)
        assert place.environment == {"HF_HOME": "/x"}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[many-clips", "cannot be read"),
            ("[many-clips]\nrepositry = 'x'", "many-clips.repositry: extra inputs are not permitted; mend it there"),
            ("many-clips = 3", "many-clips: input should be a valid dictionary"),
            ("[many-clips]\nrunner = 'lxc'", "many-clips.runner: input should be 'docker', 'podman' or 'apptainer'"),
            ("[many-clips]\ninterpreter = 'x'\ncontainer = 'y'", "has both an interpreter and a container; keep one"),
            ("[many-clips.weights.checkpoint]\npath = 'x'\nsha256 = 'y'", "weights.checkpoint.sha256: string should m"),
        ],
    )
    def test_a_file_that_is_not_right(self, methods_toml: Path, text: str, message: str) -> None:
        methods_toml.parent.mkdir(parents=True)
        methods_toml.write_text(text)
        assert message in fault(made)
        (line,) = ManyClips.lacks()
        assert message in line

    def test_a_shared_section_gives_the_program_and_not_the_checkpoint(
        self, many_clips: Path, methods_toml: Path, tmp_path: Path
    ) -> None:
        document = tomlkit.parse(methods_toml.read_text())
        document["many-clips"]["weights"]["extra"] = str(tmp_path / "weights" / "model.pth")  # type: ignore[index]
        methods_toml.write_text(tomlkit.dumps(document))
        assert Sharing.lacks() == ["checkpoint: another model"]
        (tmp_path / "own.pth").write_bytes(b"own")
        Sharing.configure({"checkpoint": str(tmp_path / "own.pth")})
        place = made(Sharing).place
        assert (place.repository, place.interpreter) == (many_clips, (sys.executable,))
        assert {key: path.name for key, path in place.weights.items()} == {
            "checkpoint": "own.pth",
            "extra": "model.pth",
        }
        assert made(OneClip).place.weights["checkpoint"].name == "model.pth"


class TestConfigure:
    def test_answers_are_written_with_hashes_and_comments_stay(
        self, answers: dict[str, str], methods_toml: Path
    ) -> None:
        methods_toml.parent.mkdir(parents=True)
        methods_toml.write_text("# mine\n[other]\nrepository = '/x'  # not yet there\n")
        assert ManyClips.configure({**answers, "environment.HF_HOME": "/hub"}) == methods_toml
        text = methods_toml.read_text()
        assert text.startswith("# mine\n[other]\nrepository = '/x'  # not yet there\n")
        assert tomlkit.parse(text).unwrap()["many-clips"] == {
            "repository": answers["repository"],
            "interpreter": answers["interpreter"],
            "weights": {"checkpoint": {"path": answers["checkpoint"], "sha256": SHA256}},
            "environment": {"HF_HOME": "/hub"},
        }
        assert ManyClips.lacks() == []
        assert [question.default for question in ManyClips.questions()][:2] == list(answers.values())[:2]

    def test_what_is_not_said_again_stays_and_what_is_empty_goes(
        self, answers: dict[str, str], methods_toml: Path
    ) -> None:
        ManyClips.configure({**answers, "extra": answers["checkpoint"], "environment.A": "1"})
        ManyClips.configure({"extra": "", "environment.A": ""})
        assert set(made().place.weights) == {"checkpoint"}
        assert made().place.environment == {}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"repositori": "x"}, "has nothing called 'repositori' to configure; did you mean 'repository'?"),
            ({"environment.": "x"}, "has nothing called 'environment.'"),
            ({"checkpoint": ""}, "is not ready, nothing was written: checkpoint: model.pth of its release"),
            ({"checkpoint": "/no/such"}, "checkpoint: /no/such is not there; model.pth of its release"),
            ({"repository": "/"}, "repository: / holds no many_clips.py"),
            ({"interpreter": "/bin/true"}, "interpreter: /bin/true is no Python that starts (it says nothing of its"),
            ({"interpreter": "/bin/false"}, "interpreter: /bin/false is no Python that starts (exit status 1)"),
            ({"interpreter": "/no/such"}, "interpreter: /no/such is no Python and no folder of an environment"),
            ({"container": "image"}, "give an interpreter or a container, not both"),
            ({"runner": "lxc"}, "runner 'lxc': there are docker, podman, apptainer"),
        ],
    )
    def test_wrong_answers_write_nothing(
        self, answers: dict[str, str], methods_toml: Path, change: dict[str, str], message: str
    ) -> None:
        assert message in fault(ManyClips.configure, {**answers, **change})
        assert not methods_toml.exists()

    def test_a_bare_name_is_looked_up(
        self, answers: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "python3.8").symlink_to(sys.executable)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        ManyClips.configure({**answers, "interpreter": "python3.8"})
        assert made().place.interpreter == (str(tmp_path / "bin" / "python3.8"),)

    def test_a_container_takes_the_interpreters_place(
        self, answers: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ManyClips.configure(answers)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        assert "runner: podman is not installed here" in fault(
            ManyClips.configure, {"container": "an-image", "runner": "podman"}
        )
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "podman").symlink_to("/bin/true")
        ManyClips.configure({"container": "an-image", "runner": "podman"})
        assert made().place.container == Container("an-image", "podman")
        assert made().place.interpreter == ("python",)


class TestWeights:
    def test_the_wrong_file_is_refused(self, answers: dict[str, str], methods_toml: Path, tmp_path: Path) -> None:
        assert f"has sha256 {SHA256}, not {'ab' * 32}; get the right file" in fault(Known.configure, answers)
        assert not methods_toml.exists()
        ManyClips.configure(answers)
        (tmp_path / "model.pth").write_bytes(STRENGTH.upper())
        method = made()
        told = fault(lambda: method.checkpoint_sha256)
        assert f"{tmp_path / 'model.pth'} is not the file that it should be" in told
        assert "--configure many-clips" in told

    def test_each_file_is_read_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "model.pth"
        file.write_bytes(STRENGTH)
        reads = []
        real = Path.open
        monkeypatch.setattr(Path, "open", lambda self, *more, **named: reads.append(self) or real(self, *more, **named))
        assert [sha256_of(file), sha256_of(file)] == [SHA256, SHA256]
        assert reads.count(file) == 1
        file.write_bytes(b"other!!")
        assert sha256_of(file) == hashlib.sha256(b"other!!").hexdigest()

    def test_a_folder_by_names_and_bytes(self, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        (folder / "unet").mkdir(parents=True)
        (folder / "unet" / "a.bin").write_bytes(b"1")
        first = sha256_of(folder)
        assert first == hashlib.sha256(b"unet/a.bin\x001").hexdigest()
        (folder / "unet" / "a.bin").rename(folder / "unet" / "b.bin")
        assert sha256_of(folder) != first
        (folder / "unet" / "b.bin").unlink()
        assert "no weights there" in fault(sha256_of, folder)

    def test_a_note_that_is_torn(self, tmp_path: Path) -> None:
        file = tmp_path / "model.pth"
        file.write_bytes(STRENGTH)
        sha256_of(file)
        (note,) = (Path(os.environ["MCBENCH_HOME"]) / "cache" / "weights").iterdir()
        note.write_text('{"state": ')
        assert sha256_of(file) == SHA256


class TestContainer:
    def place(self, root: Path) -> Installation:
        return Installation(root / "repository", ("python",), {"checkpoint": root / "model.pth"})

    def wrap(self, runner: str, root: Path, device: str = "cuda:1") -> tuple[Command, tuple[str, ...]]:
        command = Command(("python", "demo.py", "a b"), {"MINE": "1"}, root / "repository")
        return wrapped(Container("image:1", runner), command, self.place(root), [root / "run"], device=device)

    def test_docker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
        command, afterwards = self.wrap("docker", Path("/r"))
        argv = list(command.argv)
        assert argv[:4] == ["docker", "run", "--rm", "--init"]
        assert argv[-5:] == ["--entrypoint=", "image:1", "python", "demo.py", "a b"]
        assert {"--gpus=all", "--env=CUDA_VISIBLE_DEVICES=7", "--env=MINE=1", "--workdir=/r/repository"} <= set(argv)
        assert f"--user={os.getuid()}:{os.getgid()}" in argv
        assert "--mount=type=bind,source=/r/run,target=/r/run" in argv
        assert "--mount=type=bind,source=/r/repository,target=/r/repository" in argv
        assert "--mount=type=bind,source=/r/model.pth,target=/r/model.pth,readonly" in argv
        (name,) = (word.partition("=")[2] for word in argv if word.startswith("--name="))
        assert afterwards == ("docker", "kill", name)

    def test_podman_and_apptainer(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("baselines.external.container.GPU_DEVICE", tmp_path / "none")
        podman, _ = self.wrap("podman", Path("/r"))
        assert {"--userns=keep-id", "--device=nvidia.com/gpu=all"} <= set(podman.argv)
        apptainer, afterwards = self.wrap("apptainer", Path("/r"), device="cpu")
        assert apptainer.argv[:2] == ("apptainer", "exec")
        assert "--nv" not in apptainer.argv
        assert {"--bind=/r/run:/r/run", "--bind=/r/model.pth:/r/model.pth:ro"} <= set(apptainer.argv)
        assert apptainer.argv[-4:] == ("image:1", "python", "demo.py", "a b")
        assert afterwards == ()

    def test_paths_that_cannot_be_mounted(self) -> None:
        assert "/a,b/repository: cannot be mounted" in fault(self.wrap, "docker", Path("/a,b"))
