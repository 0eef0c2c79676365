"""A program that repeats a reference image for several clips, and fails as `behaviour.json` beside it says.

    python many_clips.py --jobs JOBS.json      [{"clip", "reference", "frames", "output"}, …]

Frame k is the reference with k in its first pixel. Every start adds a line with its clips to `starts.txt`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent


def fail(how: str, output: Path) -> None:
    if how == "crash":
        raise RuntimeError("the network fell over")
    if how == "memory":
        raise MemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        # One in a session of its own, whose parent ends at once: nothing but /proc leads to it.
        code = "import os, time; os.setsid(); os.fork() and os._exit(0); open('orphan', 'w').write(str(os.getpid()));"
        subprocess.run([sys.executable, "-c", code + "time.sleep(600)"], cwd=HERE, check=True)
        (HERE / "program").write_text(str(os.getpid()))
        time.sleep(600)
    if how == "garbage":
        (output / "00000.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", required=True)
    jobs = json.loads(Path(parser.parse_args().jobs).read_text())
    behaviour = json.loads((HERE / "behaviour.json").read_text()) if (HERE / "behaviour.json").exists() else {}
    with (HERE / "starts.txt").open("a") as starts:
        starts.write(" ".join(job["clip"] for job in jobs) + "\n")
    for job in jobs:
        output, how = Path(job["output"]), behaviour.get(job["clip"], "")
        sys.stdout.write(f"at clip {job['clip']}, seen GPUs: {os.environ.get('CUDA_VISIBLE_DEVICES', 'all')}\n")
        fail(how, output)
        image = Image.open(job["reference"])
        for number in range(job["frames"] - (how == "short")):
            if how == "garbage" and number == 0:
                continue
            image.putpixel((0, 0), (number, 0, 0))
            image.save(output / f"{number:05d}.png")
    sys.exit(behaviour.get("status", 0))


if __name__ == "__main__":
    main()
