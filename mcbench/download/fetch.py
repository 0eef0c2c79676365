"""Fetch a file: whole and right at its final name, or not there at all.

What arrives is written to `.<name>.part` beside the final name and renamed once size and hash are right. A part that
a torn connection or a killed process left behind is taken up, but never stitched from two versions of a file: without
a known hash it is resumed only at the same address and under a validator that the server confirms.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any, Final

import httpx
from filelock import FileLock, Timeout

from mcbench.download.faults import DownloadError, cannot_write, readable_size
from mcbench.download.http import Offer, RangeFault, Refused, TooSlow, Torn, ask, new_client

__all__ = ["Fetched", "check_space", "fetch", "hash_of", "sole_process"]

TRIES: Final = 5
"""In a row that get no further than the ones before, at one address."""

MAX_REQUESTS: Final = 500
"""To one address, with progress or not: a server that lets go after every few bytes must not hold us for ever."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds between tries; the pause doubles from the first to the longest."""

_BLOCK: Final = 1 << 20
_SPACE_CHECK: Final = 1 << 26


@dataclass(frozen=True)
class Fetched:
    """A file that is there and is right.

    Attributes:
        path: where it is.
        size: in bytes.
        sha256: its hash.
        address: where it came from; None if it was there already.
    """

    path: Path
    size: int
    sha256: str
    address: str | None


def fetch(
    addresses: Sequence[str],
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    on_bytes: Callable[[int, int | None], None] = lambda done, total: None,
    on_wait: Callable[[], None] = lambda: None,
) -> Fetched:
    """Download a file from the first address that gives it. One that is there and is right is not fetched again.

    Args:
        addresses: mirrors, best first. The hash decides, not the address.
        target: where the file shall be. A wrong file there is replaced, once the right one is whole.
        sha256: 64 hexadecimal digits, or only the first of them where no more is known. Without it the file is as
            good as the server's word on its length.
        size: in bytes, where it is known.
        on_bytes: called with the bytes that are there and the bytes in all, None where the server does not say.
        on_wait: called once if another process works on the same file; then it is waited for.

    Raises:
        DownloadError: if no address gives the file, or there is no room for it. Nothing is at the final name that
            was not there before; what arrived stays beside it for the next run where it can be taken up.
    """
    with sole_process(target, on_wait):
        if target.is_file():
            digest = hash_of(target)
            if digest.startswith(sha256 or "") and size in (None, target.stat().st_size):
                return Fetched(target, target.stat().st_size, digest, None)
        part = _Part(target, sha256, size, on_bytes)
        faults = []
        with new_client() as client:
            for address in dict.fromkeys(addresses):
                try:
                    return part.fetch(client, address)
                except Refused as fault:
                    faults.append(f"{address} {fault}")
                except OSError as error:
                    raise cannot_write(target, error) from error
        if not part.here:
            part.discard()
    raise DownloadError(f"{target.name} cannot be downloaded: {'; '.join(faults)}")


@contextmanager
def sole_process(target: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Be the only process that works on `target`; the operating system ends the claim of one that dies.

    Raises:
        DownloadError: if the folder cannot be written to.
    """
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait()
            lock.acquire(poll_interval=0.1)
    except (OSError, NotImplementedError) as error:
        raise cannot_write(target, error if isinstance(error, OSError) else OSError(str(error))) from error
    try:
        yield
    finally:
        lock.release()


def check_space(folder: Path, needed: int) -> None:
    """Ask for disk space before using it.

    Raises:
        DownloadError: if fewer than `needed` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f"{folder}: {readable_size(needed)} are needed and {readable_size(free)} are free;"
            " free space there, or choose another place with MCBENCH_HOME"
        )


