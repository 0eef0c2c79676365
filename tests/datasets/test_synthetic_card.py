"""The data cards say what the sets are."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path

import pytest
import yaml

from mcbench.datasets.synthetic import (
    SYNTHETIC_VERSION,
    clip_specs,
    render_clip,
    render_reference,
    synthetic_names,
    synthetic_shape,
)

CARDS = Path(__file__).parents[2] / "data_cards"
SECTIONS = (
    "Summary", "Source and how it was made", "Splits", "Annotations", "People", "Licence", "Known limits", "Digests",
    "Removal requests", "How to cite",
)  # fmt: skip
ROW = re.compile(r"^\| ([\w.-]+) \| (\d+) \| (\d) \| [\w, ]+ \| `([0-9a-f]{64})` \|$", re.MULTILINE)


def card(name: str) -> str:
    return (CARDS / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", synthetic_names())
def test_front_matter_and_headings(name: str) -> None:
    text = card(name)
    front = yaml.safe_load(text.split("---")[1])
    assert (front["name"], front["version"]) == (name, SYNTHETIC_VERSION)
    assert (front["clips"], front["frames"]) == synthetic_shape(name)
    assert (front["size"], front["fps"], front["license"]) == (512, 25, "Apache-2.0")
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == SECTIONS
    cast = {spec.characters for spec in clip_specs(name)}
    assert front["characters"] == f"{min(cast)} to {max(cast)}"


@pytest.mark.parametrize("name", synthetic_names())
def test_the_table_lists_every_clip(name: str) -> None:
    rows = [(clip, int(frames), int(characters)) for clip, frames, characters, _ in ROW.findall(card(name))]
    assert rows == [(spec.name, spec.frames, spec.characters) for spec in clip_specs(name)]


def check(name: str, index: int) -> None:
    spec = clip_specs(name)[index]
    frame = render_reference(spec) if name == "synthetic-misaligned" else next(render_clip(spec))
    assert hashlib.sha256(frame.image.tobytes()).hexdigest() == ROW.findall(card(name))[index][3]


@pytest.mark.parametrize(("name", "index"), [("synthetic", 4), ("synthetic-mini", 2), ("synthetic-misaligned", 7)])
def test_digests_are_those_of_the_renderer(name: str, index: int) -> None:
    check(name, index)


@pytest.mark.slow
@pytest.mark.parametrize("name", synthetic_names())
def test_all_digests_are_those_of_the_renderer(name: str) -> None:
    for index in range(len(clip_specs(name))):
        check(name, index)


@pytest.mark.slow
def test_a_frame_of_five_takes_less_than_a_fifteenth_of_a_second() -> None:
    """Processor time of one core, so that other work on the machine does not count."""
    spec = next(spec for spec in clip_specs("synthetic") if spec.characters == 5)
    frames = render_clip(spec, 31)
    next(frames)
    start = time.process_time()
    assert sum(1 for _ in frames) == 30
    assert (time.process_time() - start) / 30 < 1 / 15
