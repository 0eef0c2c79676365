"""`mcbench env`: what runs here, with what, and which weights are there."""

from __future__ import annotations

from rich.table import Table

from mcbench.cli.console import output, print_json
from mcbench.cli.options import DebugOption, JsonOption

NAME = "env"
EXAMPLES = """Examples:

$ mcbench env

$ mcbench env --json"""


def run(json: JsonOption = False, debug: DebugOption = False) -> None:
    """Show versions, devices, folders and weights: what to put into a bug report."""
    import torch

    from mcbench.backbones.weights import weights_folder, weights_status
    from mcbench.home import home_folder
    from mcbench.provenance import device_name, git_state, library_versions

    commit, dirty = git_state()
    devices = [device_name("cpu"), *(device_name(f"cuda:{index}") for index in range(torch.cuda.device_count()))]
    document = {
        "versions": library_versions(),
        "git_commit": commit,
        "git_dirty": dirty,
        "devices": devices,
        "home": str(home_folder()),
        "weights_folder": str(weights_folder()),
        "weights": [
            {
                "backbone": state.backbone,
                "file": state.path.name,
                "present": state.present,
                "verified": state.verified,
                "problem": state.problem,
            }
            for state in weights_status()
        ],
    }
    if json:
        print_json(document)
        return
    table = Table(box=None, show_header=False, padding=(0, 2))
    for name, version in library_versions().items():
        table.add_row(name, version)
    if commit:
        table.add_row("commit", commit[:12] + (" and changes" if dirty else ""))
    for device in devices:
        table.add_row("device", device)
    table.add_row("home", str(home_folder()))
    table.add_row("weights", str(weights_folder()))
    for state in weights_status():
        word = "verified" if state.verified else (state.problem or "missing")
        table.add_row(f"  {state.backbone}", f"{state.path.name}: {word}")
    output.print(table)
