"""Which texts may stand in a submission: it is shown on web pages, in terminals and in tables."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["fault_of_link", "fault_of_name", "fault_of_text", "looks_like"]

LONGEST_TEXT = 2000
LONGEST_NAME = 100
LONGEST_LINK = 300
MOST_MARKS = 3
"""Combining marks in a row: more do not occur in any script, and pile up over the lines above."""

_BLANKS = frozenset(map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10))))
"""Characters that show nothing, although Unicode counts them among letters, marks or symbols."""

_MARKUP = re.compile(r"[<>]|&(?:#\d+|#x[0-9a-f]+|[a-z]\w*);|javascript:|vbscript:|data:text/|\]\(", re.IGNORECASE)
_LINK = re.compile(
    r"https://(?P<host>(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63})"
    r"(?:/[A-Za-z0-9._~@:%=&+,;!/-]*)?(?:\?[A-Za-z0-9._~@:%=&+,;!/-]*)?(?:#[A-Za-z0-9._~@:%=&+,;!/-]*)?"
)
_TOGETHER = ({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC"}, {"CJK", "HANGUL"})
"""Scripts that are written within one word."""
_INSIDE_NAMES = frozenset(" .,'’·&()-")

_LOOKS = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "8": "b", "2": "z", "-": None})


def fault_of_text(text: str) -> str | None:
    """Why a text may not be shown; None for one that may.

    Refused are control characters, line breaks, invisible characters, those that turn the direction of writing, lone
    surrogates, unassigned ones, blanks other than the space, piles of marks, markup, and great length.
    """
    if len(text) > LONGEST_TEXT:
        return f"{len(text)} characters; {LONGEST_TEXT} at most"
    marks = 0
    for letter in text:
        category = unicodedata.category(letter)
        marks = marks + 1 if category[0] == "M" else 0
        if category[0] == "C" or category in ("Zl", "Zp") or letter in _BLANKS:
            return f"holds the control or invisible character U+{ord(letter):04X}"
        if category == "Zs" and letter != " ":
            return f"holds the blank U+{ord(letter):04X}; a space is U+0020"
        if marks > MOST_MARKS:
            return f"holds more than {MOST_MARKS} combining marks in a row"
    if found := _MARKUP.search(text):
        return f"holds markup: {found.group()!r}"
    return None


def fault_of_name(name: str) -> str | None:
    """Why an author cannot be called that; None for one who can.

    Letters of any script are fine, but not those of two within one word: that is how one name is made to look like
    another (Unicode's mixed-script confusables, UTS 39). For the same reason compatibility forms are refused.
    """
    if not 1 <= len(name) <= LONGEST_NAME or name != name.strip():
        return f"a name has 1 to {LONGEST_NAME} characters, and no blank at its ends"
    if unicodedata.normalize("NFKC", name) != name:
        return "a name must be in Unicode's form NFKC: no full-width, styled or composed letters"
    if not name[0].isalpha():
        return "a name begins with a letter"
    for letter in name:
        if not (unicodedata.category(letter)[0] in "LM" or letter.isdecimal() or letter in _INSIDE_NAMES):
            return f"a name does not hold {letter!r}"
    for word in re.split(r"[ .,'’·&()-]+", name):
        scripts = {unicodedata.name(letter, "?").split()[0] for letter in word if letter.isalpha()}
        if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
            return f"a word of it mixes {' and '.join(sorted(scripts)).lower()} letters"
    return None


def fault_of_link(link: str) -> str | None:
    """Why a link may not be followed; None for an https address of a named host in plain ASCII."""
    if len(link) > LONGEST_LINK:
        return f"{len(link)} characters; {LONGEST_LINK} at most"
    found = _LINK.fullmatch(link)
    if found is None:
        return "not a plain https address of a named host"
    if any(part.startswith("xn--") for part in found["host"].split(".")):
        return "its host has letters in disguise (xn--)"
    return None


def looks_like(name: str) -> str:
    """What is left of a method's name to a hurried reader: `d1sco-p1us` and `disco-plus` are alike."""
    return name.translate(_LOOKS).replace("rn", "m").replace("vv", "w")
