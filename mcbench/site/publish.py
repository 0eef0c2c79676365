"""A site's folder: there whole or not at all, and never in place of something that is not a site."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcbench.atomic import open_permissions
from mcbench.errors import ResultError, UsageError

__all__ = ["MARKER", "SITE_SCHEMA", "site_folder"]

MARKER = "site.json"
"""Lists the files of a site, so that a later one takes its place without touching anything else."""

SITE_SCHEMA = "mcbench.site/1"


@contextmanager
def site_folder(out: Path) -> Iterator[Path]:
    """A new folder beside `out`, which takes its place when the body is done.

    The new one is complete before the old one moves, so that a reader sees one or the other; a body that fails leaves
    the old one as it was.

    Args:
        out: where the site is to lie: a new or empty folder, or one that holds an earlier site and nothing else.

    Raises:
        UsageError: if `out` holds anything that is not of a site; nothing is touched then.
        ResultError: if the place cannot be written to.
    """
    place = Path(os.path.realpath(out))
    _check_replaceable(place, out)
    fresh: Path | None = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        yield fresh
        files = sorted(file.relative_to(fresh).as_posix() for file in fresh.rglob("*") if file.is_file())
        listing = {"schema": SITE_SCHEMA, "files": [*files, MARKER]}
        (fresh / MARKER).write_text(json.dumps(listing, indent=1) + "\n", encoding="utf-8")
        open_permissions(fresh)
        _check_replaceable(place, out)  # once more, since something may have been put there meanwhile
        _swap(fresh, place)
    except OSError as error:
        raise ResultError(
            f"{out}: the site cannot be written ({error.strerror or error}); free space there, or mend its permissions"
        ) from error
    finally:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)


def _swap(fresh: Path, place: Path) -> None:
    if not place.exists():
        fresh.rename(place)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{place.name}.old.", dir=place.parent))
    try:
        place.rename(aside / "site")
        fresh.rename(place)
    except OSError:
        if (aside / "site").exists():
            (aside / "site").rename(place)
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _check_replaceable(place: Path, out: Path) -> None:
    if not os.path.lexists(place):
        return
    if not place.is_dir():
        raise UsageError(f"--site {out}: a file, not a folder; give a new folder")
    listed = _listed(place)
    for folder, folders, files in os.walk(place):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted([*files, *links]):
            path = (Path(folder) / name).relative_to(place).as_posix()
            if path not in listed:
                raise UsageError(
                    f"--site {out}: holds {path!a}, which is no part of a leaderboard's site and would be lost; give a"
                    " new or empty folder"
                )


def _listed(place: Path) -> set[str]:
    """Files that the site in a folder says are its own; none where there is no site."""
    marker = place / MARKER
    try:
        listing = json.loads(marker.read_text(encoding="utf-8")) if not marker.is_symlink() else None
    except (OSError, ValueError, RecursionError):
        return set()
    if not isinstance(listing, dict) or listing.get("schema") != SITE_SCHEMA:
        return set()
    files = listing.get("files")
    return {file for file in files if isinstance(file, str)} if isinstance(files, list) else set()
