"""A misbehaving server on the loopback, and no waiting between tries."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from torn_server import Server

BODY = np.random.default_rng(7).bytes(300_000)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr("mcbench.download.fetch.sleep", made.append)
    return made


@pytest.fixture
def server(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server(BODY)
    yield server
    server.close()
