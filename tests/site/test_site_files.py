"""The site's files: whole or not at all, the same from the same entries, and nothing of others is lost."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from site_entries import HOSTILE, files_of, hostile_entries, made_entry, made_result, made_submission

from mcbench.errors import UserError
from mcbench.leaderboard.paper import read_paper_tables
from mcbench.site import Entry, boards_of, collect, write_site
from mcbench.site.bars import WIDTH, scale_of
from mcbench.site.collect import entries_of_paper
from mcbench.site.downloads import board_to_csv
from mcbench.site.entries import Score
from mcbench.site.publish import MARKER, site_folder
from mcbench.site.slugs import slug_of
from mcbench.site.wording import safe_link

VOID = {"meta", "link", "input", "br", "img", "path"}


class Checker(HTMLParser):
    """Every element is closed where it should be; what a page holds is kept."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def some_entries() -> list[Entry]:
    entries = [entry for table in read_paper_tables() for entry in entries_of_paper(table)]
    entries.append(made_entry(made_result("zebra", seed=1, note="was never trained")))
    entries.append(made_entry(made_result("two", seed=2, needs_truth=True), reproduced=True))
    entries.append(made_entry(made_result("quagga", dataset="synthetic-mini", weights="random@1", note="draws lots")))
    return entries


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "deep" / "pages"
    write_site(some_entries(), folder)
    return folder


class TestPages:
    def test_every_page_is_well_formed_named_and_closed_to_the_world(self, site: Path) -> None:
        pages = list(site.rglob("*.html"))
        assert len(pages) > 20
        for page in pages:
            parsed = Checker(page.read_text(encoding="utf-8"))
            tags = [tag for tag, _ in parsed.elements]
            assert tags.count("h1") == tags.count("main") == tags.count("title") == 1
            assert tags.count("table") == tags.count("caption")
            policy = next(item["content"] or "" for tag, item in parsed.elements if "http-equiv" in item)
            assert "default-src 'none'" in policy
            script = next(part for part in policy.split(";") if "script-src" in part)
            assert "unsafe" not in script
            assert "http" not in policy
            identifiers = [item["id"] for _, item in parsed.elements if "id" in item]
            assert len(identifiers) == len(set(identifiers))
            for tag, item in parsed.elements:
                assert not [name for name in item if name.startswith("on") or name == "style"], (page, tag)
                if tag == "th":
                    assert item.get("scope") in ("row", "col")
                for name in ("src", "href"):
                    target = item.get(name) or "#"
                    outward = re.match(r"[a-z]+:", target)
                    if outward and tag == "a":
                        assert outward[0] == "https:"
                        assert "noopener" in (item["rel"] or "")
                    elif target not in ("data:,",) and not target.startswith("#"):
                        assert (page.parent / target).is_file(), (page, target)

    def test_a_note_stands_wherever_the_numbers_are(self, site: Path) -> None:
        for note, slug in (("was never trained", "zebra"), ("draws lots", "quagga")):
            showing = [
                path
                for path, content in files_of(site).items()
                if re.search(rf"\b{slug}\b", content.decode()) and path != MARKER
            ]
            assert len(showing) > 4
            silent = [path for path in showing if note not in (site / path).read_text(encoding="utf-8")]
            assert silent == []

    def test_random_weights_are_named_on_their_boards_and_on_the_first_page(self, site: Path) -> None:
        warned = [path for path, content in files_of(site).items() if b"random@1 weights: these numbers" in content]
        assert len(warned) == 3
        assert "index.html" in warned

    def test_a_method_page_has_settings_provenance_and_hashes(self, site: Path) -> None:
        text = Checker((site / "methods/two.html").read_text(encoding="utf-8")).text
        for part in ("steps", "25", "12" * 32, "34" * 32, "ab" * 32, "mcbench eval --method two", "a GPU", "torch 2.4"):
            assert part in text
        for part in ("shown the truth", "reproduced", "Barbara", "Ada, Grace", "Apache-2.0", "25.30", "20 videos"):
            assert part in text
        handed_on = json.loads((site / "methods/two.1.json").read_text(encoding="utf-8"))
        assert handed_on["schema"] == "mcbench.submission/1"

    def test_an_empty_leaderboard_says_so(self, tmp_path: Path) -> None:
        assert write_site([], tmp_path / "pages") == []
        assert "Nothing has been measured yet" in (tmp_path / "pages/index.html").read_text(encoding="utf-8")


