"""Tables with one's own rows, in every format: what must be told is told, and no name does any harm."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from paper_results import VALUES, make_result, sha

from mcbench.leaderboard.escaping import csv_text, latex_text, markdown_text
from mcbench.leaderboard.own import OwnResult
from mcbench.leaderboard.paper import TABLES, read_paper_table
from mcbench.leaderboard.render import FORMATS, to_csv, to_html, to_latex, to_markdown, to_rows
from mcbench.leaderboard.tables import Table, build_table
from mcbench.leaderboard.wording import format_value, plain

HOSTILE = [
    r"\input{/etc/passwd}",
    r"\end{tabular}\write18{id}",
    "a & b \\\\ \\hline c",
    "50% $x_1^{2}$ #1 ~ \"quoted\" 'it' `code` ^^41",
    "[2ex] starts with a bracket",
    "*starred first",
    "--dashes-- and --> <!-- comments",
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "</table></body>",
    "a | b || c",
    "**bold** _em_ ~~gone~~ [link](http://evil.example) ![image](x)",
    "<img src=x onerror=alert(1)> &amp; &lt;",
    "@everyone www.evil.example https://evil.example/x",
    "=cmd|'/c calc'!A1",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "＝HYPERLINK(1)",
    "'=1",
    "one\ntwo\rthree\tfour\x0bfive\u2028six",
    "\x1b[31mred\x07",
    "right\u202eleft zero\u200bwidth \ufeff bom",
    "Zoë Ångström ı ñ č ő ŝ 模型 🕺 Ω",
    "x" * 300,
    "",
]


def own(name: str = "my-method", *, label: str | None = None, **about: object) -> OwnResult:
    result = make_result(name=name, **about)  # type: ignore[arg-type]
    return OwnResult(label or plain(name) or "unnamed", sha(repr((name, about))), result)


def table_of(*results: OwnResult, name: str = "tiktok", intervals: bool = False) -> Table:
    return build_table(read_paper_table(name), results, intervals=intervals)


def page_of(text: str) -> ElementTree.Element:
    assert text.startswith("<!DOCTYPE html>\n<html")
    return ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))


def rendered_markdown(text: str) -> list[list[str]]:
    """Rows of the first table, as a renderer of GitHub's Markdown shows them; with raw HTML shown, not run."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    rows: list[list[str]] = []
    for at, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        if token.type in ("th_open", "td_open"):
            children = tokens[at + 1].children or []
            kinds = {child.type for child in children}
            assert kinds <= {"text", "text_special", "strong_open", "strong_close", "em_open", "em_close"}, kinds
            rows[-1].append("".join(child.content for child in children if child.type in ("text", "text_special")))
    return rows


