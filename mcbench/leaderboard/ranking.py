"""Who is best: ranks by value, the best two marked, and what cannot be told from the best."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pandas as pd

from mcbench.protocol import HIGHER_IS_BETTER

__all__ = ["Indistinguishable", "rank"]

Indistinguishable = Callable[[Hashable, Hashable, str, str], bool]
"""Whether a row cannot be told from the best one: (SHA-256 of the best's file, SHA-256 of the other's, protocol id,
metric) -> bool."""


def rank(frame: pd.DataFrame, indistinguishable: Indistinguishable | None = None) -> pd.DataFrame:
    """A tidy frame with three more columns.

    Rows compete within one board, protocol, metric and kind of weights. Starred rows, numbers in another unit than
    their column's and numbers under a user's own weights do not compete.

    Args:
        frame: as `mcbench.leaderboard.load` returns it.
        indistinguishable: asked, where best and other are both results with a file of their own, whether a paired test
            fails to tell them apart; without it nothing is marked so. The paper's rows were never published by video,
            so that no test can tell anything of them.

    Returns:
        A copy with `rank` (1 is best, equal values share the smaller number; missing for what does not compete),
        `mark` (`best`, `second` or empty) and `tied` (whether it is not the best and cannot be told from it).
    """
    ranked = frame.copy()
    competes = (
        frame["value"].notna() & ~frame["starred"] & frame["comparable"] & (frame["weights"] != "custom").fillna(True)
    )
    ranked["rank"] = pd.Series(pd.NA, index=frame.index, dtype="Int64")
    ranked["tied"] = False
    keys = ["board", "protocol", "metric", "weights"]
    for (_, protocol, metric, _), group in frame[competes].groupby(keys, dropna=False, sort=False):
        places = group["value"].rank(method="min", ascending=metric not in HIGHER_IS_BETTER)
        ranked.loc[group.index, "rank"] = places.astype("Int64")
        if indistinguishable is not None:
            best = group.loc[places == 1, "sha256"].dropna()
            others = group.loc[places > 1, "sha256"].dropna()
            ranked.loc[others.index, "tied"] = [
                any(indistinguishable(one, other, protocol, metric) for one in best) for other in others
            ]
    ranked["mark"] = ranked["rank"].map({1: "best", 2: "second"}).fillna("").astype("string")
    return ranked
