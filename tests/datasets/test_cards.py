"""The data cards hold what the loaders hold, and say what a card must say."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mcbench.cli import main
from mcbench.datasets import import_dataset, multi_character, ted_talks, tiktok
from mcbench.datasets.cards import read_card, read_cards
from mcbench.datasets.registry import KINDS
from mcbench.datasets.synthetic import SYNTHETIC_VERSION, synthetic_names, synthetic_shape
from mcbench.errors import DatasetError, UsageError

CARDS = Path(__file__).parents[2] / "data_cards"
EVERYWHERE = {
    "Summary", "Source and how it was made", "Splits", "People", "Licence", "Digests", "Removal requests",
    "How to cite",
}  # fmt: skip
FETCHED = ("Summary", "Source and how it was made", "Splits", "People", "Licence", "Known faults", "Digests",
           "How to get it", "Removal requests", "How to cite")  # fmt: skip


def headings(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"^## (.+)$", text, re.MULTILINE))


def test_every_data_set_has_a_card_and_every_card_a_data_set() -> None:
    assert {card.facts["name"] for card in read_cards()} == {*synthetic_names(), *KINDS}
    assert {file.stem for file in CARDS.glob("*.md")} == {*synthetic_names(), *KINDS}


@pytest.mark.parametrize("name", [*synthetic_names(), *KINDS])
def test_a_card_says_what_a_card_must(name: str) -> None:
    card = read_card(name)
    assert set(headings(card.text)) >= EVERYWHERE
    for fact in ("name", "version", "pretty_name", "license", "clips", "frames", "size", "fps", "splits"):
        assert fact in card.facts, fact
    assert card.facts["license"]
    assert (CARDS / f"{name}.md").is_file()


@pytest.mark.parametrize("name", KINDS)
def test_those_to_be_fetched_say_how(name: str) -> None:
    card = read_card(name)
    assert headings(card.text) == FETCHED
    assert f"mcbench download {name} --source DIR" in card.text
    assert card.facts["splits"] == [KINDS[name].split]
    assert f"`{KINDS[name].split}`" in card.text
    assert card.facts["license"] in ("none granted", "unknown")


def test_counts_sizes_and_rates_are_those_of_the_loaders() -> None:
    facts = {card.facts["name"]: card.facts for card in read_cards()}
    assert (facts["multi-character"]["clips"], facts["multi-character"]["frames"]) == (
        multi_character.CLIPS, multi_character.FRAMES,
    )  # fmt: skip
    assert facts["tiktok"]["fps"] == tiktok.FPS
    assert (facts["ted-talks"]["fps"], (facts["ted-talks"]["size"],) * 2) == (ted_talks.FPS, ted_talks.SIZE)
    for name in synthetic_names():
        assert (facts[name]["clips"], facts[name]["frames"]) == synthetic_shape(name)
        assert facts[name]["version"] == SYNTHETIC_VERSION


def test_the_wrong_table_is_described_as_the_loader_knows_it() -> None:
    text = " ".join(read_card("ted-talks").text.split())
    assert f"all {ted_talks.WRONG_ROWS} rows, of {ted_talks.WRONG_VIDEOS} videos" in text
    assert ted_talks.RIGHT_TABLE in text


def test_a_generated_card_has_the_same_headings(clip_folders: Callable[..., Path]) -> None:
    import_dataset("my-set", clip_folders("mine"))
    assert headings(read_card("my-set").text) == FETCHED


def test_unknown_and_torn_cards(clip_folders: Callable[..., Path], tmp_path: Path) -> None:
    import_dataset("my-set", clip_folders("mine"))
    with pytest.raises(UsageError, match="did you mean 'my-set'"):
        read_card("my-sets")
    (tmp_path / "home" / "datasets" / "my-set" / "test" / "card.md").write_text("no card")
    with pytest.raises(DatasetError, match="not a data card"):
        read_cards()


class TestVerb:
    @pytest.fixture
    def datasets(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Callable[..., tuple[int, str]]:
        monkeypatch.setenv("COLUMNS", "80")
        for console in ("output", "errors"):
            monkeypatch.setattr(f"mcbench.cli.console.{console}._file", None)

        def run(*arguments: str) -> tuple[int, str]:
            monkeypatch.setattr(sys, "argv", ["mcbench", "datasets", *arguments])
            with pytest.raises(SystemExit) as stop:
                main.main()
            return int(stop.value.code or 0), capsys.readouterr().out

        return run

    def test_the_list_fits_a_terminal(
        self, datasets: Callable[..., tuple[int, str]], clip_folders: Callable[..., Path]
    ) -> None:
        import_dataset("my-set", clip_folders("mine", frames=5))
        import_dataset("my-set", clip_folders("other", clips=3, frames=5), split="val")
        code, out = datasets()
        assert code == 0
        assert max(len(line) for line in out.splitlines()) <= 80
        rows = {line.split()[0]: line.split() for line in out.splitlines() if line.split()}
        assert rows["multi-character"][1:] == ["test", "20", "3917", "none", "granted", "not", "imported"]
        assert rows["tiktok"][1:] == ["new10val", "10", "?", "unknown", "not", "imported"]
        assert rows["synthetic"][-1] == "ready"
        assert rows["my-set"][1:] == ["test", "2", "10", "unknown", "ready"]
        assert rows["val"][1:] == ["3", "15", "ready"]

    def test_a_torn_manifest_does_not_hide_the_others(
        self, datasets: Callable[..., tuple[int, str]], clip_folders: Callable[..., Path], tmp_path: Path
    ) -> None:
        import_dataset("my-set", clip_folders("mine", frames=5))
        (tmp_path / "home" / "datasets" / "my-set" / "test" / "dataset.json").write_text("{")
        code, out = datasets()
        assert code == 0
        assert next(line for line in out.splitlines() if "my-set" in line).rstrip().endswith("not imported")

    def test_as_json(self, datasets: Callable[..., tuple[int, str]], clip_folders: Callable[..., Path]) -> None:
        manifest = import_dataset("my-set", clip_folders("mine", frames=5))
        listed = {row["name"]: row for row in json.loads(datasets("--json")[1])}
        assert [name for name, row in listed.items() if row["ready"]] == [*sorted(synthetic_names()), "my-set"]
        assert listed["my-set"]["imported"] == [
            {"split": "test", "clips": 2, "frames": 10, "fingerprint": manifest.fingerprint}
        ]
        assert listed["tiktok"]["imported"] == []
        assert json.loads(datasets("my-set", "--json")[1])["text"].startswith("# my-set")

    @pytest.mark.parametrize("name", [*synthetic_names(), *KINDS])
    def test_a_card_is_printed_with_its_facts(self, datasets: Callable[..., tuple[int, str]], name: str) -> None:
        code, out = datasets(name)
        assert code == 0
        assert max(len(line) for line in out.splitlines()) <= 80
        card = read_card(name)
        for text in (card.facts["pretty_name"], card.facts["license"], "state", "Removal requests"):
            assert text in out
        assert "---" not in out
