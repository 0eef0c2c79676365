"""How the pages say things: what a metric is, links that may be followed, and texts of a bearable length."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mcbench.leaderboard.wording import plain

__all__ = ["MEANINGS", "RANDOM_WEIGHTS", "as_json", "cut", "host_of", "safe_link"]

MEANINGS: Mapping[str, str] = {
    "fid": "Fréchet distance of the frames' Inception features",
    "ssim": "structural similarity of each frame to its truth",
    "psnr": "peak signal-to-noise ratio of each frame, in decibels",
    "lpips": "learned perceptual distance of each frame to its truth",
    "l1": "mean absolute difference of the pixels",
    "fid_vid": "Fréchet distance of 3D-ResNet-50 features of 16-frame windows",
    "fvd": "Fréchet distance of I3D features of 16-frame windows",
    "kid": "kernel distance of FID's features over pairs of different videos",
    "kvd": "kernel distance of FVD's features over pairs of different videos",
}

RANDOM_WEIGHTS = "The networks have random@1 weights: these numbers compare among themselves, never with a paper's."

_LONGEST_ADDRESS = 2000
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
_HIDING = frozenset(" \\<>\"'`@")
"""Characters that no honest address needs, and that hide where one leads: `https://good@evil`."""


def cut(text: object, longest: int = 4000) -> str:
    """A text with nothing in it that acts, ended by `…` where it is too long; the downloads hold all of it."""
    whole = str(text)
    harmless = plain(whole[: longest + 1])
    return f"{harmless[:longest]}…" if len(whole) > longest else harmless


def safe_link(address: str) -> str | None:
    """The address if a browser may be led there: http or https, with a host in plain ASCII, so that its letters are
    what they look like, and nothing that hides where it goes."""
    if len(address) > _LONGEST_ADDRESS or plain(address) != address or _HIDING.intersection(address):
        return None
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return None
    return address if parts.scheme in ("http", "https") and _HOST.fullmatch(host) else None


def host_of(address: str) -> str:
    """The host of a safe link, which is what a reader is shown of it."""
    return cut(urlsplit(address).hostname or "", 60)


def as_json(value: Any) -> str:
    """A value as JSON in one line; one that JSON cannot hold is said to be so."""
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    except (ValueError, RecursionError, TypeError):
        return "(a value that JSON cannot hold)"
