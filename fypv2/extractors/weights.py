"""Where the extractors' weights lie, and how a file gets there or is refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from fypv2.extractors.base import ExtractorError, WeightsUsed
from mcbench import home_folder

__all__ = ["file_sha256", "find_weights", "is_offline", "weights_folder", "weights_used"]

_READ_BYTES = 1 << 22


def weights_folder() -> Path:
    """`$MCBENCH_WEIGHTS`, else `weights` in `mcbench.home_folder()`: the folder of mcbench's own weights too."""
    if folder := os.environ.get("MCBENCH_WEIGHTS"):
        return Path(folder).expanduser()
    return home_folder() / "weights"


def is_offline(offline: bool | None = None) -> bool:
    """Whether the network is forbidden: as told, else where `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` is set."""
    if offline is not None:
        return offline
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").strip().lower() in ("1", "true", "yes", "on") for name in names)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal.

    Raises:
        ExtractorError: if it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(_READ_BYTES):
                digest.update(block)
    except OSError as error:
        raise ExtractorError(f"{path}: cannot be read ({error.strerror or error}); mend or replace the file") from error
    return digest.hexdigest()


def weights_used(path: Path, prefix: str | None = None, named: bool = False) -> WeightsUsed:
    """A file's record, after its hash has been compared.

    Args:
        path: the file.
        prefix: the beginning of the published file's SHA-256, where it is known; another file is refused.
        named: whether it lies where a published file belongs, of which no hash is known.

    Raises:
        ExtractorError: if the file cannot be read, or is not the published one.
    """
    sha256 = file_sha256(path)
    if prefix is not None and not sha256.startswith(prefix):
        raise ExtractorError(
            f"{path}: its SHA-256 begins with {sha256[: len(prefix)]}, that of the published file with {prefix}; "
            "delete the file and fetch it again"
        )
    source = "published" if prefix is not None else "by-name" if named else "custom"
    return WeightsUsed(path.name, sha256, source)


def find_weights(
    path: Path,
    address: str,
    download: Callable[[str, Path], object],
    *,
    offline: bool | None = None,
    member: str | None = None,
) -> Path:
    """A file that is there already, or is fetched now.

    Args:
        path: where it lies or shall lie.
        address: where it is published.
        download: called as (address, path); leaves the whole file at `path`, or raises and leaves none.
        offline: never touch the network; see `is_offline`.
        member: name of the file in the archive at the address, where that is an archive.

    Raises:
        ExtractorError: if it is missing and may not, or cannot, be fetched.
    """
    if path.is_file():
        return path
    by_hand = f"fetch {address} and put {'the file' if member is None else f'its {member}'} there under that name"
    if is_offline(offline):
        raise ExtractorError(f"weights {path} are missing and the network is forbidden; {by_hand}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        download(address, path)
    # urllib, http.client, zipfile and torch.hub each have errors of their own for a bad line or a torn file.
    except Exception as error:
        what = " ".join(str(error).split())[:200] or type(error).__name__
        raise ExtractorError(f"weights {path} could not be fetched ({what}); {by_hand}") from error
    if not path.is_file():
        raise ExtractorError(f"weights {path} are not in what was fetched; {by_hand}")
    return path
