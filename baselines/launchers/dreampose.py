"""Runs DreamPose's programs one after the other: `python dreampose.py STEPS.json`, in the folder where they work.

Its fine-tuning and its test are programs of their own. The file lists them in order:

    [{"name": "finetune-unet", "script": "/…/finetune-unet.py", "arguments": [...], "seed": null,
      "makes": ["custom/unet_epoch_499.pth", …], "done": "custom/finetune-unet.done"}, …]

A step that ends well without its files is a failure: the fine-tuning of the U-Net can end without saving anything. The
file `done`, where a step has one, is made once it has ended well; a step that has it is not run again.
`test.py` seeds nothing; a step with a `seed` is run with PyTorch's generators seeded, by this file again:
`python dreampose.py --seeded SEED SCRIPT ARGUMENTS…`.

The user's interpreter runs this file, with the user's packages: it uses the standard library and PyTorch, and nothing
newer than Python 3.7.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any


def run_all(steps: list[dict[str, Any]]) -> int:
    """Run the steps in order; the exit status of the first that fails, else 0."""
    for step in steps:
        done = Path(step["done"]) if step["done"] else None
        if done is not None and done.exists():
            print(step["name"] + ": was done before", flush=True)  # noqa: T201 (this is the program's log)
            continue
        print(step["name"] + ": starts", flush=True)  # noqa: T201 (this is the program's log)
        argv = [sys.executable]
        if step["seed"] is not None:
            argv += [str(Path(__file__).absolute()), "--seeded", str(step["seed"])]
        status = subprocess.run([*argv, step["script"], *step["arguments"]], check=False).returncode
        if status < 0:
            die_of(-status)
        if status > 0:
            return status
        missing = [made for made in step["makes"] if not Path(made).exists()]
        if missing:
            print("{}: wrote no {}".format(step["name"], ", ".join(missing[:5])), file=sys.stderr)  # noqa: T201
            return 1
        if done is not None:
            done.touch()
    return 0


def die_of(number: int) -> None:
    """End as the step did, by a signal, so that who waits can tell a lack of memory from a fault."""
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def run_seeded(seed: int, script: str, arguments: list[str]) -> None:
    """Run a program as if it had been started itself, with PyTorch's generators seeded before."""
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).parent)
    import torch

    torch.manual_seed(seed)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1] == "--seeded":
        run_seeded(int(sys.argv[2]), sys.argv[3], sys.argv[4:])
    else:
        sys.exit(run_all(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
