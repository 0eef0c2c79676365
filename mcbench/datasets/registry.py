"""The data sets that mcbench knows by name, and what is true of each before it is seen."""

from __future__ import annotations

import re

from mcbench.datasets import multi_character, ted_talks, tiktok
from mcbench.datasets.found import Kind
from mcbench.datasets.own import OWN
from mcbench.errors import UsageError

__all__ = ["KINDS", "kind_of"]

KINDS: dict[str, Kind] = {
    multi_character.NAME: multi_character.MULTI_CHARACTER,
    tiktok.NAME: tiktok.TIKTOK,
    ted_talks.NAME: ted_talks.TED_TALKS,
}
"""Those that a user has to get, by name."""

_TAKEN = ("custom", "weights")
"""What other things are called: a folder of truths in a result, and what else `mcbench download` fetches."""


def kind_of(name: str) -> Kind:
    """What is known of the data set of that name; of any other name than those of `KINDS`, nothing.

    Raises:
        UsageError: if no data set may be called that.
    """
    if name in KINDS:
        return KINDS[name]
    if name in _TAKEN or name.startswith("synthetic"):
        raise UsageError(f"'{name}' is taken; import your data set under another name")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise UsageError(f"'{name}' cannot name a data set; use small letters, digits and '-', such as my-set")
    return OWN
