"""Submissions that mean harm: none gets through, and none shows anything but one harmless line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcbench.errors import ResultError
from mcbench.submissions import load_submission, verify
from mcbench.submissions.findings import FAULTS
from mcbench.submissions.reading import MAX_BYTES

Document = dict[str, Any]
SCRIPT = "<script>alert(1)</script>"


def setting(place: str, value: Any) -> Callable[[Document], None]:
    """Sets what lies at a place such as `result.method.name`."""

    def change(document: Document) -> None:
        *way, last = place.split("/")
        part: Any = document
        for key in way:
            part = part[int(key)] if isinstance(part, list) else part[key]
        part[int(last) if isinstance(part, list) else last] = value

    return change


def metric(name: str, field: str, value: Any, protocol: str = "mcbench@1") -> Callable[[Document], None]:
    return setting(f"result/protocols/{protocol}/metrics/{name}/{field}", value)


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def partial(document: Document) -> None:
    """Three clips that are sealed as if they were all."""
    document["clips"].pop()
    for protocol in document["result"]["protocols"].values():
        protocol["clips"].pop("mini-03")


def renamed_clip(document: Document) -> None:
    document["clips"][0]["name"] = "../../../etc/passwd"
    for protocol in document["result"]["protocols"].values():
        protocol["clips"]["../../../etc/passwd"] = protocol["clips"].pop("mini-00")


def scaled(name: str, factor: float) -> Callable[[Document], None]:
    """A pairwise metric in another unit, wherever it stands."""

    def change(document: Document) -> None:
        for protocol in document["result"]["protocols"].values():
            stated = protocol["metrics"][name]
            stated["value"] *= factor
            stated["std_error"] *= factor
            stated["interval"] = [bound * factor for bound in stated["interval"]]
            for scores in protocol["clips"].values():
                scores[name] *= factor

    return change


def other_weights(document: Document) -> None:
    for protocol in document["result"]["protocols"].values():
        for stated in protocol["metrics"].values():
            if stated["weights"]:
                stated["weights"], stated["weights_sha256"] = "custom", "c" * 64


# What is changed in a good submission, which is then sealed anew; and the code that it is refused with.
CHANGES: dict[str, tuple[Callable[[Document], None], str]] = {
    "script as author": (setting("authors", [SCRIPT]), "text"),
    "image in the licence": (setting("license", "<img src=x onerror=alert(1)>"), "text"),
    "script in the version": (setting("result/method/version", SCRIPT), "text"),
    "script in the note": (setting("result/method/note", SCRIPT), "text"),
    "script in a setting": (setting("result/method/settings", {"steps": {"deep": [SCRIPT]}}), "text"),
    "script as the name of a setting": (setting("result/method/settings", {SCRIPT: 1}), "text"),
    "script in the command": (setting("result/provenance/command", SCRIPT), "text"),
    "script in the device": (setting("result/provenance/device", SCRIPT), "text"),
    "script as a library": (setting("result/provenance/libraries", {"python": "3.11", SCRIPT: "1"}), "text"),
    "script as a conversion": (setting("result/predictions/conversions", [SCRIPT]), "text"),
    "script as the container": (setting("result/predictions/container", SCRIPT), "text"),
    "entities": (setting("authors", ["&lt;script&gt;"]), "text"),
    "a Markdown link": (setting("result/method/note", "[see](https://example.org)"), "text"),
    "a link to a script": (setting("links", ["javascript:alert(1)"]), "text"),
    "a link to data": (setting("links", ["data:text/html,x"]), "text"),
    "a link without encryption": (setting("links", ["http://example.org/"]), "links"),
    "a link to a file": (setting("links", ["file:///etc/passwd"]), "links"),
    "a link with a password": (setting("links", ["https://example.org@evil.org/"]), "links"),
    "a link to a bare address": (setting("links", ["https://127.0.0.1/"]), "links"),
    "a link to letters in disguise": (setting("links", ["https://xn--pypl-53dc.com/"]), "links"),
    "a link in look-alike letters": (setting("links", ["https://ex\u0430mple.org/"]), "links"),
    "a link that leaves its attribute": (setting("links", ['https://example.org/" onclick="x']), "links"),
    "a thousand links": (setting("links", ["https://example.org/"] * 1000), "links"),
    "a formula as author": (setting("authors", ["=cmd|' /C calc'!A0"]), "authors"),
    "an author in two scripts": (setting("authors", ["J\u0430ne Doe"]), "authors"),
    "an author in full-width letters": (setting("authors", ["\uff2aane Doe"]), "authors"),
    "an author in styled letters": (setting("authors", ["\U0001d409ane Doe"]), "authors"),
    "no author": (setting("authors", []), "authors"),
    "an author without letters": (setting("authors", ["---"]), "authors"),
    "a thousand authors": (setting("authors", [f"A{i}" for i in range(1000)]), "authors"),
    "a very long author": (setting("authors", ["A" * 1999]), "authors"),
    "a very long note": (setting("result/method/note", "a" * 100_000), "text"),
    "a line break": (setting("authors", ["Jane\nmcbench: ok"]), "text"),
    "a carriage return": (setting("result/method/note", "bad\rgood"), "text"),
    "an escape sequence": (setting("result/method/note", "\x1b[2J\x1b[32mall is well"), "text"),
    "a null character": (setting("result/method/version", "1\x00"), "text"),
    "a zero-width space": (setting("authors", ["Jane\u200bDoe"]), "text"),
    "a zero-width joiner": (setting("result/method/note", "a\u200db"), "text"),
    "right to left": (setting("authors", ["\u202eeoD enaJ"]), "text"),
    "an isolate": (setting("result/method/note", "\u2066x\u2069"), "text"),
    "a soft hyphen": (setting("authors", ["Jane\u00adDoe"]), "text"),
    "a Hangul filler": (setting("authors", ["\u3164"]), "text"),
    "a no-break space": (setting("authors", ["Jane\u00a0Doe"]), "text"),
    "a tag character": (setting("authors", ["Jane\U000e0041"]), "text"),
    "a pile of marks": (setting("authors", ["Z" + "\u030d" * 30]), "text"),
    "a private character": (setting("authors", ["Jane\ue000"]), "text"),
    "a Cyrillic method": (setting("result/method/name", "m\u0443-method"), "method-name"),
    "a method in capitals": (setting("result/method/name", "My-Method"), "method-name"),
    "a method that climbs": (setting("result/method/name", "../../README"), "method-name"),
    "an absolute method": (setting("result/method/name", "/etc/passwd"), "method-name"),
    "a method without a name": (setting("result/method/name", ""), "method-name"),
    "a method of one hyphen": (setting("result/method/name", "-"), "method-name"),
    "a method with a dot": (setting("result/method/name", "con.json"), "method-name"),
    "a very long method": (setting("result/method/name", "a" * 200), "method-name"),
    "a data set that climbs": (setting("result/dataset/name", "../synthetic-mini"), "dataset"),
    "a data set of one's own": (setting("result/dataset/name", "custom"), "dataset"),
    "another version": (setting("result/dataset/version", "2"), "dataset-version"),
    "a clip that climbs": (renamed_clip, "clips"),
    "a clip less": (partial, "clips"),
    "a clip twice": (lambda document: document["clips"].append(document["clips"][0]), "clips"),
    "a shorter clip": (setting("clips/0/frames", 23), "clips"),
    "a huge count": (setting("result/dataset/frames", 2**53), "clips"),
    "a negative count": (setting("result/dataset/clips", -4), "clips"),
    "other frames": (setting("clips/0/truth", "0" * 64), "fingerprint"),
    "another fingerprint": (setting("result/dataset/fingerprint", "0" * 64), "fingerprint"),
    "other predictions": (setting("clips/0/prediction", "0" * 64), "predictions"),
    "a negative size": (setting("result/predictions/size", [-512, 512]), "predictions"),
    "a negative rate": (setting("result/predictions/fps", -25.0), "predictions"),
    "weights of one's own": (other_weights, "weights"),
    "weights of one's own in one place": (metric("fvd", "weights", "custom"), "weights"),
    "published weights among drawn ones": (metric("fvd", "weights", "published"), "weights"),
    "weights of another hash": (metric("fvd", "weights_sha256", "0" * 64), "weights-hash"),
    "no hash of weights": (metric("fid", "weights_sha256", None), "weights-hash"),
    "another network": (metric("fvd", "backbone", "inception"), "networks"),
    "another dimension": (metric("fid", "dimension", 64), "networks"),
    "a network where none is": (metric("psnr", "backbone", "vgg16"), "networks"),
    "a changed checkout": (setting("result/provenance/git_dirty", True), "dirty-checkout"),
    "an unknown checkout": (setting("result/provenance/git_dirty", None), "dirty-checkout"),
    "no commit": (setting("result/provenance/git_commit", "HEAD"), "provenance"),
    "no version": (setting("result/provenance/mcbench", "latest"), "provenance"),
    "a start in the future": (setting("result/provenance/start", "2999-01-01T00:00:00+00:00"), "provenance"),
    "a start without a zone": (setting("result/provenance/start", "2026-01-01T00:00:00"), "provenance"),
    "a run that took less than no time": (setting("result/provenance/seconds", -1.0), "provenance"),
    "another protocol": (
        lambda document: document["result"]["protocols"].update(
            {"mcbench@2": document["result"]["protocols"]["mcbench@1"]}
        ),
        "protocols",
    ),
    "no protocol": (setting("result/protocols", {}), "protocols"),
    "a metric less": (lambda document: document["result"]["protocols"]["mcbench@1"]["metrics"].pop("fvd"), "protocols"),
    "a metric more": (
        lambda document: document["result"]["protocols"]["mcbench@1"]["metrics"].update(
            vmaf=document["result"]["protocols"]["mcbench@1"]["metrics"]["psnr"]
        ),
        "protocols",
    ),
    "clips without a score": (
        lambda document: document["result"]["protocols"]["mcbench@1"]["clips"].pop("mini-00"),
        "protocols",
    ),
    "a missing value": (
        lambda document: document["result"]["protocols"]["mcbench@1"]["metrics"]["kvd"].update(
            value=None, reason="because", std_error=None, interval=None
        ),
        "missing-value",
    ),
    "a negative distance": (metric("fvd", "value", -1.0), "range"),
    "a distance beyond all measure": (metric("fvd", "value", 1e15), "range"),
    "L1 in grey levels": (scaled("l1", 255.0), "range"),
    "SSIM in percent": (scaled("ssim", 100.0), "range"),
    "LPIPS in thousandths": (scaled("lpips", 1000.0), "range"),
    "PSNR beyond the cap": (scaled("psnr", 10.0), "range"),
    "a total that is better than its clips": (metric("psnr", "value", 20.01), "averages"),
    "windows that are not there": (metric("fvd", "windows", 400), "counts"),
    "frames that are not there": (metric("psnr", "frames", 4000), "counts"),
    "videos that are not there": (metric("fid", "videos", 400), "counts"),
    "FID of another protocol": (metric("fid", "value", 1.0), "across-protocols"),
    "a claim about nothing": (setting("claims", {"mcbench@1": {"beauty": 1.0}}), "claim"),
    "a forged reproduction": (
        setting(
            "reproduced",
            [
                {
                    "by": "Somebody",
                    "date": "2026-01-01",
                    "mcbench": "0.1.0",
                    "device": "cpu",
                    "largest_difference": 0.0,
                    "content_sha256": "0" * 64,
                }
            ],
        ),
        "reproduced",
    ),
    "true as a number": (setting("result/dataset/clips", True), "schema"),
    "true as a value": (metric("ssim", "value", True), "schema"),
    "a number as text": (metric("ssim", "value", "0.99"), "schema"),
    "a fraction as a count": (setting("result/dataset/frames", 96.5), "schema"),
    "an unknown field": (setting("result/colour", "red"), "schema"),
    "a missing field": (lambda document: document["result"].pop("provenance"), "schema"),
    "another submission schema": (setting("schema", "mcbench.submission/2"), "schema"),
    "another result schema": (setting("result/schema", "mcbench.result/2"), "schema"),
    "a schema that is none": (setting("schema", {"$ref": "https://example.org"}), "schema"),
    "a hash in capitals": (setting("clips/0/truth", "A" * 64), "schema"),
    "a hash and a line break": (setting("clips/0/truth", "a" * 64 + "\n"), "text"),
    "a number of 400 digits": (setting("result/provenance/seed", 10**400), "huge-number"),
    "a number beyond 2^53": (setting("result/method/settings", {"seed": 2**53 + 1}), "huge-number"),
    "a nest": (setting("result/method/settings", {"a": nested(40)}), "nesting"),
}

# What is done to the bytes of a good submission.
BYTES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a byte order mark": (lambda text: b"\xef\xbb\xbf" + text, "encoding"),
    "UTF-16": (lambda text: text.decode().encode("utf-16"), "encoding"),
    "Latin-1": (lambda text: text.decode().replace("李伟", "é").encode("latin-1"), "encoding"),
    "overlong UTF-8": (lambda text: text.replace(b"Jane", b"\xc0\xaeane"), "encoding"),
    "a second document": (lambda text: text + b"{}", "not-json"),
    "trailing bytes": (lambda text: text + b"\x00\x00", "not-json"),
    "a torn file": (lambda text: text[: len(text) // 2], "not-json"),
    "an empty file": (lambda text: b"", "not-json"),
    "an array": (lambda text: b"[" + text + b"]", "not-json"),
    "a comment": (lambda text: text + b"// fine", "not-json"),
    "a raw control character": (lambda text: text.replace(b"Jane", b"Ja\x01ne"), "not-json"),
    "a lone surrogate": (lambda text: text.replace(b"Jane", b"Ja\\ud800ne"), "text"),
    "a key twice": (lambda text: text.replace(b'"authors"', b'"license": "MIT", "authors"', 1), "duplicate-key"),
    "a key twice in escapes": (
        lambda text: text.replace(b'"authors"', b'"l\\u0069cense": "MIT", "authors"', 1),
        "duplicate-key",
    ),
    "NaN": (lambda text: text.replace(b'"fps": 25.0', b'"fps": NaN'), "not-finite"),
    "Infinity": (lambda text: text.replace(b'"fps": 25.0', b'"fps": -Infinity'), "not-finite"),
    "a float that overflows": (lambda text: text.replace(b'"fps": 25.0', b'"fps": 1e999'), "huge-number"),
    "a deep nest": (lambda text: b'{"a": ' * 200_000 + b"1" + b"}" * 200_000, "nesting"),
    "a deep array": (lambda text: b"[" * 1_000_000, "nesting"),
}


def is_harmless(text: str) -> bool:
    return text.isprintable() and len(text) < 500


def judge(path: Path, code: str) -> None:
    verdict = verify(path)
    assert not verdict.ok
    codes = [item.code for item in verdict.findings if item.grade == "error"]
    assert code in codes, codes
    for item in verdict.findings:
        assert is_harmless(item.where.removeprefix(str(path)))
        assert is_harmless(item.evidence)
        assert is_harmless(item.remedy)
    json.dumps(verdict.document(), allow_nan=False)


def test_there_are_sixty_and_more() -> None:
    assert len(CHANGES) + len(BYTES) >= 60


@pytest.mark.parametrize("name", CHANGES)
def test_no_hostile_content_gets_through(name: str, mini: Document, put: Callable[..., Path]) -> None:
    change, code = CHANGES[name]
    change(mini)
    judge(put(mini, "synthetic-mini/my-method"), code)


@pytest.mark.parametrize("name", BYTES)
def test_no_hostile_file_gets_through(name: str, mini: Document, put: Callable[..., Path]) -> None:
    change, code = BYTES[name]
    path = put(mini)
    before = path.read_bytes()
    path.write_bytes(change(before))
    assert path.read_bytes() != before
    judge(path, code)
    with pytest.raises(ResultError) as caught:
        load_submission(path)
    assert str(caught.value).isprintable()


class TestFiles:
    def test_a_symbolic_link(self, mini: Document, put: Callable[..., Path], tmp_path: Path) -> None:
        path = put(mini)
        path.rename(tmp_path / "elsewhere.json")
        path.symlink_to(tmp_path / "elsewhere.json")
        judge(path, "not-a-file")
        judge(path.parent.parent, "not-a-file")

    def test_a_linked_folder(self, mini: Document, put: Callable[..., Path], tmp_path: Path) -> None:
        path = put(mini)
        path.parent.rename(tmp_path / "elsewhere")
        path.parent.symlink_to(tmp_path / "elsewhere")
        judge(path.parent.parent, "stray-file")

    def test_a_hundred_megabytes_are_not_even_read(self, mini: Document, put: Callable[..., Path]) -> None:
        path = put(mini)
        os.truncate(path, 100 << 20)
        judge(path, "too-large")

    def test_a_pipe_does_not_block(self, mini: Document, put: Callable[..., Path]) -> None:
        path = put(mini)
        path.unlink()
        os.mkfifo(path)
        judge(path, "not-a-file")

    def test_a_folder_of_that_name(self, mini: Document, put: Callable[..., Path]) -> None:
        path = put(mini)
        path.unlink()
        path.mkdir()
        judge(path.parent.parent, "stray-file")

    @pytest.mark.parametrize(
        "stray", ["evil.json", "synthetic-mini/a.json.bak", "synthetic-mini/run.sh", "tik-tok/a.json", ".hidden"]
    )
    def test_stray_files(self, mini: Document, put: Callable[..., Path], stray: str) -> None:
        folder = put(mini).parent.parent
        (folder / "README.md").write_text("fine")
        assert verify(folder).ok
        (folder / stray).parent.mkdir(exist_ok=True)
        (folder / stray).write_text("{}")
        judge(folder, "stray-file")

    def test_a_file_name_cannot_draw_on_the_terminal(self, mini: Document, put: Callable[..., Path]) -> None:
        path = put(mini)
        path.rename(path.with_name("\x1b[2Jevil\n.json"))
        verdict = verify(path.parent.parent)
        assert [item.code for item in verdict.findings] == ["path"]
        assert all(item.where.isprintable() and item.evidence.isprintable() for item in verdict.findings)

    def test_the_limit_leaves_room_for_large_data_sets(self, mini: Document, put: Callable[..., Path]) -> None:
        per_clip = put(mini).stat().st_size / 4
        assert 400 * per_clip < MAX_BYTES


def strings_of(value: Any, place: str = "") -> list[str]:
    if isinstance(value, str):
        return [place]
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, part in parts for found in strings_of(part, f"{place}/{key}" if place else str(key))]


@pytest.mark.parametrize(
    "payload",
    [SCRIPT, "a\x1b[31mb", "a\u202eb", "a\u200bb", "\ud800", "x" * 3000],
    ids=["markup", "escape", "direction", "invisible", "surrogate", "long"],
)
def test_no_string_anywhere_takes_a_hostile_value(payload: str, mini: Document, put: Callable[..., Path]) -> None:
    places = [place for place in strings_of(mini) if not place.startswith("content")]
    assert len(places) > 60
    text = json.dumps(mini)
    path = put(mini)
    for place in places:
        changed = json.loads(text)
        setting(place, payload)(changed)
        path.write_text(json.dumps(changed), encoding="utf-8")
        assert verify(path).findings[0].code in ("text", "schema"), place


def test_every_fault_has_its_words() -> None:
    for code, fault in FAULTS.items():
        assert code == code.lower()
        assert fault.title
        assert fault.remedy
        assert not fault.remedy.endswith(".")
