"""A table in each format that it can be printed in. Every text that somebody else chose goes through `escaping`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from typing import Any

from mcbench.leaderboard.escaping import csv_text, html_text, latex_text, markdown_text
from mcbench.leaderboard.tables import Cell, Line, Table
from mcbench.leaderboard.wording import format_value, plain
from mcbench.protocol import HIGHER_IS_BETTER, LABELS

__all__ = ["FORMATS", "to_csv", "to_html", "to_latex", "to_markdown", "to_rows"]

WIDEST = 40
"""Characters to which a column of Markdown is filled up; a name that is longer than that sticks out by itself."""

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  border-top: 2px solid; border-bottom: 2px solid; }
figure { margin: 0; }
figcaption { padding-bottom: .75rem; }
th, td { padding: .3rem .6rem; text-align: end; white-space: nowrap; vertical-align: top; }
th:first-child { text-align: start; }
thead th { border-bottom: 1px solid; }
tbody th { font-weight: inherit; min-width: 8.5rem; max-width: 16rem; white-space: normal; overflow-wrap: anywhere; }
tr.first-own > * { border-top: 1px solid; }
.second { text-decoration: underline; }
.interval { display: block; font-size: .75em; opacity: .75; }
.notes { font-size: .875rem; padding-inline-start: 1.25rem; }
.notes li { overflow-wrap: anywhere; }
"""


def to_rows(table: Table) -> list[dict[str, Any]]:
    """For `--format json`: one object a method, `method` and then each metric of the protocol as a number or None.

    A row of one's own says more behind that, as far as there is more: `weights` by metric where they are not the
    published ones, `intervals` by metric, `notes`, and `sha256` of its result's file.
    """
    return [_row(line) for line in table.lines]


def to_markdown(table: Table) -> str:
    """A table in GitHub's Markdown, its columns aligned so that it reads well as it is."""
    head = ["Method", *(_head(name) for name in table.metrics)]
    rows = [
        [markdown_text(line.name), *(_markdown_cell(line.cells[name]) for name in table.metrics)]
        for line in table.lines
    ]
    widths = [min(max(len(row[column]) for row in (head, *rows)), WIDEST) for column in range(len(head))]

    def written(cells: list[str]) -> str:
        first, *others = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join((first, *others))} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    notes = [f"- {markdown_text(text)}" for text in (_legend("in italics"), *(note.text for note in table.notes))]
    hashes = [f"<!-- {text} -->" for text in _hashes(table)]
    parts = [
        "\n".join([written(head), written(rule), *map(written, rows)]),
        markdown_text(table.caption),
        "\n".join(notes),
    ]
    return "\n\n".join([*parts, *(["\n".join(hashes)] if hashes else [])]) + "\n"


def to_latex(table: Table) -> str:
    r"""A `table` environment for a paper; it needs `\usepackage{booktabs}` and nothing else.

    What is odd about the paper's own numbers stands in comments; what must be read before one's own, below the table.
    """
    columns = f"@{{}}l{'r' * len(table.metrics)}@{{}}"
    head = [
        "Method",
        *(f"{LABELS[name]}$\\{'up' if name in HIGHER_IS_BETTER else 'down'}arrow$" for name in table.metrics),
    ]
    lines = [
        f"% mcbench table {table.name}; needs \\usepackage{{booktabs}}",
        *(f"% {text}" for text in _hashes(table)),
        *(f"% {latex_text(note.text)}" for note in table.notes if note.of_print),
        r"\begin{table}",
        r"  \centering",
        *([r"  \footnotesize\setlength{\tabcolsep}{2pt}"] if _has_intervals(table) else []),
        f"  \\caption{{{latex_text(table.caption)}}}",
        f"  \\label{{tab:mcbench-{table.name}}}",
        f"  \\begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        f"    {' & '.join(head)} \\\\",
        r"    \midrule",
    ]
    for index, line in enumerate(table.lines):
        if _is_first_own(table, index):
            lines.append(r"    \midrule")
        lines += [f"    {row}" for row in _latex_rows(line, table.metrics)]
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    notes = [_legend("underlined"), *(note.text for note in table.notes if not note.of_print)]
    lines += ["", r"  \medskip", r"  \begin{minipage}{\linewidth}", r"    \footnotesize\raggedright\sloppy"]
    lines += [f"    {latex_text(text)}\\par" for text in notes]
    return "\n".join([*lines, r"  \end{minipage}", r"\end{table}"]) + "\n"


def to_csv(table: Table) -> str:
    """RFC 4180: method, each column's metric (and its bounds, with intervals), then origin, weights and notes."""
    bounds = _has_intervals(table)
    head = ["method"]
    for name in table.metrics:
        head += [name, f"{name}_low", f"{name}_high"] if bounds else [name]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([*head, "origin", "weights", "notes"])
    for line in table.lines:
        row = [csv_text(line.name)]
        for name in table.metrics:
            cell = line.cells[name]
            row.append("" if cell.value is None else cell.text)
            if bounds:
                low, high = cell.bounds or (None, None)
                row += ["" if bound is None else format_value(table.protocol, name, bound) for bound in (low, high)]
        weights = "; ".join(f"{name}: {kind}" for name, kind in _foreign(line).items())
        writer.writerow([*row, csv_text(line.origin), csv_text(weights), csv_text("; ".join(line.notes))])
    return stream.getvalue()


