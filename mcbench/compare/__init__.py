"""Which of several methods is better, on the same videos, and how sure that is.

Everything here is arithmetic on results and measurements: no network and no pixels. `scores` reads what a comparison
needs of one result, `pairs` runs the tests of every two of them, `board` those of the best against each other row, and
`words` says what follows and what does not.
"""

from __future__ import annotations

from mcbench.compare.board import untold
from mcbench.compare.pairs import CLAIM, Comparisons, Pair, compare_results
from mcbench.compare.scores import FeatureScores, Source
from mcbench.compare.words import conclude, standing

__all__ = [
    "CLAIM",
    "Comparisons",
    "FeatureScores",
    "Pair",
    "Source",
    "compare_results",
    "conclude",
    "standing",
    "untold",
]
