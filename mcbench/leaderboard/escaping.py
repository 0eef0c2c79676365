"""Texts that others chose, such as a method's name, made harmless in each format that a table is written in."""

from __future__ import annotations

import html
import re
import unicodedata

from mcbench.leaderboard.wording import plain

__all__ = ["csv_text", "html_text", "latex_text", "markdown_text"]

_MARKDOWN = {
    "\\": "\\\\",
    "|": "\\|",
    "`": "\\`",
    "*": "\\*",
    "_": "\\_",
    "~": "\\~",
    "[": "\\[",
    "]": "\\]",
    "$": "\\$",
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
}

_MARKDOWN_WORDS = (
    (r"(?<![0-9A-Za-z])@", "&#64;"),  # or some renderers notify whoever is called so
    (r"://", "&#58;//"),  # or some renderers make a link of it
    (r"(?i)(www)\.", r"\1&#46;"),
)

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": "{`}",
    "[": "{[}",  # or it is taken for the argument of the line break before it
    "]": "{]}",
    "*": "{*}",
    "“": "``",
    "”": "''",
    "–": r"\textendash{}",
    "†": r"$\dagger$",
    "≈": r"$\approx$",
    "…": r"\dots{}",
}

_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
}
"""Combining marks and the command that sets each in any encoding of LaTeX's fonts."""

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "'")
"""What a spreadsheet takes for the beginning of a formula, full-width too; and the sign that says that it is none."""


def markdown_text(text: str) -> str:
    """A text in a cell or a line of GitHub's Markdown.

    A star at the very end is left as it is where it is the only one: it can mark nothing, and `MRAA*` stays legible.
    """
    text = plain(text)
    star = "*" if text.endswith("*") and text.count("*") == 1 else ""
    text = text.removesuffix(star) if star else text
    escaped = "".join(_MARKDOWN.get(one, one) for one in text)
    for pattern, harmless in _MARKDOWN_WORDS:
        escaped = re.sub(pattern, harmless, escaped)
    return escaped + star


def latex_text(text: str) -> str:
    """A text in LaTeX that needs no package and no encoding: ASCII, accented Latin letters by their commands.

    Any other character stands as its code, `[U+4E2D]`, since whether its font is there is for the reader's machine.
    """
    # Two hyphens in a row would become a dash.
    return re.sub(r"-(?=-)", "-{}", "".join(_latex_character(one) for one in plain(text)))


def html_text(text: str) -> str:
    """A text in an element or a quoted attribute of HTML."""
    return html.escape(plain(text), quote=True)


def csv_text(text: str) -> str:
    """A text in a cell of a spreadsheet: where it could be a formula, an apostrophe in front says that it is none."""
    text = plain(text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _latex_character(one: str) -> str:
    if one in _LATEX:
        return _LATEX[one]
    if one.isascii():
        return one
    parts = unicodedata.normalize("NFD", one)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        # An accent takes the place of the dot.
        letter = {"i": r"\i", "j": r"\j"}.get(parts[0], parts[0])
        return f"\\{_ACCENTS[parts[1]]}{{{letter}}}"
    return f"{{[}}U+{ord(one):04X}{{]}}"
