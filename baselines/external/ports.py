"""Ports for programs that open one to talk to themselves, as torch.distributed does."""

from __future__ import annotations

import socket

__all__ = ["free_port"]


def free_port() -> int:
    """A TCP port of this machine that nobody listens on now.

    Programs with a fixed port of their own cannot run twice on one machine; told another each, they can.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
