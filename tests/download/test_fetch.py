"""One file over a bad line: the right bytes at the final name, or one clear line and nothing there."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
from torn_server import Reply, Server

from mcbench.download.faults import DownloadError
from mcbench.download.fetch import fetch

BODY = np.random.default_rng(7).bytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
OTHER = BODY[::-1]
PAGE = b"\n <!DOCTYPE html><html><body>Sign in</body></html>" + b" " * 1000


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "file.bin"


def part_of(target: Path) -> Path:
    return target.with_name(".file.bin.part")


def leave_part(target: Path, data: bytes, **note: object) -> None:
    """As a killed process does."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part_of(target).write_bytes(data)
    if note:
        part_of(target).with_name(".file.bin.part.json").write_text(json.dumps(note))


def refused(addresses: list[str], target: Path, **known: object) -> str:
    with pytest.raises(DownloadError) as error:
        fetch(addresses, target, **known)  # type: ignore[arg-type]
    message = str(error.value)
    assert "\n" not in message
    assert not target.exists()
    return message


class TestFaithful:
    def test_bytes_hash_and_progress(self, server: Server, target: Path) -> None:
        seen: list[tuple[int, int | None]] = []
        fetched = fetch([f"{server.address}/a"], target, on_bytes=lambda *state: seen.append(state))
        assert target.read_bytes() == BODY
        assert (fetched.path, fetched.size, fetched.sha256) == (target, len(BODY), SHA256)
        assert fetched.address == f"{server.address}/a"
        assert seen[-1] == (len(BODY), len(BODY))
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert sorted(file.name for file in target.parent.iterdir()) == [".file.bin.lock", "file.bin"]

    def test_a_right_file_is_not_fetched_again(self, server: Server, target: Path) -> None:
        for _ in range(2):
            fetched = fetch([server.address], target, sha256=SHA256, size=len(BODY))
        assert (fetched.address, fetched.sha256, len(server.requests)) == (None, SHA256, 1)

    def test_a_wrong_file_is_replaced_only_by_the_right_one(self, server: Server, target: Path) -> None:
        target.parent.mkdir()
        target.write_bytes(b"old")
        server.usual = Reply(status=404)
        with pytest.raises(DownloadError):
            fetch([server.address], target, sha256=SHA256)
        assert target.read_bytes() == b"old"
        server.usual = Reply()
        fetch([server.address], target, sha256=SHA256)
        assert target.read_bytes() == BODY

    @pytest.mark.parametrize("reply", [Reply(chunked=True), Reply(zipped=True), Reply(zipped=True, chunked=True)])
    def test_other_ways_to_send_it(self, server: Server, target: Path, reply: Reply) -> None:
        server.usual = reply
        fetch([server.address], target)
        assert target.read_bytes() == BODY

    def test_an_empty_file(self, server: Server, target: Path) -> None:
        server.body = b""
        assert fetch([server.address], target).size == 0
        assert target.read_bytes() == b""

    def test_relative_redirects_are_followed(self, server: Server, target: Path) -> None:
        server.script = [
            Reply(status=302, headers={"Location": "/there"}),
            Reply(status=307, headers={"Location": "b"}),
        ]
        fetch([f"{server.address}/here"], target, sha256=SHA256)
        assert [path for path, _ in server.requests] == ["/here", "/there", "/b"]
        assert target.read_bytes() == BODY


