"""The site as a reader has it: opened from disk in a real browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from devtools import Browser
from site_entries import hostile_entries, made_entry, made_result

from mcbench.leaderboard.paper import read_paper_tables
from mcbench.site import write_site
from mcbench.site.collect import entries_of_paper

pytestmark = pytest.mark.slow

BOARD = "boards/multi-character_disco-legacy_1_published.html"
NAMES = "[...document.querySelectorAll('#board > tbody > tr:not([hidden]) > th a')].map((a) => a.textContent)"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    entries = [entry for table in read_paper_tables() for entry in entries_of_paper(table)]
    entries += [
        made_entry(made_result("one", seed=1)),
        made_entry(made_result("two", seed=2, needs_truth=True), reproduced=True),
        made_entry(made_result("three", seed=3, note="was never trained")),
        made_entry(made_result("four", seed=4, dataset="synthetic-mini", weights="random@1")),
    ]
    folder = tmp_path_factory.mktemp("site") / "pages"
    write_site(entries, folder)
    return folder


def nothing_left_the_disk(browser: Browser) -> None:
    assert browser.faults == []
    assert browser.requests
    assert all(request.startswith(("file://", "data:,")) for request in browser.requests), browser.requests


def test_sorting(browser: Browser, site: Path) -> None:
    browser.open((site / BOARD).as_uri())
    by_fvd = browser.run(NAMES)
    assert by_fvd[0] == "Ours"
    assert len(by_fvd) == 8
    column = "#board thead th:nth-child(5)"  # SSIM, of which more is better
    browser.click(f"{column} button")
    assert browser.run(f"document.querySelector('{column}').ariaSort") == "descending"
    values = browser.run("[...document.querySelectorAll('#board > tbody > tr')].map((r) => r.cells[4].dataset.value)")
    assert [float(value) for value in values] == sorted(map(float, values), reverse=True)
    browser.click(f"{column} button")
    assert browser.run(f"document.querySelector('{column}').ariaSort") == "ascending"
    browser.click("#board thead th:nth-child(7) button")  # LPIPS, which Table 3 does not print
    assert set(browser.run(NAMES)[:3]) == {"one", "two*", "three"}
    browser.run("document.querySelector('#board thead th:nth-child(10) button').focus()")
    browser.press("Enter")
    assert browser.run(NAMES) == by_fvd
    nothing_left_the_disk(browser)


def test_filters_and_keyboard(browser: Browser, site: Path) -> None:
    browser.open((site / BOARD).as_uri())
    count = "document.querySelector('output').textContent"
    assert browser.run(count) == "8 rows"
    browser.press("/")
    assert browser.run("document.activeElement.id") == "find"
    for key in "disco":
        browser.press(key)
    assert browser.run(NAMES) == ["DisCo+", "DisCo"]
    assert browser.run(count) == "2 rows"
    for key in "x/":
        browser.press(key)
    assert browser.run("document.getElementById('find').value") == "discox/"
    assert browser.run(NAMES) == []
    assert browser.run("!document.getElementById('nothing').hidden")
    browser.press("Escape")
    assert browser.run(count) == "8 rows"
    assert browser.run("document.getElementById('nothing').hidden")
    choose = (
        "(() => { const s = document.querySelector('select[data-column=\"%d\"]'); s.value = '%s';"
        " s.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    browser.run(choose % (1, "reproduced"))
    assert browser.run(NAMES) == ["two*"]
    browser.run(choose % (2, "poses"))
    assert browser.run(NAMES) == []
    browser.run(choose % (1, ""))
    assert "two*" not in browser.run(NAMES)
    assert browser.run(count) == "7 rows"
    nothing_left_the_disk(browser)


def test_every_link_leads_to_a_page(browser: Browser, site: Path) -> None:
    seen: set[str] = set()
    waiting = [(site / "index.html").as_uri()]
    while waiting:
        address = waiting.pop()
        if address in seen:
            continue
        seen.add(address)
        browser.open(address)
        assert browser.run("document.querySelectorAll('h1').length") == 1
        links = browser.run("[...document.querySelectorAll('a[href]')].map((a) => a.href.split('#')[0])")
        outward = [link for link in links if not link.startswith("file://")]
        assert set(outward) <= {"https://example.org/code"}
        for link in set(links) - set(outward):
            if link.endswith(".html"):
                waiting.append(link)
            else:
                assert Path(link.removeprefix("file://")).is_file(), link
    assert seen == {page.as_uri() for page in site.rglob("*.html")}
    nothing_left_the_disk(browser)


@pytest.mark.parametrize("page", ["index.html", BOARD, "methods/three.html", "methods/mraa.html"])
def test_narrow_and_wide_pages_do_not_scroll_sideways(browser: Browser, site: Path, page: str) -> None:
    for width in (360, 768, 1280):
        browser.resize(width, 800)
        browser.open((site / page).as_uri())
        assert browser.run(OVERFLOW) <= 0, width
    nothing_left_the_disk(browser)


def test_light_and_dark(browser: Browser, site: Path) -> None:
    """Text stands out from its ground by 4.5 to 1 (WCAG 2.2, 1.4.3) in both, as the system wants and as is chosen."""
    contrast = """(() => {
      const light = (text) => {
        const part = text.match(/[\\d.]+/g).slice(0, 3).map((x) => x / 255)
          .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
        return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
      };
      const ground = (e) => {
        for (; e; e = e.parentElement) {
          const color = getComputedStyle(e).backgroundColor;
          if (!color.startsWith("rgba(0, 0, 0, 0")) return color;
        }
      };
      return Math.min(...[...document.querySelectorAll(".badge, td, td small, th small, a, caption, .note, h1")]
        .map((e) => [light(getComputedStyle(e).color), light(ground(e))])
        .map(([a, b]) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)));
    })()"""
    ground = "getComputedStyle(document.body).backgroundColor"
    grounds = set()
    for scheme in ("light", "dark"):
        browser.prefer(prefers_color_scheme=scheme)
        browser.open((site / BOARD).as_uri())
        grounds.add(browser.run(ground))
        assert browser.run(contrast) >= 4.5, scheme
    assert len(grounds) == 2
    before = browser.run(ground)
    browser.click("[data-theme-toggle]")
    assert {before, browser.run(ground)} == grounds
    nothing_left_the_disk(browser)


def test_everything_is_there_without_scripts(browser: Browser, site: Path) -> None:
    browser.scripts(False)
    browser.open((site / BOARD).as_uri())
    text = browser.call("DOM.getDocument", depth=0)
    html = browser.call("DOM.getOuterHTML", nodeId=text["root"]["nodeId"])["outerHTML"]
    for part in ("Ours", "142.76", "three", "was never trained", "95% interval", "CSV"):
        assert part in html
    assert "<button class" not in html
    nothing_left_the_disk(browser)


def test_hostile_texts_run_nothing(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    write_site(hostile_entries(), folder)
    for page in sorted(folder.rglob("*.html")):
        browser.open(page.as_uri())
        assert browser.run("document.title").endswith("mcbench leaderboard")
        assert browser.run("document.querySelectorAll('script:not([src]), img, iframe, object, [onerror]').length") == 0
        links = browser.run("[...document.querySelectorAll('a[href]')].map((a) => [a.protocol, a.host, a.rel])")
        for protocol, host, rel in links:
            assert protocol == "file:" or (protocol == "https:" and "noopener" in rel), (page, links)
            assert "good.example" not in host
        browser.resize(360, 800)
        assert browser.run(OVERFLOW) <= 0, page
    assert not [request for request in browser.requests if not request.startswith(("file://", "data:,"))]
    assert browser.faults == []


def test_a_foreign_script_would_be_stopped(browser: Browser, site: Path, tmp_path: Path) -> None:
    """Were a text to escape its quotes after all, the policy stands behind it."""
    copy = tmp_path / "copy"
    shutil.copytree(site, copy)
    page = copy / "index.html"
    evil = (
        "<script>document.title='taken'</script><img src='http://127.0.0.1:9/x.png' onerror=\"document.title='taken'\">"
    )
    page.write_text(page.read_text(encoding="utf-8").replace("</main>", f"{evil}</main>"), encoding="utf-8")
    browser.open(page.as_uri())
    assert browser.run("document.title") == "mcbench leaderboard"
    assert any("Content Security Policy" in fault for fault in browser.faults)


def test_a_thousand_rows_are_usable(browser: Browser, tmp_path: Path) -> None:
    entries = [made_entry(made_result(f"method-{index}", seed=index)) for index in range(1000)]
    folder = tmp_path / "pages"
    write_site(entries, folder)
    browser.open((folder / "boards/multi-character_mcbench_1_published.html").as_uri())
    times = browser.run("JSON.stringify(performance.getEntriesByType('navigation')[0])")
    assert json.loads(times)["domInteractive"] < 5000
    spent = """(() => {
      const start = performance.now();
      %s;
      document.body.offsetHeight;
      return performance.now() - start;
    })()"""
    assert browser.run(spent % "document.querySelector('#board thead th:nth-child(4) button').click()") < 3000
    browser.run("document.getElementById('find').value = '-99'")
    typed = "document.getElementById('find').dispatchEvent(new Event('input', {bubbles: true}))"
    assert browser.run(spent % typed) < 3000
    assert len(browser.run(NAMES)) == 11
