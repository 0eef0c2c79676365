"""Who is best: ranks by value, the best two marked, and what cannot be told from the best."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import pandas as pd

from mcbench.protocol import HIGHER_IS_BETTER

__all__ = ["Indistinguishable", "rank"]

Indistinguishable = Callable[[str, Sequence[tuple[Hashable, Hashable, str]]], Sequence[bool]]
"""Asked once a board with its protocol's id and every claim that its marks make: SHA-256 of the best's file, SHA-256 of
the other's, metric. Answers for each whether the two cannot be told apart; so many claims need one correction."""


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
    for (_, protocol), board in frame[competes].groupby(["board", "protocol"], dropna=False, sort=False):
        claims: list[tuple[Hashable, Hashable, str]] = []
        rows: list[Hashable] = []
        for (metric, _), group in board.groupby(["metric", "weights"], dropna=False, sort=False):
            places = group["value"].rank(method="min", ascending=metric not in HIGHER_IS_BETTER)
            ranked.loc[group.index, "rank"] = places.astype("Int64")
            best = group.loc[places == 1, "sha256"].dropna()
            for row, other in group.loc[places > 1, "sha256"].dropna().items():
                claims += [(one, other, metric) for one in best]
                rows += [row] * len(best)
        if indistinguishable is not None and claims:
            untold = indistinguishable(protocol, claims)
            ranked.loc[[row for row, tied in zip(rows, untold, strict=True) if tied], "tied"] = True
    ranked["mark"] = ranked["rank"].map({1: "best", 2: "second"}).fillna("").astype("string")
    return ranked
