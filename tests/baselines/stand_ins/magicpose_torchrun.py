"""Speaks torchrun's command line for one process, without the seconds that importing torch takes.

Put into a folder as `torch/distributed/run.py`, `python -m torch.distributed.run` finds it there first.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--nproc_per_node", default="1")
    parser.add_argument("--master_port", type=int, default=29500)
    parser.add_argument("script")
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    world = {"WORLD_SIZE": args.nproc_per_node, "RANK": "0", "LOCAL_RANK": "0"}
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(args.master_port)}
    command = [sys.executable, "-u", args.script, *args.rest]
    sys.exit(subprocess.run(command, env={**os.environ, **world, **place}, check=False).returncode)


if __name__ == "__main__":
    main()