class TestOwnRows:
    def test_stand_below_the_papers_with_the_decimals_of_print(self) -> None:
        rows = rendered_markdown(to_markdown(table_of(own())))
        assert rows[-2][0] == "Ours"
        assert rows[-1] == ["my-method", "26.12", "0.765", "28.46", "0.251", "0.71E-04", "13.99", "118.34"]

    def test_in_json_they_are_the_numbers_themselves(self) -> None:
        row = to_rows(table_of(own()))[-1]
        keys = ["method", "fid", "ssim", "psnr", "lpips", "l1", "fid_vid", "fvd"]
        assert list(row) == [*keys, "sha256"]
        assert [row[key] for key in keys[1:]] == [VALUES[key] for key in keys[1:]]

    def test_in_a_table_of_five_columns_json_still_has_all_seven(self) -> None:
        row = to_rows(table_of(own(dataset="multi-character"), name="multi-character"))[-1]
        assert (row["lpips"], row["l1"]) == (VALUES["lpips"], VALUES["l1"])
        assert len(rendered_markdown(to_markdown(table_of(own(), name="ablation")))[-1]) == 6

    def test_never_have_numbers_of_the_other_protocol(self) -> None:
        result = make_result()
        legacy = result.protocols["disco-legacy@1"]
        metrics = {name: metric.model_copy(update={"value": 5.0}) for name, metric in legacy.metrics.items()}
        protocols = {**result.protocols, "disco-legacy@1": legacy.model_copy(update={"metrics": metrics})}
        item = OwnResult("a", sha("a"), result.model_copy(update={"protocols": protocols}))
        assert {value for key, value in to_rows(table_of(item))[-1].items() if key not in ("method", "sha256")} == {5.0}

    def test_the_best_of_all_is_marked_and_the_paper_steps_back(self) -> None:
        text = to_markdown(table_of(own(values={"fid": 1.0, "fvd": 118.0})))
        assert "**1.00**" in text
        assert "*25.50*" in text
        assert "*118.00*" in text
        assert "**117.81**" in text

    def test_a_starred_one_is_never_marked(self) -> None:
        item = own("truth", label="truth*", needs_truth=True, values={"fid": 0.0, "psnr": 100.0})
        text = to_markdown(table_of(item))
        assert "**0.00**" not in text
        assert "**25.50**" in text

    def test_other_weights_are_marked_and_not_ranked(self) -> None:
        table = table_of(own(weights="random@1", values={"fid": 1.0, "ssim": 0.99}))
        cells = table.lines[-1].cells
        assert (cells["fid"].signs, cells["fid"].mark) == ("†", "")
        assert (cells["ssim"].signs, cells["ssim"].mark) == ("", "best")  # no network under it
        for name, write in FORMATS.items():
            if name != "csv":
                assert "random@1 weights, not the published ones" in write(table), name
        assert to_rows(table)[-1]["weights"] == dict.fromkeys(("fid", "lpips", "fid_vid", "fvd"), "random@1")
        assert "fid: random@1" in to_csv(table)

    def test_what_cannot_be_told_from_the_best(self) -> None:
        first, second = own("a", values={"fid": 1.0}), own("b", values={"fid": 1.1})
        told = build_table(
            read_paper_table("tiktok"), [first, second], indistinguishable=lambda protocol, claims: [True] * len(claims)
        )
        assert told.lines[-1].cells["fid"].signs == "≈"
        assert "1.10*≈" in to_markdown(told)
        assert r"\underline{1.10}$^{\approx}$" in to_latex(told)

    def test_the_methods_note_is_wherever_its_numbers_are(self) -> None:
        table = table_of(own(note="A reference pipeline that was never trained."))
        for name, write in FORMATS.items():
            assert "A reference pipeline that was never trained." in write(table), name
        assert to_rows(table)[-1]["notes"] == ["A reference pipeline that was never trained."]

    def test_a_missing_number_says_why(self) -> None:
        table = table_of(own(values={"fvd": None, "fid_vid": None}))
        assert to_rows(table)[-1]["fvd"] is None
        for name, write in FORMATS.items():
            assert "FID-VID, FVD: no clip has the 16 frames of a window" in write(table), name

    def test_a_metric_that_the_result_lacks(self) -> None:
        result = make_result()
        legacy = result.protocols["disco-legacy@1"]
        metrics = {name: metric for name, metric in legacy.metrics.items() if name != "fid"}
        protocols = {"disco-legacy@1": legacy.model_copy(update={"metrics": metrics})}
        table = table_of(OwnResult("a", sha("a"), result.model_copy(update={"protocols": protocols})))
        assert to_rows(table)[-1]["fid"] is None
        assert "a: FID: not in the result" in to_markdown(table)

    def test_hashes_lead_back_to_the_files(self) -> None:
        first, second = own("a"), own("b")
        table = table_of(first, second)
        for write in FORMATS.values():
            assert first.sha256 in write(table)
            assert second.sha256 in write(table)
        assert f"% row 10: result.json sha256 {first.sha256}" in to_latex(table)
        assert f"<!-- row 11: result.json sha256 {second.sha256} -->" in to_html(table)
        assert "sha256" not in to_latex(table_of())


class TestIntervals:
    def test_only_on_request(self) -> None:
        for name, write in FORMATS.items():
            assert "[24.82, 27.43]" not in write(table_of(own())), name
        assert "intervals" not in to_rows(table_of(own()))[-1]

    def test_beside_the_numbers(self) -> None:
        table = table_of(own(), intervals=True)
        assert rendered_markdown(to_markdown(table))[-1][1] == "26.12 [24.82, 27.43]"
        assert '<span class="interval">[24.82, 27.43]</span>' in to_html(table)
        assert r"{\tiny {[}24.82, 27.43{]}}" in to_latex(table)
        assert to_rows(table)[-1]["intervals"]["fid"] == [26.123 * 0.95, 26.123 * 1.05]
        rows = list(csv.DictReader(io.StringIO(to_csv(table))))
        assert (rows[-1]["fid_low"], rows[-1]["fid_high"]) == ("24.82", "27.43")
        assert (rows[0]["fid_low"], rows[-1]["ssim_low"]) == ("", "")

    def test_a_missing_one_says_why(self) -> None:
        table = table_of(own(), intervals=True)
        assert "my-method: SSIM, PSNR, L1: no interval: an interval needs 3 videos" in to_markdown(table)
        assert to_rows(table)[-1]["notes"] == ["SSIM, PSNR, L1: no interval: an interval needs 3 videos"]

    def test_the_papers_rows_have_none_and_the_table_says_so(self) -> None:
        assert "the paper gives none" in to_markdown(table_of(own(), intervals=True))