class TestHostileTexts:
    def test_nothing_of_them_is_markup(self, tmp_path: Path) -> None:
        harmless = [made_entry(made_result("plain", seed=index)) for index in range(len(HOSTILE))]
        write_site(harmless, tmp_path / "harmless")
        write_site(hostile_entries(), tmp_path / "hostile")
        allowed = {
            tag
            for page in (tmp_path / "harmless").rglob("*.html")
            for tag, _ in Checker(page.read_text(encoding="utf-8")).elements
        } | {"img"}
        for page in (tmp_path / "hostile").rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\u200b\u2066]", text)
            parsed = Checker(text)
            tags = [tag for tag, _ in parsed.elements]
            assert set(tags) <= allowed
            assert "img" not in tags
            assert not [item for tag, item in parsed.elements if tag == "script" and "src" not in item]
            for tag, item in parsed.elements:
                if tag == "a" and ":" in (item.get("href") or ""):
                    assert (item["href"] or "").startswith("https://")
        # Each name has pages of its own, and none of them lies elsewhere.
        assert len(list((tmp_path / "hostile/methods").glob("*.html"))) == len(set(HOSTILE))
        assert {path.name for path in tmp_path.iterdir()} == {"harmless", "hostile"}

    def test_a_spreadsheet_runs_no_formula_in_full_width_letters_either(self, tmp_path: Path) -> None:
        entry = replace(made_entry(made_result()), name="\uff1dHYPERLINK(1)", note="\uff20SUM(A1)")
        (board, *_) = write_site([entry], tmp_path / "pages")
        head, row = csv.reader(io.StringIO(board_to_csv(board), newline=""))
        assert [row[head.index(name)] for name in ("name", "note")] == ["'\uff1dHYPERLINK(1)", "'\uff20SUM(A1)"]

    def test_downloads_hold_them_and_run_nothing(self, tmp_path: Path) -> None:
        write_site(hostile_entries(), tmp_path / "pages")
        for file in (tmp_path / "pages/boards").glob("*.json"):
            assert json.loads(file.read_text(encoding="ascii"))["schema"] == "mcbench.board/1"
        names = set()
        for file in (tmp_path / "pages/boards").glob("*.csv"):
            rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))
            assert len({len(row) for row in rows}) == 1
            names |= {row[1] for row in rows[1:]}
            for row in rows[1:]:
                assert not [cell for cell in row[:5] if cell.startswith(("=", "+", "-", "@"))]
                assert all(re.fullmatch(r"-?[\d.e-]*", cell) for cell in row[5:])
        assert '\'=HYPERLINK("http://evil.example","x")' in names

    @pytest.mark.parametrize(
        ("address", "safe"),
        [
            ("https://example.org/a?b=c#d", True),
            ("http://example.org:8080/", True),
            ("HTTPS://example.org", True),
            ("https://../etc/passwd", False),
            ("https://ex\u0430mple.org/", False),  # a Cyrillic letter
            ("javascript:alert(1)", False),
            (" javascript:alert(1)", False),
            ("java\nscript:alert(1)", False),
            ("data:text/html,x", False),
            ("file:///etc/passwd", False),
            ("//example.org", False),
            ("/boards", False),
            ("https://", False),
            ("https:///x", False),
            ("https://good.example@evil.example/", False),
            ("https://example.org\\@evil.example/", False),
            ("https://example.org/\u202egro.live", False),
            ("https://[::1", False),
            ("https://example.org:port/", False),
            ("https://example.org/" + "x" * 3000, False),
        ],
    )
    def test_links(self, address: str, safe: bool) -> None:
        assert (safe_link(address) is not None) == safe


class TestSlugs:
    def test_ids_stay_as_they_are(self) -> None:
        assert slug_of("mraa-truth-driven") == "mraa-truth-driven"
        assert slug_of("tiktok", "disco-legacy@1", "published") == "tiktok_disco-legacy_1_published"

    def test_two_names_never_share_a_page(self) -> None:
        names = [
            "a",
            "A",
            "a-",
            "-a",
            "a--b",
            "a-b",
            "a_b",
            "a@b",
            "a/b",
            "а",
            "ａ",
            "",
            " ",
            ".",
            "..",
            "nul",
            "x" * 300,
        ]
        slugs = [slug_of(name) for name in names]
        assert len({slug.lower() for slug in slugs}) == len(names)
        assert slug_of("a", "b") != slug_of("a-b")
        assert all(re.fullmatch(r"[a-z0-9_-]{1,80}", slug) for slug in slugs)
        assert slug_of("nul") != "nul"


class TestBars:
    def test_the_scale_holds_values_and_intervals(self) -> None:
        scores = [Score(2.0, "2", (1.0, 3.0)), Score(5.0, "5"), Score(None, "-"), Score(99.0, "99", comparable=False)]
        scale = scale_of(scores)
        assert (scale.low, scale.high, scale.logarithmic) == (1.0, 5.0, False)
        assert scale.path(scores[0]) == "M1 3H36M18.5 0v6"
        assert scale.path(scores[1]) == f"M{WIDTH - 1} 0v6"
        assert scale.path(scores[2]) == ""

    def test_wide_columns_are_logarithmic_and_equal_ones_have_a_middle(self) -> None:
        scale = scale_of([Score(1.0, "1"), Score(100.0, "100"), Score(1e4, "1e4")])
        assert scale.logarithmic
        assert scale.place(100.0) == WIDTH / 2
        assert scale_of([Score(7.0, "7")]).place(7.0) == WIDTH / 2
        huge = scale_of([Score(-1.7e308, "-"), Score(1.7e308, "+")])
        assert huge.place(0.0) == WIDTH / 2


