"""Where a number comes from: versions, commit, device, command."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from mcbench import __version__

__all__ = ["command_line", "device_name", "git_state", "library_versions"]

_LIBRARIES = (
    *("numpy", "scipy", "torch", "torchvision", "lpips", "pytorch-fid", "torchmetrics"),
    *("pillow", "opencv-python-headless", "av"),
)


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide numbers; those not installed are left out."""
    versions = {"python": platform.python_version(), "mcbench": __version__}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_state() -> tuple[str | None, bool | None]:
    """Commit and dirty flag of the checkout that this package is run from; None where it is none."""
    checkout = Path(__file__).resolve().parent.parent
    if not (checkout / ".git").exists():
        return None, None
    try:
        commit = _git(checkout, "rev-parse", "HEAD")
        return commit, bool(_git(checkout, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def device_name(device: str) -> str:
    """`cpu: AMD EPYC, 2 threads`, or the name of the GPU."""
    import torch

    if torch.device(device).type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(torch.device(device))}"
    return f"cpu: {_processor()}, {torch.get_num_threads()} threads"


def command_line() -> str:
    """The command as it can be typed again."""
    program = Path(sys.argv[0])
    is_module = program.name == "__main__.py" and program.parent.name == "mcbench"
    return shlex.join(["mcbench" if is_module else program.name, *sys.argv[1:]])


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git(checkout: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()
