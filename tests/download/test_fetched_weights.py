"""`fetch_weights`: which files are there, which came, and which cannot."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest
from torn_server import Reply, Server

from mcbench.backbones.weights import REGISTRY, WeightsFile, weights_folder, weights_status
from mcbench.download.weights import FetchedWeights, fetch_weights
from mcbench.errors import UsageError


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, server: Server) -> Server:
    """Every backbone has the server's body as its file; r3d50 keeps its page to click in."""
    digest = hashlib.sha256(server.body).hexdigest()
    for name, entry in list(REGISTRY.items()):
        full = None if entry.sha256 is None else digest
        size = None if entry.size is None else len(server.body)
        addresses = entry.addresses if name == "r3d50" else (f"{server.address}/{name}",)
        monkeypatch.setitem(REGISTRY, name, WeightsFile(name, entry.file, size, full, digest[:8], addresses))
    return server


def by_name(files: list[FetchedWeights]) -> dict[str, FetchedWeights]:
    assert [file.backbone for file in files] == list(REGISTRY)
    return {file.backbone: file for file in files}


def test_all_that_can_be_fetched_is_and_the_rest_says_what_to_do(registry: Server) -> None:
    files = by_name(fetch_weights())
    states = {name: file.state for name, file in files.items()}
    assert states == {**dict.fromkeys(REGISTRY, "fetched"), "r3d50": "missing"}
    reason = files["r3d50"].reason or ""
    for part in ("web page, not a file", "drive.google.com", "resnet-50-kinetics.pth", str(weights_folder())):
        assert part in reason
    assert "\n" not in reason
    assert {state.backbone for state in weights_status() if state.verified} == set(REGISTRY) - {"r3d50"}
    again = by_name(fetch_weights())
    assert {file.state for name, file in again.items() if name != "r3d50"} == {"there"}
    assert len(registry.requests) == 4
    assert all(file.sha256 == hashlib.sha256(registry.body).hexdigest() for file in files.values() if file.sha256)


def test_one_that_fails_does_not_keep_the_others(registry: Server) -> None:
    registry.script = [Reply(status=404), Reply(body=registry.body[::-1])]
    files = by_name(fetch_weights())
    assert [files[name].state for name in REGISTRY] == ["missing", "missing", "fetched", "missing", "fetched"]
    assert "answers 404" in (files["inception"].reason or "")
    assert "gives another file: its SHA-256 is" in (files["vgg16"].reason or "")
    assert not files["vgg16"].path.exists()


def test_a_broken_file_is_fetched_again(registry: Server) -> None:
    fetch_weights()
    path = weights_folder() / REGISTRY["i3d"].file
    path.write_bytes(registry.body[:-1])
    files = by_name(fetch_weights())
    assert (files["i3d"].state, path.read_bytes() == registry.body) == ("fetched", True)


def test_a_mirror_is_asked_first(registry: Server) -> None:
    files = by_name(fetch_weights(source=f"{registry.address}/mirror/"))
    assert {file.state for file in files.values()} == {"fetched"}
    assert {path for path, _ in registry.requests} == {f"/mirror/{entry.file}" for entry in REGISTRY.values()}


def test_a_folder_on_a_stick(registry: Server, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / REGISTRY["r3d50"].file).write_bytes(registry.body)
    (stick / REGISTRY["i3d"].file).write_bytes(b"something else")
    files = by_name(fetch_weights(tmp_path / "there", source=str(stick), offline=True))
    assert files["r3d50"].state == "fetched"
    assert (tmp_path / "there" / REGISTRY["r3d50"].file).read_bytes() == registry.body
    assert "is not the published" in (files["i3d"].reason or "")
    assert files["vgg16"].reason == "not there, and --offline forbids to fetch it"
    kept = {file.name for file in (tmp_path / "there").iterdir() if not file.name.startswith(".")}
    assert kept == {REGISTRY["r3d50"].file, f"{REGISTRY['r3d50'].file}.sha256"}
    assert registry.requests == []
    assert len(list(stick.iterdir())) == 2


def test_a_source_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="give a folder with weights files"):
        fetch_weights(source="nowhere")


def test_offline_touches_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("the network was touched"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("the network was touched"))
    assert {file.state for file in fetch_weights(offline=True)} == {"missing"}
    assert not weights_folder().exists()
