"""A Ray cluster of two nodes of one processor each, until stdin is closed; `lose` on stdin kills the second node."""

from __future__ import annotations

import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster

MEMORY = 80 * 1024**2

cluster = Cluster(
    initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False}
)
second = cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
sys.stdout.write(f"{cluster.address}\n")
sys.stdout.flush()
for line in sys.stdin:
    if line == "lose\n":
        cluster.remove_node(second, allow_graceful=False)
cluster.shutdown()
