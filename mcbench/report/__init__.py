"""`mcbench report`: results of one data set side by side, as pages that open from disk.

`sources` finds what is left of the runs, `film` makes a video for each clip, `curves` and `tables` arrange the
numbers, `pages` fills the templates, `write` puts a report together.
"""

from __future__ import annotations

from mcbench.report.write import Report, write_report

__all__ = ["Report", "write_report"]
