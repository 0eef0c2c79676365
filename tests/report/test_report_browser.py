"""The report in a real browser: it plays in sync, does what its keys say, asks for nothing, and fits on a phone."""

from __future__ import annotations

import io
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devtools import Browser
from PIL import Image
from report_samples import read_number

from mcbench.measurement import read_measurement
from mcbench.report import write_report

pytestmark = pytest.mark.slow

METHODS = {"same": 0.0, "slight": 12.0, "strong": 60.0}
FRAMES = 32


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs and the report lie that these tests share, since none of them changes anything."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def report(make_runs: Callable[..., list[Path]], root: Path) -> Path:
    """A report of three methods on two clips."""
    if not (root / "report").exists():
        write_report(make_runs(METHODS, frames=FRAMES, root=root), root / "report")
    return root / "report"


def open_clip(browser: Browser, report: Path, number: int = 1, hash: str = "") -> None:
    browser.open(f"{(report / 'clips' / f'{number:03d}.html').as_uri()}{hash}")
    browser.until("document.querySelector('video').readyState >= 2")


def pixels(browser: Browser, selector: str = "body") -> np.ndarray:
    box = browser.run(
        f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
        " return {x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height}; })()"
    )
    return np.asarray(Image.open(io.BytesIO(browser.picture(box))).convert("RGB"))


def tiles(browser: Browser) -> dict[str, np.ndarray]:
    """What one picture of the page shows in its tiles, but for the poses and the reference."""
    browser.run("window.scrollTo({top: 0, behavior: 'instant'})")
    boxes = browser.run(
        "[...document.querySelectorAll('[data-tile]:not([hidden]) canvas')].map((c) => { const b ="
        " c.getBoundingClientRect(); return [c.parentElement.dataset.tile, b.x, b.y, b.width, b.height]; })"
    )
    shown = np.asarray(Image.open(io.BytesIO(browser.picture())).convert("RGB"))
    return {key: shown[round(y) : round(y + h), round(x) : round(x + w)] for key, x, y, w, h in boxes}


def settle(browser: Browser, frame: int) -> None:
    """Wait until a frame is drawn, and painted."""
    browser.until(f"document.getElementById('stage').dataset.frame === '{frame}'")
    browser.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")


class TestFrames:
    def test_all_tiles_show_one_frame_at_any_moment(self, browser: Browser, report: Path) -> None:
        browser.resize(1600, 1000)
        open_clip(browser, report)
        browser.press("Space")
        seen = set()
        for _ in range(30):
            numbers = {key: read_number(tile) for key, tile in tiles(browser).items()}
            assert set(numbers) == {"truth", "0", "1", "2"}
            assert max(numbers.values()) - min(numbers.values()) == 0, numbers
            seen |= set(numbers.values())
            time.sleep(0.05)
        assert len(seen) > 3, "it did not play"
        browser.press("Space")
        assert browser.run("document.querySelector('video').paused")

    @pytest.mark.parametrize("frame", [0, 1, 17, 31])
    def test_a_place_in_the_address_is_the_frame_that_is_shown(
        self, browser: Browser, report: Path, frame: int
    ) -> None:
        browser.resize(1600, 1000)
        open_clip(browser, report, 2, f"#frame={frame}")
        settle(browser, frame)
        assert {read_number(tile) for tile in tiles(browser).values()} == {frame}
        assert browser.run("document.getElementById('position').textContent") == f"{frame} / {FRAMES - 1}"
        assert browser.run("document.getElementById('scrubber').value") == str(frame)
        at = browser.run("parseFloat(document.querySelector('.cursor').style.left)")
        assert at == pytest.approx(100 * (frame + 0.5) / FRAMES, abs=0.01)

    def test_keys_step_and_the_scrubber_seeks(self, browser: Browser, report: Path) -> None:
        browser.resize(1600, 1000)
        open_clip(browser, report)
        settle(browser, 0)
        steps = [("ArrowRight", False, 1), ("ArrowRight", True, 11), ("ArrowLeft", False, 10), ("End", False, 31)]
        for key, shift, frame in [*steps, ("ArrowLeft", True, 21), ("Home", False, 0)]:
            browser.press(key, shift=shift)
            settle(browser, frame)
            assert {read_number(tile) for tile in tiles(browser).values()} == {frame}
        for _ in range(5):  # faster than the frames can be found
            browser.press("ArrowRight")
        settle(browser, 5)
        browser.press("Home")
        settle(browser, 0)
        browser.click("#scrubber", 0.5)
        browser.until("document.getElementById('stage').dataset.frame !== '0'")
        frame = int(browser.run("document.getElementById('scrubber').value"))
        assert abs(frame - (FRAMES - 1) / 2) <= 2
        settle(browser, frame)
        browser.click(".plot", 0.25)
        settle(browser, 8)
        assert {read_number(tile) for tile in tiles(browser).values()} == {8}

    def test_the_numbers_are_those_of_the_frame(self, browser: Browser, report: Path, root: Path) -> None:
        open_clip(browser, report, 2, "#frame=20")
        settle(browser, 20)
        measured = read_measurement(root / "runs" / "strong" / "measurements" / "two.safetensors")
        assert measured is not None
        shown = browser.run("document.querySelector('[data-chart=\"1\"] .readout > :last-child').textContent")
        assert shown == f"{measured.arrays['psnr'][20]:.2f}"

    def test_the_colours_are_those_of_the_frames(self, browser: Browser, report: Path) -> None:
        """A picture of more than 720 lines is taken for another matrix of colours, unless the file says which."""
        browser.resize(1600, 1000)
        open_clip(browser, report)
        settle(browser, 0)
        reference, truth = pixels(browser, ".tile img"), tiles(browser)["truth"]
        height, width = reference.shape[:2]
        ys = [round(height * (row + 0.5) / 8) for row in range(3, 8)]
        xs = [round(width * (column + 0.5) / 8) for column in range(8)]
        apart = [abs(reference[y, x].astype(int) - truth[y, x].astype(int)).max() for y in ys for x in xs]
        assert np.median(apart) <= 3
        assert max(apart) <= 8


