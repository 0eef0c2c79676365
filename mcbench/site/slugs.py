"""File names of pages: short, safe on every file system, and different for different names."""

from __future__ import annotations

import hashlib
import re

__all__ = ["slug_of"]

_LONGEST = 80
_METHOD_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_DEVICES = re.compile(r"con|prn|aux|nul|(?:com|lpt)[0-9]")
"""Names that Windows keeps for devices, whatever ending they have."""


def slug_of(*parts: str) -> str:
    """A file name without its ending, out of lower-case letters, digits, `-` and `_`.

    Parts that are method ids, as they should be, are joined by `_` as they are; otherwise a digest of all parts is
    added, so that no two names share a page, whatever case, script or path is in them.
    """
    # The version of a protocol or of weights is a part like others.
    pieces = [piece for part in parts for piece in part.split("@")]
    slug = "_".join(pieces)
    if all(map(_METHOD_ID.fullmatch, pieces)) and len(slug) <= _LONGEST and not _DEVICES.fullmatch(slug):
        return slug
    readable = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[:40].strip("-")
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    # Two `_` in a row, which no joined name has.
    return f"{readable or 'x'}__{digest}"
