"""Fetch the published weights of the backbones, and tell which are there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mcbench.backbones.weights import REGISTRY, WeightsFile, check_file, weights_folder
from mcbench.download.faults import DownloadError, cannot_write
from mcbench.download.fetch import check_space, fetch, hash_of, sole_process
from mcbench.errors import UsageError, WeightsError

__all__ = ["FetchedWeights", "fetch_weights"]


@dataclass(frozen=True)
class FetchedWeights:
    """What became of one file.

    Attributes:
        backbone: name of the network.
        path: where the file is, or should be.
        state: `there` if it was there before, `fetched`, or `missing`.
        sha256: its hash; None if it is missing.
        reason: why it is missing and what to do, in one line; None if it is not.
    """

    backbone: str
    path: Path
    state: Literal["there", "fetched", "missing"]
    sha256: str | None
    reason: str | None


def fetch_weights(
    folder: Path | None = None,
    *,
    source: str | None = None,
    offline: bool = False,
    on_bytes: Callable[[str, int, int | None], None] = lambda what, done, total: None,
    on_note: Callable[[str], None] = lambda text: None,
) -> list[FetchedWeights]:
    """See to every file of the registry. One that cannot be had does not keep the others from being fetched.

    Args:
        folder: where they go; `weights_folder()` by default.
        source: a folder of this machine that holds some of the files, or the http(s) address of a mirror that has
            them under their names; asked before the published addresses. The hash decides in any case.
        offline: never touch the network, only tell what is there.
        on_bytes: called with a file's name, the bytes done, and the bytes in all where they are known.
        on_note: called with one line that a user should read.

    Raises:
        UsageError: if `source` is neither.
    """
    if source is not None and not source.startswith(("http://", "https://")) and not Path(source).expanduser().is_dir():
        raise UsageError(f"--source {source}: give a folder with weights files, or the address of a mirror of them")
    folder = folder or weights_folder()
    return [_see_to(entry, folder, source, offline, on_bytes, on_note) for entry in REGISTRY.values()]


def _see_to(
    entry: WeightsFile,
    folder: Path,
    source: str | None,
    offline: bool,
    on_bytes: Callable[[str, int, int | None], None],
    on_note: Callable[[str], None],
) -> FetchedWeights:
    path = folder / entry.file
    problem = None
    if path.is_file():
        try:
            return FetchedWeights(entry.name, path, "there", check_file(entry, path), None)
        except WeightsError as error:
            problem = str(error)
    try:
        if source is not None and not source.startswith(("http://", "https://")):
            found = Path(source).expanduser() / entry.file
            if found.is_file():
                return FetchedWeights(entry.name, path, "fetched", _copy(entry, found, path), None)
            mirrors = []
        else:
            mirrors = [f"{source.rstrip('/')}/{entry.file}"] if source is not None else []
        addresses = [*mirrors, *(address for address in entry.addresses if not _is_page(address))]
        if offline:
            raise DownloadError(problem or "not there, and --offline forbids to fetch it")
        if not addresses:
            raise DownloadError(
                f"its address is a web page, not a file; open {entry.addresses[0]} in a browser, save {entry.file},"
                f" and put it into {folder}, or run `mcbench download weights --source DIR` with the folder it is in"
            )
        fetched = fetch(
            addresses,
            path,
            sha256=entry.sha256 or entry.sha256_prefix,
            size=entry.size,
            on_bytes=lambda done, total: on_bytes(entry.file, done, total),
            on_wait=lambda: on_note(f"waiting for another process that fetches {entry.file}"),
        )
        sha256 = check_file(entry, path)
    except (DownloadError, WeightsError) as error:
        return FetchedWeights(entry.name, path, "missing", None, str(error))
    return FetchedWeights(entry.name, path, "there" if fetched.address is None else "fetched", sha256, None)


def _copy(entry: WeightsFile, found: Path, path: Path) -> str:
    """Copied beside its place and checked there; never half a file, or another one, under the final name."""
    beside = path.with_name(f".{path.name}.part")
    with sole_process(path):
        try:
            check_space(path.parent, found.stat().st_size)
            shutil.copyfile(found, beside)
            digest = hash_of(beside)
            if not digest.startswith(entry.sha256 or entry.sha256_prefix):
                raise DownloadError(
                    f"{found} is not the published {entry.file}: its SHA-256 is {digest},"
                    f" not {entry.sha256 or entry.sha256_prefix + '…'}; give another folder"
                )
            beside.replace(path)
        except OSError as error:
            raise cannot_write(path, error) from error
        finally:
            beside.unlink(missing_ok=True)
        return check_file(entry, path)


def _is_page(address: str) -> bool:
    """A folder of Google Drive is a page to click in; what it answers is never the file."""
    return "//drive.google.com/drive/folders/" in address