class TestWork:
    def test_difference(self, browser: Browser, report: Path) -> None:
        browser.resize(1600, 1000)
        open_clip(browser, report, 1, "#frame=16")
        settle(browser, 16)
        before = tiles(browser)
        browser.press("d")
        browser.until("document.getElementById('difference').getAttribute('aria-pressed') === 'true'")
        settle(browser, 16)
        after = tiles(browser)
        lower = slice(200, None)  # below the label in the tile's corner
        assert np.array_equal(after["truth"], before["truth"])
        assert after["0"][lower].mean() < 4 < 10 < after["1"][lower].mean() < after["2"][lower].mean()
        browser.press("d")
        settle(browser, 16)
        assert np.array_equal(tiles(browser)["2"], before["2"])

    def test_the_worst_frame_comes_first_and_leads_to_its_place(
        self, browser: Browser, report: Path, root: Path
    ) -> None:
        browser.open((report / "index.html").as_uri())
        worst = min(
            (float(value), clip, frame)
            for clip in ("one", "two")
            for measured in [read_measurement(root / "runs" / "strong" / "measurements" / f"{clip}.safetensors")]
            if measured is not None
            for frame, value in enumerate(measured.arrays["ssim_gaussian"])
            if frame != 0
        )
        browser.click(".stills:last-of-type li:first-child a", 0.2)
        browser.until("document.getElementById('stage') && document.getElementById('stage').dataset.frame > 0")
        assert browser.run("document.querySelector('h1').textContent") == worst[1]
        settle(browser, worst[2])
        browser.press("w")
        browser.until("!!document.querySelector('a[data-frame][aria-current=true]')")

    def test_methods_hide_and_the_curves_rescale(self, browser: Browser, report: Path) -> None:
        open_clip(browser, report)
        high = browser.run("document.querySelector('[data-chart=\"1\"] .high').textContent")
        assert high == "100.00"
        browser.press("1")
        assert browser.run("document.querySelector('[data-tile=\"0\"]').hidden")
        assert float(browser.run("document.querySelector('[data-chart=\"1\"] .high').textContent")) < 100
        browser.press("j")
        browser.until("document.querySelector('h1').textContent === 'two' && document.readyState === 'complete'")
        browser.until("document.querySelector('[data-tile=\"0\"]').hidden")
        browser.press("1")
        assert not browser.run("document.querySelector('[data-tile=\"0\"]').hidden")
        browser.press("k")
        browser.until("document.querySelector('h1').textContent === 'one'")

    def test_help_opens_and_closes(self, browser: Browser, report: Path) -> None:
        for page in ("index.html", "clips/001.html"):
            browser.open((report / page).as_uri())
            browser.press("?")
            browser.until("document.getElementById('help').open")
            browser.press("Escape")
            browser.until("!document.getElementById('help').open")

    def test_tables_sort_and_filter(self, browser: Browser, report: Path) -> None:
        browser.open((report / "index.html").as_uri())
        column = "[...document.querySelectorAll('#clips-1 tbody tr')].map((r) => Number(r.cells[4].dataset.value))"
        heading = "#clips-1 thead th:nth-child(5) button"
        browser.click(heading)
        down = browser.run(column)
        browser.click(heading)
        up = browser.run(column)
        assert down == sorted(down, reverse=True) == up[::-1]
        assert browser.run("document.querySelector('#clips-1 thead th:nth-child(5)').ariaSort") == "ascending"
        shown = "[...document.querySelectorAll('#clips-1 tbody tr:not([hidden])')].map((r) => r.cells[0].textContent)"
        typed = "f.dispatchEvent(new Event('input', {bubbles: true}))"
        browser.run(f"(() => {{ const f = document.querySelector('input[type=search]'); f.value = 'TW'; {typed} }})()")
        assert browser.run(shown) == ["two"] * 3
        browser.run(f"(() => {{ const f = document.querySelector('select'); f.value = 'slight'; {typed} }})()")
        assert browser.run(shown) == ["two"]
        assert browser.run("document.querySelector('[data-count=\"clips-1\"]').textContent") == "1 row"

    def test_typing_is_not_taken_for_keys(self, browser: Browser, report: Path) -> None:
        browser.open((report / "index.html").as_uri())
        browser.run("document.querySelector('input[type=search]').focus()")
        for key in "?j":
            browser.press(key)
        assert browser.run("document.querySelector('input[type=search]').value") == "?j"
        assert not browser.run("document.getElementById('help').open")


