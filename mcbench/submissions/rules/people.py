"""Rules about who submits what: names, links, licences, claims."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcbench.protocol import PROTOCOLS
from mcbench.submissions.entry import Entry
from mcbench.submissions.findings import printable
from mcbench.submissions.text import fault_of_link, fault_of_name

__all__ = ["authors", "claim", "claim_differs", "license", "links", "method_name", "no_license"]

Broken = Iterator[tuple[str, str]]

LONGEST_METHOD = 64
MOST_AUTHORS = 50
MOST_LINKS = 10

CLAIM_TOLERANCE = 0.01
"""Part of a claimed value by which a measured one may differ where it has no interval: papers print three digits."""


def method_name(entry: Entry) -> Broken:
    """A method's name is an id in plain small letters, so that no two look alike and all are file names."""
    name = entry.submission.result.method.name
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > LONGEST_METHOD:
        yield "result.method.name", f"{printable(ascii(name))} is none"


def authors(entry: Entry) -> Broken:
    """Somebody stands for the numbers, under names that show who it is."""
    names = entry.submission.authors
    if not 1 <= len(names) <= MOST_AUTHORS:
        yield "authors", f"{len(names)} authors; there are 1 to {MOST_AUTHORS}"
        return
    for index, name in enumerate(names):
        if why := fault_of_name(name):
            yield f"authors.{index}", f"{printable(ascii(name))}: {why}"
        if name in names[:index]:
            yield f"authors.{index}", f"{printable(ascii(name))} is there twice"


def links(entry: Entry) -> Broken:
    """A link leads to a named host by https, and nowhere else."""
    if len(entry.submission.links) > MOST_LINKS:
        yield "links", f"{len(entry.submission.links)} links; {MOST_LINKS} at most"
    for index, link in enumerate(entry.submission.links[:MOST_LINKS]):
        if why := fault_of_link(link):
            yield f"links.{index}", f"{printable(ascii(link))}: {why}"


def license(entry: Entry) -> Broken:
    """A licence is a short name in plain letters."""
    text = entry.submission.license
    if text is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 .+()-]{1,79}", text):
        yield "license", f"{printable(ascii(text))} is none"


def no_license(entry: Entry) -> Broken:
    """A reader should know whether the method's weights can be had."""
    if entry.submission.license is None:
        yield "license", "nothing is said about the method's weights"


def claim(entry: Entry) -> Broken:
    """A claim is about a metric of a protocol."""
    for id, values in entry.submission.claims.items():
        for name in values:
            if id not in PROTOCOLS or name not in PROTOCOLS[id].metrics:
                yield "claims", f"no protocol has the metric '{printable(id, 40)}/{printable(name, 40)}'"


def claim_differs(entry: Entry) -> Broken:
    """What was claimed elsewhere should lie in the interval of what was measured."""
    for protocol, stated in entry.protocols:
        for name, claimed in entry.submission.claims.get(protocol.id, {}).items():
            metric = stated.metrics.get(name)
            if metric is None or metric.value is None:
                continue
            reach = CLAIM_TOLERANCE * max(abs(claimed), abs(metric.value))
            low, high = metric.interval or (metric.value - reach, metric.value + reach)
            if not low <= claimed <= high:
                yield f"claims.{protocol.id}.{name}", f"claimed {claimed:.6g}, measured {metric.value:.6g}"
