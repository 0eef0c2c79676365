"""Everything that is on the boards as one tidy frame: a row is one metric of one method, from the paper or a result.

| column | what |
|---|---|
| board | name of the table or data set; `ablation` is Table 4, which stands on TikTok too |
| dataset, version | what it was measured on; the version names the split, as in `1/new10val` |
| protocol, metric | under which protocol, which metric; numbers of two protocols never share a column |
| method, name | method id, and the name as it is shown, its star included |
| value, low, high | the number and its 95% interval, NaN where there is none |
| text | the number as it is printed, `-` where there is none |
| source | `paper`, `submission` or `result` |
| claim | of the paper `own`, `rerun`, `quoted`, `unsaid`; of a submission its badge; `measured` of one's own result |
| weights | of the network under the metric: `published`, `random@1`, `custom`; missing for metrics without one |
| weights_set | of the whole row under this protocol; rows of two sets never compete |
| starred | was shown the truth: never ranked |
| comparable | False for a number that is not in its column's unit: never ranked |
| note | what must be read before the method's numbers |
| remark | what must be read before this one number: why it is missing or odd |
| fingerprint | of the data set's frames; missing for the paper, which published none |
| sha256 | of the file that the number stands in; missing for the paper |
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mcbench.errors import UsageError
from mcbench.leaderboard.paper import PaperCell, PaperRow, PaperTable, read_paper_tables
from mcbench.leaderboard.wording import format_value
from mcbench.protocol import PROTOCOLS
from mcbench.resources import data_folder
from mcbench.results import MetricResult, ProtocolResult, Result

__all__ = ["COLUMNS", "frame_of", "load", "paper_records", "result_records", "wide"]

_TYPES = {
    "board": "string",
    "dataset": "string",
    "version": "string",
    "protocol": "string",
    "method": "string",
    "name": "string",
    "metric": "string",
    "value": "float64",
    "low": "float64",
    "high": "float64",
    "text": "string",
    "source": "string",
    "claim": "string",
    "weights": "string",
    "weights_set": "string",
    "starred": "bool",
    "comparable": "bool",
    "note": "string",
    "remark": "string",
    "fingerprint": "string",
    "sha256": "string",
}

COLUMNS = tuple(_TYPES)
"""Names of the frame's columns, in their order."""

_WITH_NETWORK = frozenset({"fid", "lpips", "fid_vid", "fvd", "kid", "kvd"})

Record = dict[str, Any]