class TestTorn:
    @pytest.mark.parametrize("known", [{"sha256": SHA256, "size": len(BODY)}, {"sha256": SHA256}, {}])
    def test_it_goes_on_where_it_broke_off(self, server: Server, target: Path, known: dict[str, object]) -> None:
        server.script = [Reply(tear=100_000), Reply(tear=50_000)]
        fetch([server.address], target, **known)  # type: ignore[arg-type]
        assert target.read_bytes() == BODY
        assert server.ranges() == [None, "bytes=100000-", "bytes=150000-"]
        assert [headers.get("If-Range") for _, headers in server.requests] == [None, '"one"', '"one"']

    def test_a_killed_runs_part_is_taken_up(self, server: Server, target: Path) -> None:
        leave_part(target, BODY[:1234], address=server.address, validator='"one"', total=len(BODY))
        fetch([server.address], target)
        assert server.ranges() == ["bytes=1234-"]
        assert target.read_bytes() == BODY

    def test_a_whole_part_needs_no_network(self, target: Path) -> None:
        leave_part(target, BODY)
        fetch(["http://127.0.0.1:9/nobody"], target, sha256=SHA256, size=len(BODY))
        assert target.read_bytes() == BODY

    @pytest.mark.parametrize("note", [{}, {"address": "http://elsewhere/", "validator": '"one"', "total": 300_000}])
    def test_without_a_hash_a_part_of_unknown_origin_is_dropped(
        self, server: Server, target: Path, note: dict[str, object]
    ) -> None:
        leave_part(target, OTHER[:1000], **note)
        fetch([server.address], target)
        assert server.ranges() == [None]
        assert target.read_bytes() == BODY

    def test_two_versions_are_never_stitched(self, server: Server, target: Path) -> None:
        server.script = [Reply(body=OTHER, etag='"old"', tear=1000)]
        fetch([server.address], target)
        assert server.ranges() == [None, "bytes=1000-"]
        assert target.read_bytes() == BODY

    def test_a_server_that_ignores_if_range_is_seen_through(self, server: Server, target: Path) -> None:
        """It sends the rest of the new version although the old one was asked for."""
        server.body = OTHER
        rest = Reply(body=BODY[1000:], status=206, etag='"new"')
        server.script = [
            Reply(etag='"old"', tear=1000),
            Reply(**{**rest.__dict__, "headers": {"Content-Range": "bytes 1000-299999/300000"}}),
        ]
        server.usual = Reply(body=BODY, etag='"new"')
        fetch([server.address], target)
        assert server.ranges() == [None, "bytes=1000-", None]
        assert target.read_bytes() == BODY

    @pytest.mark.parametrize(
        ("etag", "headers"),
        [
            (None, {}),
            ('W/"one"', {}),
            # Changed within the second in which it was sent: the time does not tell versions apart.
            (None, {"Last-Modified": "Fri, 22 Nov 2126 10:00:00 GMT", "Date": "Fri, 22 Nov 2126 10:00:00 GMT"}),
        ],
    )
    def test_without_hash_or_strong_validator_it_starts_over(
        self, server: Server, target: Path, etag: str | None, headers: dict[str, str]
    ) -> None:
        server.usual = Reply(etag=etag)
        server.script = [Reply(etag=etag, headers=headers, tear=1000)]
        fetch([server.address], target)
        assert server.ranges() == [None, None]
        assert target.read_bytes() == BODY

    def test_a_part_that_was_wrong_costs_one_more_download(self, server: Server, target: Path) -> None:
        leave_part(target, OTHER[:1000])
        fetch([server.address], target, sha256=SHA256, size=len(BODY))
        assert server.ranges() == ["bytes=1000-", None]
        assert target.read_bytes() == BODY

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(ranges=False),
            Reply(status=416),
            Reply(status=206, body=BODY, headers={"Content-Range": "bytes 0-299999/300000"}),
            Reply(status=206, body=BODY[999:], headers={"Content-Range": "bytes 999-299999/300000"}),
            Reply(status=206, body=BODY[1000:], headers={"Content-Range": "bytes one-two/three"}),
            Reply(status=206, body=BODY[1000:], headers={"Content-Range": "bytes 1000-1999/300000"}),
            Reply(status=206, body=BODY[1000:]),
            Reply(status=206, body=BODY[1000:], zipped=True, headers={"Content-Range": "bytes 1000-299999/300000"}),
        ],
        ids=["ignored", "416", "from the start", "one byte off", "unreadable", "too short", "missing", "gzip"],
    )
    def test_a_range_that_is_not_the_one_asked_for(self, server: Server, target: Path, reply: Reply) -> None:
        server.script = [Reply(tear=1000), reply]
        fetch([server.address], target, sha256=SHA256)
        assert server.ranges()[1] == "bytes=1000-"
        assert target.read_bytes() == BODY

    def test_a_server_that_gives_a_little_at_a_time(self, server: Server, target: Path) -> None:
        pieces = range(0, 300_000, 100_000)
        server.script = [
            Reply(tear=100_000),
            *(
                Reply(
                    status=206, body=BODY[a : a + 100_000], headers={"Content-Range": f"bytes {a}-{a + 99_999}/300000"}
                )
                for a in pieces[1:]
            ),
        ]
        fetch([server.address], target)
        assert server.ranges() == [None, "bytes=100000-", "bytes=200000-"]
        assert target.read_bytes() == BODY

    def test_torn_gzip_starts_over(self, server: Server, target: Path) -> None:
        server.script = [Reply(zipped=True, tear=1000), Reply(zipped=True, tear=1000, framed=False)]
        server.usual = Reply(zipped=True)
        fetch([server.address], target)
        assert server.ranges() == [None, None, None]
        assert target.read_bytes() == BODY

    def test_no_progress_ends_in_one_line(self, server: Server, target: Path, pauses: list[float]) -> None:
        server.usual = Reply(tear=0)
        message = refused([server.address], target, sha256=SHA256)
        assert "5 times in a row" in message
        assert (len(server.requests), pauses) == (5, [1, 2, 4, 8])

    def test_a_server_that_never_gets_past_a_byte_is_given_up(self, server: Server, target: Path) -> None:
        server.usual = Reply(tear=1000, ranges=False)
        assert "5 times in a row" in refused([server.address], target)
        assert len(server.requests) == 5

    def test_a_hundred_torn_downloads(self, server: Server, tmp_path: Path) -> None:
        """Each fault drawn by lot, up to six in a row; the right bytes at the end, or one line and no file."""
        server.body = body = BODY[:20_000]
        sha256 = hashlib.sha256(body).hexdigest()
        right, lines = 0, []
        for number in range(100):
            random = np.random.default_rng(number)
            faults = [
                Reply(tear=int(random.integers(0, 20_000))),
                Reply(tear=int(random.integers(0, 20_000)), chunked=True),
                Reply(tear=int(random.integers(0, 20_000)), framed=False),
                Reply(tear=int(random.integers(0, 20_000)), etag=None),
                Reply(headers={"Content-Length": "90000"}),
                Reply(headers={"Content-Length": "9000"}),
                Reply(ranges=False),
                Reply(body=OTHER[:20_000]),
                Reply(body=OTHER[:20_000], tear=5_000, etag='"two"'),
                Reply(body=OTHER[:30_000]),
                Reply(body=PAGE, headers={"Content-Type": "text/html"}),
                Reply(status=206, body=body[:500]),
                Reply(zipped=True, tear=50),
                *(Reply(status=status) for status in (401, 403, 404, 408, 416, 429, 500, 502, 503)),
                Reply(status=429, headers={"Retry-After": "3"}),
                Reply(status=302, headers={"Location": "/elsewhere"}),
                Reply(status=301),
            ]
            server.script = [faults[random.integers(len(faults))] for _ in range(random.integers(1, 7))]
            target = tmp_path / f"{number}.bin"
            addresses = [f"{server.address}/{mirror}" for mirror in range(random.integers(1, 4))]
            known = {"sha256": sha256, "size": len(body)} if number % 2 else {"sha256": sha256}
            try:
                fetch(addresses, target, **known)  # type: ignore[arg-type]
            except DownloadError as error:
                lines.append(str(error))
                assert not target.exists()
                server.script = []
                fetch(addresses, target, **known)  # type: ignore[arg-type]
            else:
                right += 1
            assert target.read_bytes() == body
            assert list(tmp_path.glob(f".{number}.bin.part*")) == []
        assert 40 < right < 100
        assert not any("\n" in line for line in lines)

    def test_a_process_killed_in_the_middle(self, server: Server, target: Path) -> None:
        code = (
            "import sys; from pathlib import Path; from mcbench.download.fetch import fetch;"
            "fetch([sys.argv[1]], Path(sys.argv[2]), on_bytes=lambda done, total: done > 200000 and __import__('os')"
            ".kill(__import__('os').getpid(), 9))"
        )
        done = subprocess.run([sys.executable, "-c", code, server.address, str(target)], check=False)
        assert done.returncode == -9
        assert not target.exists()
        left = part_of(target).stat().st_size
        fetch([server.address], target)
        assert target.read_bytes() == BODY
        assert server.ranges() == [None, f"bytes={left}-" if left else None]