def hash_of(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


class _Part:
    """The beginning of a file, and a note beside it of which version it belongs to."""

    def __init__(
        self, target: Path, sha256: str | None, size: int | None, on_bytes: Callable[[int, int | None], None]
    ) -> None:
        self.target, self.sha256, self.size, self.on_bytes = target, sha256, size, on_bytes
        self.path = target.with_name(f".{target.name}.part")
        self.note_path = target.with_name(f".{target.name}.part.json")
        self.resumed = self.path.exists()

    @property
    def here(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def fetch(self, client: httpx.Client, address: str) -> Fetched:
        """From one address, however often it breaks off."""
        failures, furthest = 0, self.here
        for _ in range(MAX_REQUESTS):
            try:
                if not self._is_complete(address):
                    self._request(client, address)
                return self._finish(address)
            except Torn as torn:
                further = self.here > furthest and not isinstance(torn, (RangeFault, TooSlow))
                failures = 1 if further else failures + 1
                furthest = max(furthest, self.here)
                if isinstance(torn, RangeFault):
                    self.discard()
                if failures >= TRIES:
                    raise Refused(f"{torn}, {TRIES} times in a row") from torn
                pause = min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE)
                sleep(pause if torn.wait is None else torn.wait)
        raise Refused(f"broke off {MAX_REQUESTS} times; run the same command again to go on")

    def discard(self) -> None:
        """Forget what is there."""
        self.path.unlink(missing_ok=True)
        self.note_path.unlink(missing_ok=True)
        self.resumed = False

    def _is_complete(self, address: str) -> bool:
        """Whether a run before this one stopped between the last byte and the rename."""
        if self._has_full_hash and self.size is not None:
            return self.here == self.size
        note = self._note()
        confirmed = note.get("address") == address and note.get("validator") is not None
        return confirmed and self.here > 0 and self.here == note.get("total")

    def _request(self, client: httpx.Client, address: str) -> None:
        offset, validator = self._resume_point(address)
        with ask(client, address, offset=offset, validator=validator) as offer:
            if offer.offset and not self._has_full_hash:
                self._hold_against_note(offer)
            total = self._agreed_total(offer)
            self.resumed = bool(offer.offset)
            check_space(self.target.parent, (total or 0) - offer.offset)
            if not offer.offset:
                self.path.unlink(missing_ok=True)
            kept = {} if offer.encoded else {"validator": offer.validator, "total": total}
            self.note_path.write_text(json.dumps({"address": address, **kept}), encoding="utf-8")
            try:
                self._write(offer, total)
            except Torn:
                if offer.encoded:
                    self.discard()
                raise

    def _resume_point(self, address: str) -> tuple[int, str | None]:
        here, note = self.here, self._note()
        validator = note.get("validator") if note.get("address") == address else None
        if not here or not (validator or self._has_full_hash) or (self.size is not None and here >= self.size):
            return 0, None
        return here, validator

    def _hold_against_note(self, offer: Offer) -> None:
        note = self._note()
        if (offer.validator, offer.total) != (note.get("validator"), note.get("total")):
            raise RangeFault("has another version of the file than a moment ago")

    def _agreed_total(self, offer: Offer) -> int | None:
        if None not in (self.size, offer.total) and offer.total != self.size:
            raise Refused(f"has a file of {offer.total} bytes; the right one has {self.size}")
        total = self.size if self.size is not None else offer.total
        if total is None and not offer.framed and not self._has_full_hash:
            raise Refused(
                "does not say how long the file is, so that a torn download could not be told from a whole one;"
                " fetch it by hand"
            )
        return total

    def _write(self, offer: Offer, total: int | None) -> None:
        done, checked = offer.offset, offer.offset
        with self.path.open("ab") as stream:
            for block in offer.blocks:
                if total is not None and done + len(block) > total:
                    raise RangeFault(f"sends more than the {total} bytes of the file")
                stream.write(block)
                done += len(block)
                if total is None and done - checked > _SPACE_CHECK:
                    checked = done
                    check_space(self.target.parent, _SPACE_CHECK)
                self.on_bytes(done, total)
            stream.flush()
            os.fsync(stream.fileno())
        if total is not None and done < total:
            raise Torn(f"broke off after {done} of {total} bytes")

    def _finish(self, address: str) -> Fetched:
        digest = hash_of(self.path)
        if not digest.startswith(self.sha256 or ""):
            stitched = self.resumed
            self.discard()
            if stitched:
                # The part that was taken up may have been the wrong one; only a whole download can tell.
                raise Torn("gave bytes that do not fit those that were there")
            raise Refused(f"gives another file: its SHA-256 is {digest}, not {self.sha256}")
        size = self.here
        self.path.replace(self.target)
        self.note_path.unlink(missing_ok=True)
        with suppress(OSError):
            _sync_folder(self.target.parent)
        return Fetched(self.target, size, digest, address)

    @property
    def _has_full_hash(self) -> bool:
        return self.sha256 is not None and len(self.sha256) == 64

    def _note(self) -> dict[str, Any]:
        try:
            note = json.loads(self.note_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