class TestNumbers:
    @pytest.mark.parametrize(
        ("metric", "value", "text"),
        [
            ("fid", 27.7, "27.70"),
            ("fid", -1e-9, "0.00"),
            ("fvd", -0.126, "-0.13"),
            ("fvd", 123456.789, "123456.79"),
            ("fvd", 1.5e9, "1.50E+09"),
            ("ssim", 0.76, "0.760"),
            ("psnr", 100.0, "100.00"),
            ("lpips", 0.45, "0.450"),
            ("l1", 0.000073, "0.73E-04"),
            ("l1", 0.0, "0.00E-04"),
            ("l1", None, "-"),
        ],
    )
    def test_are_written_as_the_paper_writes_them(self, metric: str, value: float | None, text: str) -> None:
        assert format_value("disco-legacy@1", metric, value) == text

    def test_l1_of_the_other_protocol_is_no_power_of_ten(self) -> None:
        assert format_value("mcbench@1", "l1", 0.0746) == "0.0746"
        assert format_value("mcbench@1", "kid", 0.01234) == "0.0123"

    def test_a_negative_number_has_a_minus_in_latex_and_stays_a_number_in_a_spreadsheet(self) -> None:
        table = table_of(own(values={"fvd": -0.5}))
        assert "$-$0.50" in to_latex(table)
        assert list(csv.DictReader(io.StringIO(to_csv(table))))[-1]["fvd"] == "-0.50"


class TestHostileNames:
    @pytest.fixture(params=HOSTILE, ids=lambda name: repr(name[:20]))
    def name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_in_markdown(self, name: str) -> None:
        shown = plain(name) or "unnamed"
        text = to_markdown(table_of(own(name, note=f"note: {name}")))
        rows = rendered_markdown(text)
        assert len(rows) == 11
        assert rows[-1] == [shown, "26.12", "0.765", "28.46", "0.251", "0.71E-04", "13.99", "118.34"]
        kinds = {token.type for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text)}
        assert kinds & {"heading_open", "code_block", "fence", "blockquote_open", "hr"} == set()

    def test_in_html(self, name: str) -> None:
        page = page_of(to_html(table_of(own(name, note=f"note: {name}"))))
        assert [row[0].text for row in page.iter("tr")][-1] == (plain(name) or "unnamed")
        tags = {element.tag for element in page.iter() if isinstance(element.tag, str)}
        assert not tags & {"script", "img", "a", "iframe", "link"}
        assert not [key for element in page.iter() for key in element.attrib if key.startswith("on")]

    def test_in_csv(self, name: str) -> None:
        text = to_csv(table_of(own(name, note=f"={name}")))
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(rows) == 10
        shown = plain(name) or "unnamed"
        assert rows[-1]["method"] in (shown, f"'{shown}")
        for row in rows:
            assert not row["method"].startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))
            assert not row["notes"].startswith(("=", "+", "-", "@"))
        assert pd.read_csv(io.StringIO(text))["fid"].iloc[-1] == 26.12

    def test_in_json(self, name: str) -> None:
        document = json.loads(json.dumps(to_rows(table_of(own(name)))))
        assert document[-1]["method"] == (plain(name) or "unnamed")

    def test_in_latex(self, name: str) -> None:
        """The structure: nothing but our own commands, braces in balance, as many columns as the head."""
        text = to_latex(table_of(own(name, note=f"note: {name}")))
        assert text.isascii()
        live = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
        bare = live.replace(r"\\", "").replace(r"\{", "").replace(r"\}", "")
        assert bare.count("{") == bare.count("}")
        assert live.count(r"\begin{tabular}") == live.count(r"\end{tabular}") == 1
        assert not re.search(r"\\(input|write|end\{document|hline|immediate)", live)
        body = live.split(r"\toprule")[1].split(r"\bottomrule")[0]
        rows = [line for line in body.splitlines() if line.strip().endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {7}
        assert len(rows) == 11

    def test_plain_text_shows_what_would_hide(self) -> None:
        assert plain("right\u202eleft zero\u200bwidth\x1b[31m") == "right[U+202E]left zero[U+200B]width[U+001B][31m"
        assert plain(" one\n\n two\u3000three ") == "one two three"
        assert plain("\udcff") == "[U+DCFF]"

    def test_what_needs_no_escape_has_none(self) -> None:
        for name in ("MRAA*", "DisCo+", "w/o Ref. Pose", "Ours", "my-method (run-1)"):
            assert markdown_text(name) == csv_text(name) == name
            assert latex_text(name).replace("{*}", "*") == name


@pytest.mark.skipif(
    shutil.which("pdflatex") is None and not os.environ.get("CI"),
    reason="needs pdflatex; test_in_latex checks the structure",
)
def test_latex_compiles(tmp_path: Path) -> None:
    """All four tables, and one with every hostile name at once, with booktabs and nothing else."""
    rows = [own(f"{name} {index}", note=name) for index, name in enumerate(HOSTILE)]
    tables = [table_of(name=name) for name in TABLES] + [table_of(*rows, intervals=True)]
    for index, table in enumerate(tables):
        (tmp_path / f"table{index}.tex").write_text(to_latex(table), encoding="utf-8")
    inputs = "\n".join(f"\\input{{table{index}}}\\clearpage" for index in range(len(tables)))
    document = (
        f"\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    )
    (tmp_path / "paper.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert run.returncode == 0, run.stdout[-3000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert "Missing character" not in (tmp_path / "paper.log").read_text(encoding="latin-1")