class TestRefused:
    @pytest.mark.parametrize(
        ("reply", "words"),
        [
            (Reply(status=404), "answers 404"),
            (Reply(status=410), "answers 410"),
            (Reply(status=401), "form or an account"),
            (Reply(status=403), "form or an account"),
            (Reply(body=PAGE), "gives a web page, not a file: the source may ask for a form or an account"),
            (Reply(body=b"<div>no</div>", headers={"Content-Type": "text/html; charset=utf-8"}), "gives a web page"),
            (Reply(body=OTHER), "gives another file: its SHA-256 is"),
            (Reply(body=BODY[:-1]), "a file of 299999 bytes; the right one has 300000"),
            (Reply(body=BODY + b"x", chunked=True), "sends more than the 300000 bytes"),
            (Reply(headers={"Content-Encoding": "br"}), "sends the encoding br"),
            (Reply(status=204), "answers 204"),
            (Reply(status=500), "answers 500 Internal Server Error, 5 times in a row"),
            (Reply(status=429, headers={"Retry-After": "86400"}), "asks to wait 86400 seconds"),
            (Reply(status=302, headers={"Location": "/again"}), "redirects more than 10 times"),
            (Reply(status=302), "redirects to nowhere"),
            (Reply(status=302, headers={"Location": "ftp://127.0.0.1/file"}), "not an http or https address"),
            (Reply(status=302, headers={"Location": "file:///etc/passwd"}), "not an http or https address"),
            (Reply(status=302, headers={"Location": "http://[::1"}), "not an address"),
        ],
    )
    def test_one_line_and_then_the_next_mirror(self, server: Server, target: Path, reply: Reply, words: str) -> None:
        server.usual = reply
        known = {"sha256": SHA256, "size": len(BODY)}
        message = refused([f"{server.address}/only"], target, **known)
        assert words in message
        assert f"{server.address}/only" in message
        assert list(target.parent.glob("*.part*")) == []
        server.script = [reply] * len(server.requests)
        server.usual = Reply()
        fetched = fetch([f"{server.address}/first", f"{server.address}/second"], target, **known)  # type: ignore[arg-type]
        assert fetched.address == f"{server.address}/second"
        assert target.read_bytes() == BODY

    def test_https_does_not_become_http(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import httpx

        def answer(request: httpx.Request) -> httpx.Response:
            assert request.url.scheme == "https", "the downgraded address was asked"
            return httpx.Response(302, headers={"Location": "http://example.org/file"})

        client = httpx.Client(transport=httpx.MockTransport(answer))
        monkeypatch.setattr("mcbench.download.fetch.new_client", lambda: client)
        assert "from https to http" in refused(["https://example.org/file"], target)

    def test_a_length_that_nobody_tells_cannot_be_checked_without_a_hash(self, server: Server, target: Path) -> None:
        server.usual = Reply(framed=False)
        assert "does not say how long the file is" in refused([server.address], target)
        fetch([server.address], target, sha256=SHA256)
        assert target.read_bytes() == BODY

    def test_only_the_beginning_of_a_hash_is_known(self, server: Server, target: Path) -> None:
        assert "gives another file" in refused([server.address], target, sha256="0" * 8)
        assert fetch([server.address], target, sha256=SHA256[:8]).sha256 == SHA256

    def test_nobody_at_that_address(self, target: Path, pauses: list[float]) -> None:
        assert "cannot be reached" in refused(["http://127.0.0.1:9/file"], target)
        assert len(pauses) == 4

    @pytest.mark.parametrize("address", ["ftp://example.org/a", "nonsense", "http://", "http://[::1/a"])
    def test_what_is_no_address(self, target: Path, address: str) -> None:
        assert "address" in refused([address], target)


class TestRetryAfter:
    @pytest.mark.parametrize(("value", "wait"), [("7", 7), ("0", 0), ("soon", 1), ("-5", 1), ("1e9", 1), ("١٢", 1)])
    def test_seconds(self, server: Server, target: Path, pauses: list[float], value: str, wait: float) -> None:
        header = value.encode().decode("latin-1")
        server.script = [Reply(status=429, headers={"Retry-After": header})]
        fetch([server.address], target)
        assert pauses == [wait]

    @pytest.mark.parametrize(("seconds", "least", "most"), [(60, 55, 60), (-60, 0, 0)])
    def test_a_date(
        self, server: Server, target: Path, pauses: list[float], seconds: int, least: float, most: float
    ) -> None:
        date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)
        server.script = [Reply(status=503, headers={"Retry-After": date})]
        fetch([server.address], target)
        assert len(pauses) == 1
        assert least <= pauses[0] <= most