def to_html(table: Table) -> str:
    """A page by itself: no script, nothing loaded, light and dark, well-formed as XML too."""
    title = html_text(f"{table.title}, Table {table.number}")
    heads = "".join(f'<th scope="col">{html_text(_head(name))}</th>' for name in table.metrics)
    rows = []
    for index, line in enumerate(table.lines):
        style = ' class="first-own"' if _is_first_own(table, index) else ""
        cells = "".join(f"<td>{_html_cell(line.cells[name])}</td>" for name in table.metrics)
        rows.append(f'<tr{style}><th scope="row">{html_text(line.name)}</th>{cells}</tr>')
    texts = [_legend("underlined"), *(note.text for note in table.notes)]
    notes = "\n".join(f"<li>{html_text(text)}</li>" for text in texts)
    hashes = "".join(f"<!-- {text} -->\n" for text in _hashes(table))
    body = "\n".join(rows)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
{hashes}<figure>
<figcaption id="caption">{html_text(table.caption)}</figcaption>
<div class="scroll" tabindex="0" role="region" aria-labelledby="caption">
<table aria-labelledby="caption">
<thead><tr><th scope="col">Method</th>{heads}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</div>
</figure>
<ul class="notes">
{notes}
</ul>
</body>
</html>
"""


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "markdown": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
    "html": to_html,
}
"""The formats that are text; `json` is `to_rows`."""


def _legend(second: str) -> str:
    return f"Best in bold, second best {second}; methods with a star (*) were shown the truth and are not ranked."


def _head(name: str) -> str:
    return f"{LABELS[name]}{'↑' if name in HIGHER_IS_BETTER else '↓'}"


def _hashes(table: Table) -> list[str]:
    """What leads back to the files; it holds no text that anybody chose, so that it can stand in any comment."""
    return [
        f"row {index}: result.json sha256 {line.sha256}"
        for index, line in enumerate(table.lines, start=1)
        if line.sha256 is not None
    ]


def _has_intervals(table: Table) -> bool:
    return any(line.cells[name].bounds for line in table.lines for name in table.metrics)


def _is_first_own(table: Table, index: int) -> bool:
    return table.lines[index].sha256 is not None and index > 0 and table.lines[index - 1].sha256 is None


def _foreign(line: Line) -> dict[str, str]:
    """Weights by metric, where they are not the published ones."""
    return {name: cell.weights for name, cell in line.cells.items() if cell.weights not in (None, "published")}


def _row(line: Line) -> dict[str, Any]:
    row: dict[str, Any] = {"method": plain(line.name), **{name: cell.value for name, cell in line.cells.items()}}
    if line.sha256 is None:
        return row
    intervals = {name: list(cell.bounds) for name, cell in line.cells.items() if cell.bounds}
    more = {"weights": _foreign(line), "intervals": intervals, "notes": list(line.notes)}
    return {**row, **{name: value for name, value in more.items() if value}, "sha256": line.sha256}


def _markdown_cell(cell: Cell) -> str:
    marks = {"best": "**{}**", "second": "*{}*"}
    number = marks.get(cell.mark, "{}").format(cell.text) + cell.signs
    return f"{number} {markdown_text(cell.interval)}" if cell.interval else number


def _latex_rows(line: Line, metrics: tuple[str, ...]) -> list[str]:
    """The row, and below it its intervals in small print, where it has any: no page is wide enough for both."""
    marks = {"best": r"\textbf{%s}", "second": r"\underline{%s}"}
    numbers = [
        marks.get(cell.mark, "%s") % _latex_number(cell.text) + (f"$^{{{_latex_signs(cell)}}}$" if cell.signs else "")
        for cell in (line.cells[name] for name in metrics)
    ]
    rows = [f"{latex_text(line.name)} & {' & '.join(numbers)} \\\\"]
    if any(line.cells[name].interval for name in metrics):
        bounds = [_latex_number(line.cells[name].interval or "") for name in metrics]
        rows.append("& " + " & ".join(f"{{\\tiny {text}}}" if text else "" for text in bounds) + r" \\")
    return rows


def _latex_number(text: str) -> str:
    """Numbers with a minus for a sign, and not a hyphen; that of an exponent stays as the paper prints it."""
    return re.sub(r"(?<![0-9A-Za-z])-(?=[0-9])", "$-$", latex_text(text))


def _latex_signs(cell: Cell) -> str:
    return "".join({"†": r"\dagger", "≈": r"\approx"}[sign] for sign in cell.signs)


def _html_cell(cell: Cell) -> str:
    marks = {"best": "<strong>{}</strong>", "second": '<span class="second">{}</span>'}
    number = marks.get(cell.mark, "{}").format(html_text(cell.text)) + html_text(cell.signs)
    return f'{number}<span class="interval">{html_text(cell.interval)}</span>' if cell.interval else number