def load(folder: Path | None = None) -> pd.DataFrame:
    """The paper's rows, then every submission.

    Args:
        folder: of the submissions, `<dataset>/<method>.json`; those that ship with mcbench by default.

    Returns:
        The tidy frame, see `COLUMNS`; boards in the order of the paper, methods in the order of print or file name.

    Raises:
        ResultError: if a file is damaged.
    """
    # Loaded when asked for: making submissions draws in the measuring, which the paper's tables do not need.
    from mcbench.submissions import badge_of, load_submission

    records = [record for table in read_paper_tables() for record in paper_records(table)]
    folder = data_folder("leaderboard") / "submissions" if folder is None else folder
    for path in sorted(folder.glob("*/*.json")):
        submission = load_submission(path)
        records += result_records(
            submission.result,
            source="submission",
            claim=badge_of(submission),
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
    return frame_of(records)


def frame_of(records: Iterable[Record]) -> pd.DataFrame:
    """A tidy frame of records, each with every one of `COLUMNS`."""
    return pd.DataFrame.from_records(list(records), columns=list(COLUMNS)).astype(_TYPES)


def paper_records(table: PaperTable) -> list[Record]:
    """One record for each cell of a table of the paper, missing ones too."""
    return [_paper_record(table, row, metric, cell) for row in table.rows for metric, cell in row.cells.items()]


def result_records(
    result: Result,
    *,
    source: str,
    claim: str,
    sha256: str,
    name: str | None = None,
    board: str | None = None,
    protocols: Sequence[str] | None = None,
) -> list[Record]:
    """One record for each metric of a result.

    Args:
        result: what was measured.
        source, claim, sha256: as in the frame.
        name: as it is shown; by default the method's, with a star if it was shown the truth.
        board: the data set's name by default.
        protocols: ids of those wanted; all that it has by default.
    """
    star = "*" if result.method.needs_truth else ""
    shared = {
        "board": board or result.dataset.name,
        "dataset": result.dataset.name,
        "version": result.dataset.version,
        "method": result.method.name,
        "name": name or f"{result.method.name}{star}",
        "source": source,
        "claim": claim,
        "starred": result.method.needs_truth,
        "comparable": True,
        "note": result.method.note,
        "fingerprint": result.dataset.fingerprint,
        "sha256": sha256,
    }
    return [
        {**shared, **_measured(protocol, metric, measured), "weights_set": _weights_set(content)}
        for protocol, content in result.protocols.items()
        if protocols is None or protocol in protocols
        for metric, measured in content.metrics.items()
    ]


def wide(frame: pd.DataFrame, board: str, protocol: str, *, weights: str = "published") -> pd.DataFrame:
    """One board: methods down, metrics across in the protocol's order, numbers in the cells.

    Args:
        frame: as `load` returns it.
        board: name of the table or data set.
        protocol: id; there is no default, since numbers of two protocols never share a column.
        weights: the set of weights; rows of two sets never share a board.

    Raises:
        UsageError: if the protocol is unknown, or there is no such board.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"no protocol is called '{protocol}'; there are {' and '.join(PROTOCOLS)}")
    chosen = frame[(frame["board"] == board) & (frame["protocol"] == protocol) & (frame["weights_set"] == weights)]
    if chosen.empty:
        raise UsageError(f"there is no board '{board}' under {protocol} with {weights} weights")
    keys = ["name", "source", "sha256"]
    table = chosen.pivot_table(
        index=keys, columns="metric", values="value", aggfunc="first", dropna=False, sort=False, observed=True
    )
    rows = chosen[keys].drop_duplicates()
    metrics = [metric for metric in PROTOCOLS[protocol].metrics if metric in set(chosen["metric"])]
    return table.reindex(index=pd.MultiIndex.from_frame(rows), columns=metrics).rename_axis(columns=None)


def _paper_record(table: PaperTable, row: PaperRow, metric: str, cell: PaperCell) -> Record:
    return {
        "board": table.name,
        "dataset": table.dataset,
        "version": f"1/{table.split}",
        "protocol": table.protocol,
        "method": row.method,
        "name": row.name,
        "metric": metric,
        "value": cell.value,
        "low": None,
        "high": None,
        "text": cell.text,
        "source": "paper",
        "claim": row.origin,
        # The field's evaluators load the published networks; the paper names no others.
        "weights": "published" if metric in _WITH_NETWORK else None,
        "weights_set": "published",
        "starred": row.starred,
        "comparable": cell.other_unit is None,
        "note": row.note,
        "remark": cell.other_unit,
        "fingerprint": None,
        "sha256": None,
    }


def _measured(protocol: str, metric: str, measured: MetricResult) -> Record:
    low, high = measured.interval or (None, None)
    remarks = [measured.reason, measured.note]
    return {
        "protocol": protocol,
        "metric": metric,
        "value": measured.value,
        "low": low,
        "high": high,
        "text": format_value(protocol, metric, measured.value),
        "weights": measured.weights,
        "remark": "; ".join(remark for remark in remarks if remark) or None,
    }


def _weights_set(content: ProtocolResult) -> str:
    """`published` or `random@1` where all networks are that, else `custom`: such a row compares with nobody's."""
    kinds = {metric.weights for metric in content.metrics.values() if metric.weights}
    return kinds.pop() if len(kinds) == 1 else "custom" if kinds else "published"
