"""`mcbench methods`: what can be measured."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from mcbench.cli.console import output, print_json
from mcbench.cli.options import DebugOption, JsonOption

NAME = "methods"
EXAMPLES = """Examples:

$ mcbench methods

$ mcbench methods --json"""


def run(json: JsonOption = False, debug: DebugOption = False) -> None:
    """List the methods that are installed, and what each needs."""
    from mcbench.methods import available_methods

    rows = []
    for name, found in available_methods().items():
        if isinstance(found, str):
            rows.append({"name": name, "ready": False, "problem": found})
        else:
            rows.append(
                {
                    "name": name,
                    "ready": True,
                    "version": found.version,
                    "summary": found.summary,
                    "needs_truth": found.needs_truth,
                    "takes_checkpoint": found.takes_checkpoint,
                    "settings": list(found.Settings.model_fields),
                }
            )
    if json:
        print_json(rows)
        return
    table = Table(box=None, header_style="bold", padding=(0, 2))
    for header in ("method", "version", "what it is", "settings"):
        table.add_column(header)
    for row in rows:
        star = "*" if row.get("needs_truth") else ""
        what = str(row.get("summary") or row["problem"])
        settings = ", ".join(row.get("settings") or []) or "-"  # type: ignore[arg-type]
        cells = (f"{row['name']}{star}", str(row.get("version", "-")), what, settings)
        table.add_row(*map(Text, cells))  # brackets in them are no markup
    output.print(table)
    if any(row.get("needs_truth") for row in rows):
        output.print("  * is shown the truth", style="dim")
