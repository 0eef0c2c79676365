"""The leaderboard as boards: for the terminal, and as static pages that open from disk and from any host."""

from __future__ import annotations

from mcbench.site.boards import Board, Row, boards_of
from mcbench.site.collect import collect
from mcbench.site.entries import BADGES, Entry, Score
from mcbench.site.pages import write_site

__all__ = ["BADGES", "Board", "Entry", "Row", "Score", "boards_of", "collect", "write_site"]
