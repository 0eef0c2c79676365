"""The paper's four tables, held against the numbers typed a second time, by hand, from the paper's text.

Source: "Follow-Your-Pose v2: Multiple-Condition Guided Character Image Animation for Stable Pose Control", Tables 1-4.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mcbench.errors import ResultError, UsageError
from mcbench.leaderboard.paper import TABLES, PaperTable, read_paper_table, read_paper_tables
from mcbench.leaderboard.render import to_csv, to_html, to_latex, to_markdown, to_rows
from mcbench.leaderboard.tables import build_table

SEVEN = ["FID↓", "SSIM↑", "PSNR↑", "LPIPS↓", "L1↓", "FID-VID↓", "FVD↓"]
FIVE = ["FID↓", "SSIM↑", "PSNR↑", "FID-VID↓", "FVD↓"]
KEYS = dict(zip(SEVEN, ("fid", "ssim", "psnr", "lpips", "l1", "fid_vid", "fvd"), strict=True))

PRINTED: dict[str, tuple[list[str], dict[str, str]]] = {
    "tiktok": (
        SEVEN,
        {
            "MRAA": "54.47 0.672 29.39 0.296 3.21E-04 66.36 284.82",
            "TPSMM": "53.78 0.673 29.18 0.299 3.23E-04 72.55 306.17",
            "DreamPose": "79.46 0.509 28.04 0.450 6.91E-04 80.51 551.56",
            "DisCo": "51.29 0.699 28.70 0.333 1.10E-04 61.41 379.56",
            "DisCo+": "48.29 0.713 28.78 0.320 1.03E-04 52.56 334.67",
            "MagicAnimate": "32.09 0.714 29.16 0.239 3.13E-04 21.75 179.07",
            "MagicPose": "25.50 0.752 29.53 0.292 0.81E-04 46.30 216.01",
            "AnimateAnyone": "- 0.718 29.56 0.285 - - 171.90",
            "Ours": "27.70 0.760 29.70 0.272 0.73E-04 14.30 117.81",
        },
    ),
    "ted-talks": (
        SEVEN,
        {
            "MRAA*": "25.76 0.807 32.62 0.216 0.36E-04 12.20 126.28",
            "TPSMM*": "24.69 0.819 32.92 0.205 0.35E-04 9.04 87.76",
            "MRAA": "50.36 0.762 31.90 0.266 0.50E-04 82.79 493.02",
            "TPSMM": "23.71 0.771 32.30 0.252 0.49E-04 32.12 260.67",
            "DisCo": "75.48 0.575 27.99 0.309 1.21E-04 66.18 393.04",
            "DisCo+": "63.28 0.596 28.12 0.300 1.11E-04 55.81 343.20",
            "MagicAnimate": "41.58 0.529 28.28 0.310 1.73E-04 33.61 223.54",
            "MagicPose": "23.39 0.723 30.08 0.236 0.81E-04 27.53 214.23",
            "Ours": "18.21 0.779 30.88 0.198 0.46E-04 10.24 81.73",
        },
    ),
    "multi-character": (
        FIVE,
        {
            "DisCo": "77.61 0.793 29.65 104.57 1367.47",
            "DisCo+": "73.21 0.799 29.66 92.26 1303.08",
            "MagicAnime": "40.02 0.819 29.01 19.42 223.82",
            "MagicPose": "31.06 0.806 31.81 30.95 312.65",
            "Ours": "26.95 0.830 31.86 14.56 142.76",
        },
    ),
    "ablation": (
        FIVE,
        {
            "w/o Optical Flow": "52.94 0.710 28.21 34.35 178.48",
            "w/o Ref. Pose": "34.74 0.740 29.13 19.58 139.32",
            "w/o Depth": "27.43 0.754 29.98 14.50 119.26",
            "Ours": "27.70 0.760 29.70 14.30 117.81",
        },
    ),
}


def printed(name: str) -> list[list[str]]:
    head, rows = PRINTED[name]
    return [["Method", *head], *([method, *cells.split()] for method, cells in rows.items())]


def without_marks(cell: str) -> str:
    return cell.strip().strip("*")


@pytest.mark.parametrize("name", PRINTED)
class TestCellForCell:
    def test_the_file(self, name: str) -> None:
        table = read_paper_table(name)
        head, rows = PRINTED[name]
        assert [KEYS[label] for label in head] == list(table.metrics)
        assert {row.name: " ".join(cell.text for cell in row.cells.values()) for row in table.rows} == rows
        assert [row.name for row in table.rows] == list(rows)

    def test_markdown(self, name: str) -> None:
        lines = [line for line in to_markdown(build_table(read_paper_table(name))).splitlines() if line[:1] == "|"]
        cells = [[without_marks(cell) for cell in line.strip("|").split("|")] for line in lines]
        del cells[1]
        wanted = [[without_marks(cell) for cell in row] for row in printed(name)]
        assert cells == wanted
        assert all(row[0] in line for row, line in zip(printed(name)[1:], lines[2:], strict=True))

    def test_latex(self, name: str) -> None:
        text = to_latex(build_table(read_paper_table(name)))
        body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
        cells = [line.strip().removesuffix(r"\\").split(" & ") for line in body.splitlines() if line.strip()]
        plain = [
            [cell.strip().replace("{*}", "*").replace(r"\textbf{", "").replace(r"\underline{", "") for cell in row]
            for row in cells
        ]
        assert [[cell.rstrip("}") for cell in row] for row in plain] == printed(name)[1:]

    def test_csv(self, name: str) -> None:
        rows = list(csv.reader(io.StringIO(to_csv(build_table(read_paper_table(name))))))
        head = printed(name)[0]
        assert rows[0][: len(head)] == ["method", *(KEYS[label] for label in head[1:])]
        cells = [[cell or "-" for cell in row[: len(head)]] for row in rows[1:]]
        assert cells == printed(name)[1:]

    def test_html(self, name: str) -> None:
        page = ElementTree.fromstring(to_html(build_table(read_paper_table(name))).removeprefix("<!DOCTYPE html>"))
        rows = [["".join(cell.itertext()) for cell in row] for row in page.iter("tr")]
        assert rows == printed(name)

    def test_json(self, name: str) -> None:
        head, rows = PRINTED[name]
        wanted = []
        for method, cells in rows.items():
            values = dict(zip((KEYS[label] for label in head), cells.split(), strict=True))
            numbers = {key: None if values.get(key, "-") == "-" else float(values[key]) for key in KEYS.values()}
            wanted.append({"method": method, **numbers})
        assert to_rows(build_table(read_paper_table(name))) == wanted


class TestWhatEachRowIs:
    def test_starred_rows_are_those_that_were_driven_by_the_truth(self) -> None:
        starred = {(table.name, row.name) for table in read_paper_tables() for row in table.rows if row.starred}
        assert starred == {("ted-talks", "MRAA*"), ("ted-talks", "TPSMM*")}

    def test_a_method_has_one_id_in_all_tables(self) -> None:
        ids: dict[str, set[str]] = {}
        for table in read_paper_tables():
            for row in table.rows:
                ids.setdefault(row.name, set()).add(row.method)
        assert {name: len(known) for name, known in ids.items()} == dict.fromkeys(ids, 1)
        assert ids["MRAA*"] == {"mraa-truth-driven"}
        assert ids["DisCo+"] == {"disco-plus"}
        assert ids["MagicAnime"] == ids["MagicAnimate"] == {"magicanimate"}

    def test_nobody_else_could_be_quoted_on_the_papers_own_bench(self) -> None:
        assert {row.origin for row in read_paper_table("multi-character").rows} == {"own", "rerun"}
        assert {row.origin for row in read_paper_table("ablation").rows} == {"own"}

    def test_l1_of_another_unit_is_told_from_what_an_error_can_be(self) -> None:
        """Two unrelated pictures of evenly spread grey levels differ by 85 levels in the mean; SSIM rules that out."""
        odd = {row.name for row in read_paper_table("tiktok").rows if row.cells["l1"].other_unit}
        levels = {
            row.name: row.cells["l1"].value * 512 * 512
            for row in read_paper_table("tiktok").rows
            if row.cells["l1"].value is not None
        }
        assert odd == {name for name, level in levels.items() if level > 80}
        assert max(level for name, level in levels.items() if name not in odd) < 30
        assert not [row.name for row in read_paper_table("ted-talks").rows if row.cells["l1"].other_unit]

    def test_notes_that_correct_the_text_follow_from_the_numbers(self) -> None:
        fid_vid = {row.name: float(row.cells["fid_vid"].text) for row in read_paper_table("tiktok").rows[5:7]}
        ours = read_paper_table("tiktok").rows[-1].cells["fid_vid"].value or 0
        share = round(100 * (1 - ours / fid_vid["MagicAnimate"]))
        assert any(f"{share}% (21.75 to 14.30)" in note for note in read_paper_table("tiktok").notes)
        depth, full = read_paper_table("ablation").rows[2:]
        assert (depth.cells["fid"].value or 0) < (full.cells["fid"].value or 0)
        assert any("w/o Depth is better on FID" in note for note in read_paper_table("ablation").notes)

    def test_the_ablations_last_row_is_that_of_table_1(self) -> None:
        ours, full = read_paper_table("tiktok").rows[-1], read_paper_table("ablation").rows[-1]
        assert full.cells.items() <= ours.cells.items()


class TestFaults:
    def test_an_unknown_table(self) -> None:
        with pytest.raises(UsageError, match="did you mean 'tiktok'"):
            read_paper_table("tik-tok")

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr("mcbench.leaderboard.paper.data_folder", lambda name: tmp_path)
        read_paper_table.cache_clear()
        (tmp_path / "paper").mkdir()
        return tmp_path / "paper"

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda row: row["cells"]["fid"].update(value=5.0), "the text is 54.47 and the value 5.0"),
            (lambda row: row["cells"]["fid"].update(text="-"), "the text is - and the value 54.47"),
            (lambda row: row["cells"].pop("fvd"), "has the columns"),
            (lambda row: row.update(name="Ours"), "a name is there twice"),
            (lambda row: row.update(rank=1), "rows.0.rank"),
        ],
    )
    def test_a_damaged_file(self, folder: Path, change: object, told: str) -> None:
        document = json.loads((Path(__file__).parents[2] / "leaderboard/paper/tiktok.json").read_text(encoding="utf-8"))
        change(document["rows"][0])  # type: ignore[operator]
        (folder / "tiktok.json").write_text(json.dumps(document), encoding="utf-8")
        with pytest.raises(ResultError, match="not a table of the paper") as fault:
            read_paper_table("tiktok")
        assert told in str(fault.value)
        assert "\n" not in str(fault.value)

    def test_a_missing_or_torn_file(self, folder: Path) -> None:
        with pytest.raises(ResultError, match="cannot be read"):
            read_paper_table("tiktok")
        (folder / "tiktok.json").write_text("{", encoding="utf-8")
        with pytest.raises(ResultError, match="not a table of the paper"):
            read_paper_table("tiktok")

    def test_a_file_under_anothers_name(self, folder: Path) -> None:
        other = Path(__file__).parents[2] / "leaderboard/paper/ablation.json"
        (folder / "tiktok.json").write_bytes(other.read_bytes())
        with pytest.raises(ResultError, match="holds the table 'ablation'"):
            read_paper_table("tiktok")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    read_paper_table.cache_clear()


def test_there_are_four() -> None:
    assert tuple(PRINTED) == TABLES
    assert [table.number for table in read_paper_tables()] == [1, 2, 3, 4]
    assert all(isinstance(table, PaperTable) for table in read_paper_tables())
