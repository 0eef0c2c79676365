"""The leaderboard as data: what the paper printed, what was submitted, who is best. Arithmetic and files, no pixels."""

from __future__ import annotations

from mcbench.leaderboard.frame import COLUMNS, load, wide
from mcbench.leaderboard.paired import paired_tests, source_of, tests_between
from mcbench.leaderboard.paper import TABLES, read_paper_table, read_paper_tables
from mcbench.leaderboard.ranking import rank

__all__ = [
    "COLUMNS",
    "TABLES",
    "load",
    "paired_tests",
    "rank",
    "read_paper_table",
    "read_paper_tables",
    "source_of",
    "tests_between",
    "wide",
]
