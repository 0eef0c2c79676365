"""The leaderboard as data: what the paper printed, what was submitted, who is best. Arithmetic and files, no pixels."""

from __future__ import annotations

from mcbench.leaderboard.frame import COLUMNS, load, wide
from mcbench.leaderboard.paper import TABLES, read_paper_table, read_paper_tables
from mcbench.leaderboard.ranking import rank

__all__ = ["COLUMNS", "TABLES", "load", "rank", "read_paper_table", "read_paper_tables", "wide"]
