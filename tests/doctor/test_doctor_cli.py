"""`mcbench doctor`: exits, the JSON form, and what people read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mcbench.doctor import FAULTS

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def _folders(clip_folders: Callable[..., Path]) -> None:
    clip_folders("predictions", 2, 8, noise=9), clip_folders("truth", 2, 8)


@pytest.mark.usefixtures("_folders")
class TestExits:
    def test_0_and_a_good_word(self, mcbench: Run) -> None:
        code, out, error = mcbench("doctor predictions --truth truth")
        assert (code, error) == (0, "")
        assert "nothing wrong: fit to be measured" in out

    def test_0_with_a_warning(self, mcbench: Run) -> None:
        code, out, _ = mcbench("doctor truth --truth truth")
        assert code == 0
        assert "equals-truth, 2 clips" in out
        assert "1 warning: fit to be measured, if this is meant" in out

    def test_1_with_an_error(self, mcbench: Run) -> None:
        shutil.rmtree("predictions/b")
        code, out, error = mcbench("doctor predictions --truth truth")
        assert (code, error) == (1, "")
        for part in (
            "✗ missing clips",
            "missing-clip",
            "→ write the prediction of this clip",
            "1 error: do not publish",
        ):
            assert part in out

    def test_1_with_a_truth_that_cannot_be_opened(self, mcbench: Run) -> None:
        for file in Path("truth/a").iterdir():
            file.unlink()
        code, out, error = mcbench("doctor predictions --truth truth")
        assert (code, error) == (1, "")
        assert "truth-unreadable" in out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("doctor nowhere --truth truth", "nowhere: no such folder"),
            ("doctor predictions --truth nowhere", "nowhere: no such folder"),
            ("doctor predictions --dataset sintetic", "did you mean 'synthetic'"),
            ("doctor predictions", "give either --dataset NAME or --truth DIR"),
            ("doctor predictions --truth truth --dataset synthetic-mini", "give either --dataset NAME or --truth DIR"),
        ],
    )
    def test_2_where_there_is_nothing_to_look_at(self, mcbench: Run, arguments: str, message: str) -> None:
        code, out, error = mcbench(arguments)
        assert (code, out, error.count("\n")) == (2, "", 1)
        assert message in error


@pytest.mark.usefixtures("_folders")
def test_json_is_one_document_of_the_agreed_form(mcbench: Run) -> None:
    shutil.rmtree("predictions/b")
    code, out, error = mcbench("doctor predictions --truth truth --json")
    document = json.loads(out)
    assert (code, error, document["ok"]) == (1, "", False)
    assert [set(item) for item in document["findings"]] == [{"code", "grade", "clip", "evidence", "remedy"}]
    assert (document["findings"][0]["code"], document["findings"][0]["clip"]) == ("missing-clip", "b")


def test_the_page_has_every_code_with_its_grade() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    told = {row[1].strip().strip("`"): row[2].strip() for row in rows}
    assert told == {code: fault.grade for code, fault in FAULTS.items()}
