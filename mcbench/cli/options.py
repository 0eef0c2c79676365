"""Arguments that several verbs share, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from mcbench.backbones import BACKBONES
from mcbench.errors import UsageError, nearest
from mcbench.protocol import PROTOCOLS, Protocol, get_protocol

__all__ = [
    "AddressOption",
    "DebugOption",
    "DeviceOption",
    "EngineOption",
    "JsonOption",
    "OutOption",
    "ProtocolOption",
    "SplitOption",
    "WeightsOption",
    "WorkersOption",
    "parse_protocols",
    "parse_settings",
    "parse_weights",
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.", metavar="")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", metavar="")]
ProtocolOption = Annotated[
    list[str] | None,
    typer.Option(
        "--protocol", help=f"Measure under this protocol only: {' or '.join(PROTOCOLS)}; repeatable.", metavar="ID"
    ),
]
WeightsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        help="published, random@1, or BACKBONE=PATH, BACKBONE=random@1 for one network; repeatable. "
        "Synthetic data sets default to random@1.",
        metavar="WEIGHTS",
    ),
]
SplitOption = Annotated[
    str | None, typer.Option("--split", help="Split of an imported data set, where it has several.", metavar="NAME")
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", help="Run folder; one that stopped is taken up. Default: runs/<name>-<dataset>.", metavar="RUN"
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 …", metavar="DEVICE")]
WorkersOption = Annotated[int, typer.Option("--workers", help="Processes that share the clips.", metavar="N")]
EngineOption = Annotated[
    str, typer.Option("--engine", help="Where the workers run: local, or ray for a cluster.", metavar="ENGINE")
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="HOST:PORT of a Ray cluster, or auto for the one that this machine belongs to; without it Ray starts on "
        "this machine alone.",
        metavar="ADDRESS",
    ),
]


def parse_protocols(ids: Sequence[str] | None) -> tuple[Protocol, ...]:
    """All protocols unless some are named."""
    return tuple(get_protocol(id) for id in dict.fromkeys(ids)) if ids else tuple(PROTOCOLS.values())


def parse_weights(choices: Sequence[str] | None) -> str | Mapping[str, str] | None:
    """`random@1` alone for all, or `backbone=choice` pairs; both together let the pairs win."""
    if not choices:
        return None
    alone = [choice for choice in choices if "=" not in choice]
    if len(set(alone)) > 1:
        raise UsageError(f"--weights {' and '.join(alone)} contradict each other; give one, or BACKBONE=CHOICE pairs")
    if alone and alone[0] not in ("published", "random@1"):
        raise UsageError(f"--weights {alone[0]}: give published, random@1 or BACKBONE=PATH")
    pairs: dict[str, str] = {}
    for choice in choices:
        name, found, path = choice.partition("=")
        if not found:
            continue
        if name not in BACKBONES:
            known = ", ".join(BACKBONES)
            raise UsageError(
                f"--weights {name}=…: no backbone is called '{name}'{nearest(name, BACKBONES)}; there are {known}"
            )
        if pairs.setdefault(name, path) != path:
            raise UsageError(f"--weights {name}={pairs[name]} and {name}={path} contradict each other; give one")
    if not pairs:
        return alone[0]
    if not alone:
        return pairs
    return {**dict.fromkeys(BACKBONES, alone[0]), **pairs}


def parse_settings(pairs: Sequence[str] | None) -> dict[str, str]:
    """`key=value` pairs."""
    settings: dict[str, str] = {}
    for pair in pairs or ():
        key, found, value = pair.partition("=")
        if not found or not key:
            raise UsageError(f"--set {pair}: give it as key=value")
        if settings.setdefault(key, value) != value:
            raise UsageError(f"--set {key}={settings[key]} and {key}={value} contradict each other; give one")
    return settings
