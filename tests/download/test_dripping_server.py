"""A server that is never silent for long, and never done."""

from __future__ import annotations

from pathlib import Path

import pytest
from torn_server import Reply, Server

from mcbench.download.faults import DownloadError
from mcbench.download.fetch import fetch


def test_it_is_given_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """300 kB at this rate would take hours; the few bytes that come count as no progress."""
    monkeypatch.setattr("mcbench.download.http.PATIENCE", 0.2)
    server.usual = Reply(drip=0.02)
    with pytest.raises(DownloadError, match=r"sends only \d+ bytes in 0 seconds, 5 times in a row"):
        fetch([server.address], tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert len(server.requests) == 5


def test_the_next_mirror_is_asked(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcbench.download.http.PATIENCE", 0.2)
    server.script = [Reply(drip=0.02)] * 5
    fetched = fetch([f"{server.address}/slow", f"{server.address}/fast"], tmp_path / "file")
    assert fetched.address == f"{server.address}/fast"
    assert fetched.path.read_bytes() == server.body
