"""`mcbench download`: data sets and weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mcbench.cli.console import errors, output, print_json
from mcbench.cli.options import DebugOption, JsonOption
from mcbench.errors import UsageError

if TYPE_CHECKING:
    from mcbench.download.sets import Prepared
    from mcbench.download.weights import FetchedWeights

NAME = "download"
EXAMPLES = """Examples:

$ mcbench download synthetic-mini

$ mcbench download my-set --source truth

$ mcbench download weights --offline"""


def run(
    names: Annotated[
        list[str],
        typer.Argument(
            help="weights, a data set's name, or a name of your own with --source; several at once.",
            metavar="NAME|weights …",
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="Where it is: a folder, an archive, an http(s) address, OWNER/NAME@REVISION of Hugging Face, or"
            " youtube:ID. For weights: a folder or a mirror.",
            metavar="PATH_OR_URL",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Name of the split, where the source does not tell it.", metavar="S")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option("--fps", help="Frames a second, where the files do not say.", metavar="N", min=0.1, max=1000),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", help="Where it goes. Default: datasets or weights in $MCBENCH_HOME.", metavar="DIR"),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never touch the network; tell what is there.", metavar="")
    ] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Get data sets and weights, checked. What is there already is not fetched again."""
    from mcbench.download.sets import check_name
    from mcbench.download.weights import fetch_weights

    names = list(dict.fromkeys(names))
    if len(names) > 1 and (source, split, fps) != (None, None, None):
        raise UsageError("--source, --split and --fps are about one data set; give one name with them")
    root = root.expanduser().absolute() if root is not None else None
    for name in names:
        if name != "weights":
            check_name(name, root, with_source=source is not None)
    documents: list[dict[str, Any]] = []
    for name in names:
        if name == "weights":
            with _Bars() as bars:
                files = fetch_weights(root, source=source, offline=offline, on_bytes=bars.bytes, on_note=_note)
            documents.append(_weights_document(files))
        else:
            documents.append(_set_document(_prepare(name, source, split, fps, root, offline)))
    if json:
        print_json(documents)
    else:
        for document in documents:
            _show(document)
    lacking = any(file["state"] == "missing" for document in documents for file in document.get("files", ()))
    return 1 if lacking and not offline else 0


def _prepare(
    name: str, source: str | None, split: str | None, fps: float | None, root: Path | None, offline: bool
) -> Prepared:
    from mcbench.datasets.synthetic import synthetic_names
    from mcbench.download.sets import draw_set, find_set, import_set
    from mcbench.download.sources import Listener

    with _Bars() as bars:
        if name in synthetic_names():
            return draw_set(
                name, root, on_frame=bars.frames(f"drawing {name}"), on_check=bars.frames(f"checking {name}")
            )
        if source is None:
            return find_set(name, root, split=split)
        return import_set(
            name,
            source,
            root,
            split=split,
            fps=fps,
            offline=offline,
            listener=Listener(bars.bytes, _note),
            on_frames=bars.count(f"decoding {name}"),
        )


class _Bars:
    """Bars for whatever is going on; none is shown before something takes time, or where nobody watches."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[amount]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=errors,
            transient=True,
            disable=not errors.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._tasks:
            self._progress.stop()

    def bytes(self, what: str, done: int, total: int | None) -> None:
        """Of a file that is fetched or unpacked."""
        from mcbench.download.faults import readable_size

        amount = readable_size(done) + (f" of {readable_size(total)}" if total is not None else "")
        self._show(what, done, total, amount)

    def frames(self, what: str) -> Callable[[int, int], None]:
        """Frames done of frames to do."""
        return lambda done, total: self._show(what, done, total, f"{done}/{total} frames")

    def count(self, what: str) -> Callable[[int], None]:
        """Frames whose number is not known before."""
        seen = 0

        def add(count: int) -> None:
            nonlocal seen
            seen += count
            self._show(what, seen, None, f"{seen} frames")

        return add

    def _show(self, what: str, done: int, total: int | None, amount: str) -> None:
        if what not in self._tasks:
            self._progress.start()
            self._tasks[what] = self._progress.add_task(what, total=total, amount=amount)
        self._progress.update(self._tasks[what], completed=done, total=total, amount=amount)


def _note(text: str) -> None:
    errors.print(f"mcbench: warning: {text}", style="yellow", soft_wrap=True)


def _set_document(prepared: Prepared) -> dict[str, Any]:
    manifest = prepared.manifest
    return {
        "name": manifest.name,
        "state": prepared.state,
        "folder": str(prepared.folder),
        "version": manifest.version,
        "split": manifest.split,
        "clips": len(manifest.clips),
        "frames": sum(clip.frames for clip in manifest.clips),
        "fingerprint": manifest.fingerprint,
        "pinned": prepared.pinned,
    }


def _weights_document(files: list[FetchedWeights]) -> dict[str, Any]:
    return {
        "name": "weights",
        "files": [
            {
                "backbone": file.backbone,
                "file": str(file.path),
                "state": file.state,
                "sha256": file.sha256,
                "reason": file.reason,
            }
            for file in files
        ],
    }


def _show(document: dict[str, Any]) -> None:
    if document["name"] != "weights":
        fixed = ", as its card says" if document["pinned"] else ""
        output.print(
            f"{document['name']}: {document['state']}; split {document['split']}, {document['clips']} clips,"
            f" {document['frames']} frames, fingerprint {document['fingerprint'][:12]}{fixed}; {document['folder']}",
            soft_wrap=True,
            markup=False,
        )
        return
    for file in document["files"]:
        words = file["file"] if file["reason"] is None else file["reason"]
        output.print(f"{file['backbone']}: {file['state']}; {words}", soft_wrap=True, markup=False)