class TestReaders:
    def test_light_and_dark(self, browser: Browser, report: Path) -> None:
        def ground() -> float:
            return float(pixels(browser)[3, 3].mean())

        browser.prefer(prefers_color_scheme="dark")
        browser.open((report / "index.html").as_uri())
        assert ground() < 60
        browser.click("[data-theme-toggle]")
        assert ground() > 200
        open_clip(browser, report)
        assert ground() > 200, "the choice did not come along"

    def test_without_scripts(self, browser: Browser, report: Path) -> None:
        browser.scripts(False)
        browser.open((report / "clips" / "001.html").as_uri())
        time.sleep(0.5)
        state: dict[str, Any] = browser.run(
            "({controls: document.querySelector('video').controls, bar: document.getElementById('bar').hidden,"
            " paths: document.querySelectorAll('svg path').length, rows: document.querySelectorAll('tbody tr').length,"
            " unlabelled: [...document.querySelectorAll('button')].filter((b) => b.checkVisibility()).length})"
        )
        # Three methods in four charts and six rows, under each protocol; no button that would do nothing.
        assert state == {"controls": True, "bar": True, "paths": 24, "rows": 6, "unlabelled": 0}
        assert pixels(browser, "video").std() > 20, "the video is not seen"

    @pytest.mark.parametrize("page", ["index.html", "clips/001.html"])
    def test_narrow(self, browser: Browser, report: Path, page: str) -> None:
        browser.resize(360, 740)
        browser.open((report / page).as_uri())
        assert browser.run("document.documentElement.scrollWidth") <= 360
        small = browser.run(
            "[...document.querySelectorAll('button, select, input, a.button')].filter((e) => e.checkVisibility())"
            ".filter((e) => e.closest('thead') === null && e.type !== 'checkbox' && e.type !== 'range')"
            ".filter((e) => e.getBoundingClientRect().height < 24).map((e) => e.outerHTML)"
        )
        assert small == [], "too small for a finger (WCAG 2.2, 2.5.8: 24 CSS pixels)"

    @pytest.mark.parametrize("page", ["index.html", "clips/001.html"])
    def test_everything_that_works_has_a_name(self, browser: Browser, report: Path, page: str) -> None:
        browser.open((report / page).as_uri())
        nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
        roles = {"button", "link", "slider", "checkbox", "combobox", "searchbox", "image", "img", "table", "Video"}
        found = [node for node in nodes if not node.get("ignored") and node["role"]["value"] in roles]
        assert len(found) > 10
        nameless = [
            node["role"]["value"]
            for node in found
            if not node.get("name", {}).get("value") and node["role"]["value"] != "table"
        ]
        assert nameless == []

    def test_less_motion(self, browser: Browser, report: Path) -> None:
        browser.prefer(prefers_reduced_motion="reduce")
        open_clip(browser, report)
        assert not browser.run("document.querySelector('video').loop || document.getElementById('loop').checked")
        assert browser.run("document.querySelector('video').paused")


def test_names_that_attack_are_only_shown(
    browser: Browser, make_runs: Callable[..., list[Path]], tmp_path: Path
) -> None:
    attack = "<img src=x onerror=\"document.title='owned'\">"
    breakout = "<!--<script>';document.title='owned';'"
    runs = make_runs({"made": 9.0, "other": 5.0}, clips=(attack, breakout), frames=4)
    for run, name in zip(runs, (attack, "\"'><svg onload=document.title='owned'>\u202etxt.exe"), strict=True):
        result = json.loads((run / "result.json").read_text())
        result["method"] |= {"name": name, "note": f"</p>{attack}", "settings": {"x": f"</script>{attack}"}}
        result["provenance"]["command"] = f"</dd>{attack}"
        (run / "result.json").write_text(json.dumps(result))
    report = write_report(runs, tmp_path / "report").index.parent
    for page, shown in itertools.product(("index.html", "clips/001.html", "clips/002.html"), (attack,)):
        browser.open((report / page).as_uri())
        time.sleep(0.3)
        assert browser.run("document.title") != "owned"
        assert shown in browser.run("document.body.textContent")
        assert not browser.run("[...document.querySelectorAll('*')].some((e) => [...e.attributes].some((a) =>"
                               " a.name.startsWith('on')))")  # fmt: skip
        assert "\u202e" not in browser.run("document.body.textContent")
    browser.open((report / "clips" / "001.html").as_uri())
    browser.until("document.querySelector('video').readyState >= 2")
