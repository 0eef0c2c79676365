"""Starts MRAA's `demo.py` as it is: `python mraa.py CHECKOUT/demo.py --config …`.

The head of its repository does not start. `demo.py` uses `os` and imports it nowhere, and `logger.py` asks for
`skimage.draw.circle`, which scikit-image 0.19 took away in favour of `disk`. Both names are supplied where they are
missing; no file of the checkout is changed.

The user's interpreter runs this file, with the user's packages: it needs the standard library and scikit-image
alone, and Python 3.7 or newer.
"""

from __future__ import annotations

import builtins
import importlib
import os
import runpy
import sys
from pathlib import Path
from typing import Any


def supply_os() -> None:
    """Let every module see `os`, whether or not it imports it."""
    if not hasattr(builtins, "os"):
        builtins.os = os  # type: ignore[attr-defined]


def supply_circle() -> None:
    """Give scikit-image 0.19 and later the `circle(r, c, radius, shape)` that they replaced by `disk`."""
    draw: Any = importlib.import_module("skimage.draw")
    if not hasattr(draw, "circle"):
        draw.circle = lambda r, c, radius, shape=None: draw.disk((r, c), radius, shape=shape)


def main() -> None:
    """Run the program named by the first argument with all others."""
    del sys.argv[0]
    program = Path(sys.argv[0])
    sys.path[0] = str(program.parent)  # as if it had been started itself
    supply_os()
    supply_circle()
    runpy.run_path(str(program), run_name="__main__")


if __name__ == "__main__":
    main()
