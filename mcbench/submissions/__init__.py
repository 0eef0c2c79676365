"""Submissions: what stands on the leaderboard, how it is made from a run, and how it is checked.

`schema` says what a submission is, `reading` takes a file that may be hostile, `rules` hold it against itself, its
data set and its neighbours, `making` builds one from a run folder, `checking` verifies files and folders of them, and
`reproducing` measures the predictions anew. A pull request and `mcbench submit` are checked by the same rules.
"""

from __future__ import annotations

from mcbench.submissions.boards import BOARDS, Board, find_board
from mcbench.submissions.checking import verify
from mcbench.submissions.findings import Finding, Verdict
from mcbench.submissions.making import make_submission, write_submission
from mcbench.submissions.reading import load_submission
from mcbench.submissions.schema import Submission, badge_of, next_steps, submission_path

__all__ = [
    "BOARDS",
    "Board",
    "Finding",
    "Submission",
    "Verdict",
    "badge_of",
    "find_board",
    "load_submission",
    "make_submission",
    "next_steps",
    "submission_path",
    "verify",
    "write_submission",
]
