"""Entries for the tests of boards and pages: measured results that are made up, and texts that mean harm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mcbench.protocol import PROTOCOLS
from mcbench.results import (
    ClipScores,
    DatasetInfo,
    MethodInfo,
    MetricResult,
    PredictionsInfo,
    ProtocolResult,
    Provenance,
    Result,
)
from mcbench.site import Entry
from mcbench.site.collect import entry_of_submission
from mcbench.submissions.schema import Reproduction, Submission

CENTRES = {
    "fid": 60.0,
    "ssim": 0.75,
    "psnr": 19.0,
    "lpips": 0.28,
    "fid_vid": 30.0,
    "fvd": 300.0,
    "kid": 0.05,
    "kvd": 0.4,
}
NETWORKS = {"fid": "inception", "kid": "inception", "lpips": "alexnet", "fid_vid": "r3d50", "fvd": "i3d", "kvd": "i3d"}

HOSTILE = (
    "</script><script>document.title='taken'</script>",
    '"><img src=x onerror="document.title=\'taken\'">',
    "'-alert(1)-'",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    '=HYPERLINK("http://evil.example","x")',
    "../../../etc/passwd",
    "\x1b[31mred\x1b[0m\x07",
    "a\u202egnp.exe\u200b\u2066",
    "nul\0byte and \ud800 half",
    "|pipe|\n\n<!-- comment --> ]]> &amp; &#60;",
    "𝕸𝖆𝖙𝖍 \U000e0041 \ufffe",
    "x" * 20_000,
    "a b" * 400,
    "",
    " ",
    "//evil.example/x",
    "data:text/html,<script>alert(1)</script>",
    "http://good.example@evil.example/",
    "[bold red]markup[/bold red] :smile:",
)


def made_result(
    method: str = "my-method",
    *,
    dataset: str = "multi-character",
    seed: int = 0,
    weights: Any = "published",
    fingerprint: str = "ab" * 32,
    **info: Any,
) -> Result:
    """A result whose numbers a generator draws around usual ones, under both protocols."""
    random = np.random.default_rng(seed)
    protocols = {}
    for id, protocol in PROTOCOLS.items():
        metrics = {}
        for name in protocol.metrics:
            centre = (0.9e-4 if id == "disco-legacy@1" else 0.09) if name == "l1" else CENTRES[name]
            value = float(centre * np.exp(random.normal(0, 0.25)))
            half = float(value * random.uniform(0.02, 0.15))
            network = NETWORKS.get(name)
            metrics[name] = MetricResult(
                value=value,
                std_error=half / 2.1,
                interval=(value - half, value + half),
                interval_note="spread at this number of videos" if name in ("fid", "fid_vid", "fvd") else None,
                videos=20,
                frames=None if name in ("fid_vid", "fvd", "kvd") else 3917,
                windows=3617 if name in ("fid_vid", "fvd", "kvd") else None,
                dimension=2048 if network else None,
                split_half=value * 2 if name in ("fid", "fid_vid", "fvd") else None,
                backbone=network,
                weights=weights if network else None,
                weights_sha256="cd" * 32 if network else None,
            )
        clips = {
            f"clip-{index:02d}": ClipScores(frames=195, psnr=18.5, ssim=0.75, lpips=0.28, l1=0.09)
            for index in range(20)
        }
        protocols[id] = ProtocolResult(metrics=metrics, clips=clips)
    return Result(
        method=MethodInfo(
            **{"name": method, "version": "1.2", "checkpoint_sha256": "12" * 32, "settings": {"steps": 25}, **info}
        ),
        dataset=DatasetInfo(name=dataset, version="1", fingerprint=fingerprint, clips=20, frames=3917),
        predictions=PredictionsInfo(digest="34" * 32, container="png", size=(512, 512), fps=25.0),
        protocols=protocols,
        provenance=Provenance(
            mcbench="0.1.0",
            git_commit="5" * 40,
            git_dirty=False,
            libraries={"python": "3.11", "torch": "2.4"},
            device="a GPU",
            command=f"mcbench eval --method {method}",
            seed=0,
            start="2025-01-01T00:00:00Z",
            seconds=321.5,
        ),
    )


def made_submission(result: Result, *, reproduced: bool = False, **said: Any) -> Submission:
    """A submission of a result; its rules are not kept, since pages are made of whatever was read."""
    record = Reproduction(
        by="Barbara",
        date="2025-02-01",
        mcbench="0.1.0",
        device="a GPU",
        largest_difference=1e-9,
        content_sha256="99" * 32,
    )
    fields: dict[str, Any] = {
        "authors": ("Ada", "Grace"),
        "links": ("https://example.org/code",),
        "license": "Apache-2.0",
        "claims": {"disco-legacy@1": {"fid": 25.3}},
        "clips": (),
        "left_out": {},
        "reproduced": (record,) if reproduced else (),
        "content_sha256": "99" * 32,
        **said,
    }
    return Submission(result=result, **fields)


def made_entry(result: Result, *, reproduced: bool = False, **said: Any) -> Entry:
    """The entry of a submission of a result."""
    submission = made_submission(result, reproduced=reproduced, **said)
    return entry_of_submission(submission, submission.to_json())


def hostile_entries() -> list[Entry]:
    """Two for each hostile text, with it in every field: on a board of that name, and all on one board."""
    entries = []
    for index, text in enumerate(HOSTILE):
        for board in (text, "multi-character"):
            entry = made_entry(made_result(seed=index))
            result = entry.result
            assert result is not None
            info = result.method.model_copy(
                update={"name": text, "version": text, "note": text, "settings": {text: [text, {text: text}]}}
            )
            run = result.provenance.model_copy(
                update={"device": text, "command": text, "start": text, "mcbench": text, "libraries": {text: text}}
            )
            dataset = result.dataset.model_copy(update={"name": board, "version": text})
            entries.append(
                replace(
                    entry,
                    method=text,
                    name=text,
                    board=board,
                    dataset=board,
                    note=text,
                    source=text,
                    table_notes=(text,),
                    authors=(text, text),
                    links=(text, f"javascript:{text}", f"https://{text}", f"https://example.org/{text}"),
                    facts=((text, text),),
                    result=result.model_copy(update={"method": info, "provenance": run, "dataset": dataset}),
                    document=text,
                )
            )
    return entries


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its path."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
