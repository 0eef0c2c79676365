"""`mcbench download` as it is typed."""

from __future__ import annotations

import dataclasses
import io
import json
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from torn_server import Reply, Server

from mcbench.backbones.weights import REGISTRY
from mcbench.datasets.cards import DataCard, read_card
from mcbench.datasets.synthetic import specs

Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def download(mcbench: Run) -> Run:
    """Runs `mcbench download …` in a folder of its own: exit code, stdout, stderr."""
    return lambda arguments: mcbench(f"download {arguments}")


@pytest.fixture
def small_synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clips of three small frames in place of each synthetic set."""

    def few(name: str) -> tuple[specs.ClipSpec, ...]:
        return tuple(dataclasses.replace(spec, frames=3, size=64) for spec in specs.clip_specs(name)[:2])

    monkeypatch.setattr("mcbench.datasets.synthetic.dataset.clip_specs", few)
    pin(monkeypatch, None)  # the cards' fingerprints are of the whole sets


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, lambda *_, **__: pytest.fail("the network was touched"))


def pin(monkeypatch: pytest.MonkeyPatch, fingerprint: object) -> None:
    def card(name: str) -> DataCard:
        real = read_card(name)
        return DataCard({**real.facts, "fingerprint": fingerprint}, real.text)

    monkeypatch.setattr("mcbench.download.sets.read_card", card)


def zip_of_clips(folder: Path) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for path in sorted(folder.rglob("*.png")):
            file.write(path, Path("my set") / path.relative_to(folder))
    return stream.getvalue()


@pytest.mark.usefixtures("small_synthetic", "no_network")
class TestSynthetic:
    def test_drawn_once_then_there(self, download: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        code, out, error = download("synthetic-mini --offline --json")
        assert (code, error) == (0, "")
        (first,) = json.loads(out)
        assert (first["state"], first["clips"], first["frames"], first["pinned"]) == ("drawn", 2, 6, None)
        # The second decodes nothing.
        monkeypatch.setattr("mcbench.download.sets.describe_clip", lambda *_: pytest.fail("decoded again"))
        (second,) = json.loads(download("synthetic-mini --json")[1])
        assert second == {**first, "state": "there"}

    def test_a_frame_that_was_changed_is_seen(self, download: Run) -> None:
        (first,) = json.loads(download("synthetic-mini --json")[1])
        frames = sorted(Path(first["folder"]).glob("*/frames/*.png"))
        frames[0].write_bytes(frames[1].read_bytes())
        (second,) = json.loads(download("synthetic-mini --json")[1])
        assert second["fingerprint"] != first["fingerprint"]

    @pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"test": value, "other": "0" * 64}])
    def test_the_cards_digest_is_the_one_made(
        self, download: Run, monkeypatch: pytest.MonkeyPatch, wrap: Callable[[str], object]
    ) -> None:
        (made,) = json.loads(download("synthetic-mini --json")[1])
        pin(monkeypatch, wrap(made["fingerprint"]))
        code, out, _ = download("synthetic-mini")
        assert code == 0
        assert "as its card says" in out
        pin(monkeypatch, wrap("0" * 64))
        code, out, error = download("synthetic-mini")
        assert (code, out, error.count("\n")) == (2, "", 1)
        assert "these frames have the fingerprint" in error
        assert made["fingerprint"] in error

    def test_several_at_once_in_a_folder_of_choice(self, download: Run, tmp_path: Path) -> None:
        code, out, _ = download("synthetic-mini synthetic-misaligned synthetic-mini --root here --json")
        assert code == 0
        assert [document["name"] for document in json.loads(out)] == ["synthetic-mini", "synthetic-misaligned"]
        assert all(str(tmp_path / "here") in document["folder"] for document in json.loads(out))
        assert not (tmp_path / "home").exists()

    def test_a_full_disk(self, download: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("mcbench.datasets.synthetic.dataset._write", full)
        code, out, error = download("synthetic-mini")
        assert (code, out, error.count("\n")) == (2, "", 1)
        assert "the disk is full" in error


class TestImport:
    def test_a_folder_of_ones_own(self, download: Run, clip_folders: Callable[..., Path]) -> None:
        clip_folders("truth")
        (first,) = json.loads(download("my-set --source truth --offline --json")[1])
        assert (first["name"], first["state"], first["clips"], first["frames"]) == ("my-set", "imported", 2, 36)
        for again in ("my-set --source truth --json", "my-set --json"):
            assert json.loads(download(again)[1]) == [{**first, "state": "there"}]

    def test_an_archive_from_a_server_that_breaks_off(
        self, download: Run, clip_folders: Callable[..., Path], server: Server
    ) -> None:
        server.body = zip_of_clips(clip_folders("truth"))
        server.script = [Reply(tear=1000), Reply(status=503), Reply(tear=2000)]
        code, out, error = download(f"my-set --source {server.address}/clips.zip --split val")
        assert (code, error) == (0, "")
        assert out.startswith("my-set: imported; split val, 2 clips, 36 frames, fingerprint ")
        count = len(server.requests)
        assert download(f"my-set --source {server.address}/clips.zip --split val")[1].startswith("my-set: there")
        assert len(server.requests) == count

    def test_the_wrong_data_set_says_where_the_files_are(
        self, download: Run, clip_folders: Callable[..., Path], server: Server, tmp_path: Path
    ) -> None:
        server.body = zip_of_clips(clip_folders("truth"))
        code, out, error = download(f"multi-character --source {server.address}/clips.zip")
        assert (code, out, error.count("\n")) == (2, "", 1)
        assert "2 clips, 36 frames, but multi-character is 20 clips, 3917 frames" in error
        assert "remove it to fetch it anew" in error
        kept = Path(error.split("what was fetched is kept in ")[1].split(";")[0])
        assert kept.is_dir()
        assert tmp_path in kept.parents

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ("", "Missing argument"),
            ("synthetik", "did you mean 'synthetic'"),
            ("synthetic --source .", "leave --source out"),
            ("synthetic-own --source .", "is taken"),
            ("My_Set --source .", "cannot name a data set"),
            ("my-set --source nowhere/at/all", "no such file or folder"),
            ("my-set other --source .", "give one name"),
            ("my-set --source . --fps 0", "--fps"),
            ("tiktok", "--source PATH_OR_URL"),
            ("tiktok", "DisCo"),
            ("ted-talks", "--source PATH_OR_URL"),
            ("multi-character", "--source PATH_OR_URL"),
            ("my-set --source https://example.org/a.zip --offline", "--offline forbids it"),
            ("my-set --source owner/set --offline", "not in the cache of this machine"),
            ("my-set --source youtube:dQw4w9WgXcQ --offline", "--offline forbids"),
            ("weights --source nowhere", "give a folder with weights files"),
        ],
    )
    @pytest.mark.usefixtures("no_network")
    def test_faults(
        self, download: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: str, words: str
    ) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        code, out, error = download(arguments)
        assert (code, out, error.count("\n")) == (2, "", 1)
        assert words in error

    def test_a_second_name_that_is_wrong_stops_all_before_the_first(self, download: Run, tmp_path: Path) -> None:
        code, out, _ = download("synthetic-mini my-set")
        assert (code, out) == (2, "")
        assert not (tmp_path / "home" / "datasets").exists()


class TestWeights:
    @pytest.mark.usefixtures("no_network")
    def test_offline_tells_what_is_there(self, download: Run) -> None:
        code, out, error = download("weights --offline")
        assert (code, error) == (0, "")
        assert [line.split(":")[0] for line in out.splitlines()] == list(REGISTRY)
        (document,) = json.loads(download("weights --offline --json")[1])
        assert [file["state"] for file in document["files"]] == ["missing"] * 5

    def test_what_cannot_be_had_is_told_and_exits_with_1(
        self, download: Run, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, entry in list(REGISTRY.items()):
            addresses = entry.addresses if name == "r3d50" else (f"{server.address}/{name}",)
            monkeypatch.setitem(REGISTRY, name, dataclasses.replace(entry, addresses=addresses))
        server.usual = Reply(status=403)
        code, out, error = download("weights")
        assert (code, error) == (1, "")
        assert out.count("may ask for a form or an account") == 4
        assert "open https://drive.google.com" in out
