"""Workers on other machines: the same command, started by Ray on the nodes of a cluster.

Ray only places the processes and tells when one is lost. What they share is a folder: clips are claimed by locks in
it, as on one machine, so that the work of a lost worker is taken by the others, and progress and logs are files there.
"""

from __future__ import annotations

from mcbench.engines.ray_run import run_on_ray

__all__ = ["run_on_ray"]
