"""A Ray cluster: the way to it, and what it has room for."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mcbench.errors import UsageError

__all__ = ["cluster", "placement"]

ANSWER = 5
"""Seconds in which the machine of `--address` must answer."""

# The opening of an HTTP/2 connection with its empty SETTINGS frame, and the type of the frame that answers it
# (RFC 9113, 3.4 and 6.5); gRPC, and so Ray, speaks nothing else.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_FRAME_HEAD, _FRAME_TYPE, _SETTINGS = 9, 3, 4


@contextmanager
def cluster(address: str | None, workers: int) -> Iterator[Any]:
    """Connection to the cluster at an address, or to one of this machine alone."""
    # Ray would send statistics of its use home, and warn of what does not concern its user.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise UsageError("--engine ray needs Ray; install it with: pip install 'mcbench[ray]'") from None
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        # As many as are asked for, as on one machine without Ray. Nothing large passes through its object store.
        options |= {"num_cpus": max(workers, os.cpu_count() or 1), "object_store_memory": 80 * 1024**2}
        options["include_dashboard"] = False
    elif address != "auto":
        _check_answers(address)
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, **options)
    except (OSError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise UsageError(f"--address {address}: no Ray cluster there ({why})") from None
    finally:
        signal.signal(signal.SIGTERM, before)  # Ray's own would end this process without a word
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Refuse at once an address that Ray would try to reach for minutes."""
    host, found, port = address.rpartition(":")
    if not found or not host or "/" in host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"--address {address}: give HOST:PORT of the cluster's head node, or auto; run it on a node")
    wrong = f"--address {address}: no Ray cluster there"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return
            connection.sendall(_GREETING)
            head = b""
            while len(head) < _FRAME_HEAD and (more := connection.recv(_FRAME_HEAD - len(head))):
                head += more
    except OSError as error:
        raise UsageError(f"{wrong} ({error.strerror or error}); `ray status` on its head node names it") from None
    if len(head) < _FRAME_HEAD or head[_FRAME_TYPE] != _SETTINGS:
        raise UsageError(f"{wrong} (another program answers); give its port, 6379 unless it was started with another")


def placement(ray: Any, workers: int, device: str) -> tuple[dict[str, int], int]:
    """What Ray keeps for each worker, and the threads that it may use."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with_gpus = [node for node in nodes if node.get("GPU", 0) >= 1]
    if with_gpus and device != "cpu":
        share = min(int(node.get("CPU", 0) // node["GPU"]) for node in with_gpus)
        return {"num_gpus": 1, "num_cpus": share}, max(1, share)
    processors = [int(node.get("CPU", 0)) for node in nodes]
    # The largest share of which all workers fit on the nodes at once.
    fitting = (share for share in range(max(processors, default=1), 0, -1) if _fits(processors, share, workers))
    share = next(fitting, 1)
    return {"num_cpus": share}, share


def _fits(processors: Sequence[int], share: int, workers: int) -> bool:
    return sum(count // share for count in processors) >= workers
