"""How numbers and texts of a table are written: the field's own formats, texts that do no harm."""

from __future__ import annotations

import unicodedata

__all__ = ["format_interval", "format_value", "plain"]

LONGEST_PLAIN = 1e6
"""From here on distances and decibels are written with an exponent, or one column would fill the page."""


def format_value(protocol: str, metric: str, value: float | None) -> str:
    """A value with the decimals that the paper gives its metric; `-` where there is none.

    Args:
        protocol: id of the protocol: L1 under `disco-legacy@1` is about 1E-04, under `mcbench@1` it lies in [0, 1].
        metric: its name.
        value: in the unit of that protocol.
    """
    if value is None:
        return "-"
    if metric == "l1":
        text = f"{value * 1e4:.2f}E-04" if protocol == "disco-legacy@1" else f"{value:.4f}"
    elif metric in ("ssim", "lpips"):
        text = f"{value:.3f}"
    elif abs(value) >= LONGEST_PLAIN:
        text = f"{value:.2E}"
    else:
        text = f"{value:.4f}" if metric in ("kid", "kvd") else f"{value:.2f}"
    # A distance of -1e-9 is 0 and not -0.00.
    return text if float(text) else text.removeprefix("-")


def format_interval(protocol: str, metric: str, interval: tuple[float, float]) -> str:
    """An interval as `[low, high]`, with the decimals of its metric."""
    low, high = (format_value(protocol, metric, bound) for bound in interval)
    return f"[{low}, {high}]"


def plain(text: str) -> str:
    """A text on one line in which nothing acts.

    Blanks of any kind become one blank; control, invisible, bidirectional, private and unassigned characters, which
    could hide or turn round what is read, stand as `[U+202E]`.
    """
    spaced = " ".join(text.split())
    return "".join(f"[U+{ord(one):04X}]" if unicodedata.category(one).startswith("C") else one for one in spaced)
