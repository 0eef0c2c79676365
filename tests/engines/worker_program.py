"""A command as mcbench's are, without networks: takes items of a shared folder by claims, and fails as it is told."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from mcbench.run_folder import RunFolder
from mcbench.workers import this_worker

ITEMS = [f"item-{number}" for number in range(6)]


def refuse(behaviour: str, index: int) -> None:
    """Before any work, as for a wrong name or a bug."""
    if behaviour == "refuse":
        sys.exit("worker_program: error: no such data; mend it" if index == 0 else "worker_program: error: nor here")
    if behaviour == "fall" and index == 0:
        raise RuntimeError("out of memory")


def fail(behaviour: str, folder: Path, index: int) -> None:
    """In the midst of an item."""
    starts = len(list(folder.glob(f"started-{index}-*")))
    if behaviour == "refuse-1" and index == 1:
        sys.stderr.write("worker_program: error: not on this node\n")
        sys.exit(2)
    if index == 1 and (behaviour == "die-always" or (behaviour == "die" and starts == 1)):
        sys.stderr.write("half way\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    if index == 1 and behaviour == "lose" and starts == 1:
        os.kill(int(os.environ["MCBENCH_PARENT"]), signal.SIGKILL)


def main() -> None:
    folder, behaviour, pause = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    here, run = this_worker(), RunFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"started-{here.index}-{os.getpid()}").touch()
    sys.stderr.write(f"worker_program: warning: {here.index} of {here.count}\n")
    refuse(behaviour, here.index)
    here.tell_total(2 * len(ITEMS))
    turn = here.turn(len(ITEMS))
    for wait in (False, True) if here.index == 0 else (False,):
        for item in (*ITEMS[turn:], *ITEMS[:turn]):
            if here.is_orphan:
                sys.exit("worker_program: its parent is gone")
            with run.claim(item, wait=wait) as mine:
                if not mine or (folder / item).exists():
                    continue
                here.tell(1, item)
                time.sleep(pause)
                fail(behaviour, folder, here.index)
                (folder / item).write_text(item)
                here.tell(1, item)
    if here.index == 0:
        sys.stdout.write(" ".join(sorted(path.name for path in folder.glob("item-*"))) + "\n")


if __name__ == "__main__":
    try:
        main()
    except SystemExit as stop:
        if isinstance(stop.code, str):
            sys.stderr.write(stop.code + "\n")
            sys.exit(2)
        raise
