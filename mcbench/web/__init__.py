"""What all HTML pages of mcbench share: their style, sortable tables, light and dark, and templates that escape.

Pages open from disk and from any static host: no server, no build step, and nothing that is fetched from elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["SHARED_FILES", "SHARED_FOLDER", "environment"]

SHARED_FOLDER = Path(__file__).resolve().parent
"""Holds the shared files and `templates/`."""

SHARED_FILES = ("style.css", "theme.js", "table.js")
"""Files in `SHARED_FOLDER` that a page links: the style, the choice of light or dark, sortable and filtered tables.

style.css   custom properties of both schemes (`--ground`, `--ink`, `--accent`, `--series-1` to `--series-8` …) and the
            looks of plain HTML; nothing in it needs a class, apart from `.scroll`, `.badge`, `.note`, `.tools`
theme.js    to be loaded in `<head>`; shows `<button data-theme-toggle hidden>` and remembers the choice
table.js    `<table class="sortable">`: headings `<th data-sort="number">` or `"text"` become buttons, cells give their
            value as `data-value` where their text is not it, and empty ones stay last; `<input data-filter="ID">` and
            `<select data-filter="ID" data-column="0">` hide the rows of `<table id="ID">` that do not match, and
            `<output data-count="ID">` says how many are left
"""


def environment(*folders: Path) -> Environment:
    """Templates of these folders, then the shared ones: everything is escaped, and an unknown name is an error.

    Args:
        folders: folders of templates.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader([*folders, SHARED_FOLDER / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