class TestFolder:
    def test_the_same_entries_give_the_same_bytes(self, site: Path, tmp_path: Path) -> None:
        write_site(some_entries(), tmp_path / "again")
        assert files_of(tmp_path / "again") == files_of(site)

    def test_an_earlier_site_is_replaced_whole(self, tmp_path: Path) -> None:
        write_site(some_entries(), tmp_path / "pages")
        assert (tmp_path / "pages/methods/two.html").exists()
        write_site([made_entry(made_result("late"))], tmp_path / "pages")
        assert {file.name for file in (tmp_path / "pages/methods").glob("*.html")} == {"late.html"}
        assert [path.name for path in tmp_path.iterdir()] == ["pages"]

    def test_an_empty_folder_is_taken(self, tmp_path: Path) -> None:
        write_site([], tmp_path)
        assert (tmp_path / "index.html").exists()

    @pytest.mark.parametrize("foreign", ["CNAME", ".git/config", "boards/mine.html", "site.json"])
    def test_what_is_no_site_is_not_touched(self, tmp_path: Path, foreign: str) -> None:
        place = tmp_path / "pages"
        if foreign != "site.json":
            write_site(some_entries(), place)
        (place / foreign).parent.mkdir(parents=True, exist_ok=True)
        (place / foreign).write_text('{"schema": "another", "files": ["site.json"]}', encoding="utf-8")
        before = files_of(tmp_path)
        with pytest.raises(UserError, match=re.escape(foreign)):
            write_site([], place)
        assert files_of(tmp_path) == before

    def test_links_in_a_site_are_foreign(self, tmp_path: Path) -> None:
        write_site([], tmp_path / "pages")
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious/file").write_text("x", encoding="utf-8")
        (tmp_path / "pages/methods/link").symlink_to(tmp_path / "precious")
        with pytest.raises(UserError, match="link"):
            write_site([], tmp_path / "pages")
        assert (tmp_path / "precious/file").exists()

    def test_a_link_to_a_site_leads_to_it(self, tmp_path: Path) -> None:
        write_site([], tmp_path / "real")
        (tmp_path / "link").symlink_to(tmp_path / "real")
        write_site([made_entry(made_result("late"))], tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real/methods/late.html").exists()

    def test_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "pages").write_text("x", encoding="utf-8")
        with pytest.raises(UserError, match="a file, not a folder"):
            write_site([], tmp_path / "pages")

    def test_one_that_fails_leaves_the_old_one(self, tmp_path: Path) -> None:
        write_site(some_entries(), tmp_path / "pages")
        before = files_of(tmp_path)

        def half() -> None:
            with site_folder(tmp_path / "pages") as folder:
                (folder / "index.html").write_text("half", encoding="utf-8")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            half()
        assert files_of(tmp_path) == before

    def test_a_full_disk_is_one_line_and_leaves_the_old_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_site(some_entries(), tmp_path / "pages")
        before = files_of(tmp_path)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("mcbench.site.pages.board_to_csv", full)
        with pytest.raises(UserError, match=r"No space left on device\); free space"):
            write_site(some_entries(), tmp_path / "pages")
        assert files_of(tmp_path) == before


class TestSubmissions:
    def test_submissions_are_collected_from_their_files(self, tmp_path: Path) -> None:
        for name, reproduced in (("one", False), ("two", True)):
            path = tmp_path / "multi-character" / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(made_submission(made_result(name), reproduced=reproduced).to_json(), encoding="utf-8")
        entries = collect(tmp_path)
        submitted = {entry.name: entry for entry in entries if entry.badge != "paper"}
        assert {name: entry.badge for name, entry in submitted.items()} == {"one": "claimed", "two": "reproduced"}
        assert submitted["one"].document == (tmp_path / "multi-character/one.json").read_text(encoding="utf-8")
        board = next(board for board in boards_of(entries) if board.name == "multi-character")
        assert {"one", "two", "Ours"} <= {row.entry.name for row in board.rows}

    def test_a_damaged_file_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "tiktok").mkdir()
        (tmp_path / "tiktok/bad.json").write_text("{", encoding="utf-8")
        with pytest.raises(UserError, match=r"bad\.json"):
            collect(tmp_path)

    @pytest.mark.slow
    def test_a_thousand_submissions_take_less_than_ten_seconds(self, tmp_path: Path) -> None:
        """In time of this process, which other work on the machine does not lengthen."""
        folder = tmp_path / "submissions" / "multi-character"
        folder.mkdir(parents=True)
        for index in range(1000):
            submission = made_submission(made_result(f"method-{index}", seed=index))
            (folder / f"method-{index}.json").write_text(submission.to_json(), encoding="utf-8")
        start = time.process_time()
        boards = write_site(collect(tmp_path / "submissions"), tmp_path / "pages")
        assert time.process_time() - start < 10
        assert max(len(board.rows) for board in boards) == 1005
        assert len(list((tmp_path / "pages/methods").glob("*.html"))) > 1000