class TestDisk:
    def test_space_is_asked_for_before(self, server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 299_999}))
        assert "300 kB are needed and 300 kB are free" in refused([server.address], target)
        assert not part_of(target).exists()

    def test_a_full_disk_keeps_what_is_there(
        self, server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class SmallDisk(io.BufferedWriter):
            def write(self, data: object) -> int:
                if self.tell() > 100_000:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return super().write(data)  # type: ignore[arg-type]

        real = Path.open

        def open_on_it(self: Path, mode: str = "r", **options: object) -> object:
            return SmallDisk(io.FileIO(self, "a")) if mode == "ab" else real(self, mode, **options)  # type: ignore[call-overload]

        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", open_on_it)
            message = refused([server.address], target)
        assert "the disk is full; free space there and run the same command again" in message
        left = part_of(target).stat().st_size
        assert 100_000 < left < len(BODY)
        fetch([server.address], target)
        assert server.ranges() == [None, f"bytes={left}-"]
        assert target.read_bytes() == BODY

    def test_a_place_that_cannot_be_written_to(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(DownloadError, match="cannot be written") as error:
            fetch([server.address], tmp_path / "file" / "a.bin")
        assert "\n" not in str(error.value)

    def test_a_folder_at_the_final_name(self, server: Server, target: Path) -> None:
        (target / "inside").mkdir(parents=True)
        with pytest.raises(DownloadError, match="cannot be written"):
            fetch([server.address], target)
        assert (target / "inside").is_dir()


def test_two_processes_fetch_one_file_once(server: Server, target: Path) -> None:
    server.body = BODY * 20
    code = (
        "import sys; from pathlib import Path; from mcbench.download.fetch import fetch;"
        "print(fetch([sys.argv[1]], Path(sys.argv[2])).address)"
    )
    command = [sys.executable, "-c", code, server.address, str(target)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert answers == ["None", "None", server.address]
    assert len(server.requests) == 1
    assert target.read_bytes() == BODY * 20


def test_the_second_is_told_that_it_waits(server: Server, target: Path) -> None:
    begun, waited = threading.Event(), threading.Event()

    def slow(_: str) -> Reply:
        begun.set()
        assert waited.wait(20)
        return Reply()

    server.script = [slow]
    first = threading.Thread(target=fetch, args=([server.address], target))
    first.start()
    assert begun.wait(20)
    assert fetch([server.address], target, on_wait=waited.set).address is None
    first.join()
    assert len(server.requests) == 1
