"""What a source is, and how it becomes a folder."""

from __future__ import annotations

import io
import os
import socket
import sys
import tarfile
import types
import zipfile
from pathlib import Path

import pytest
from torn_server import Reply, Server

from mcbench.download.faults import DownloadError
from mcbench.download.sources import Listener, Source, parse_source, provide
from mcbench.download.youtube import fetch_videos
from mcbench.errors import UsageError

ID, OTHER_ID = "dQw4w9WgXcQ", "-_aaaaaaaaa"


def zip_of(names: list[str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name in names:
            file.writestr(name, name.encode())
    return stream.getvalue()


def tar_of(names: list[str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as file:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            file.addfile(info, io.BytesIO(name.encode()))
    return stream.getvalue()


def files_in(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


class TestParse:
    @pytest.mark.parametrize(
        ("text", "source"),
        [
            ("https://example.org/set.zip?download=1", Source("address", "https://example.org/set.zip?download=1")),
            ("http://example.org/", Source("address", "http://example.org/")),
            ("https://example.org/" + "x" * 300, Source("address", "https://example.org/" + "x" * 300)),
            ("owner/set", Source("hub", "owner/set")),
            ("owner/set@v1.0", Source("hub", "owner/set", "v1.0")),
            ("hf://datasets/owner/set@refs/pr/1", Source("hub", "owner/set", "refs/pr/1")),
            ("https://huggingface.co/datasets/owner/set", Source("hub", "owner/set")),
            ("https://huggingface.co/datasets/owner/set/tree/main", Source("hub", "owner/set", "main")),
            (
                "https://huggingface.co/datasets/owner/set/resolve/main/a.zip",
                Source("address", "https://huggingface.co/datasets/owner/set/resolve/main/a.zip"),
            ),
            (f"youtube:{ID},{OTHER_ID},{ID}", Source("youtube", f"{ID},{OTHER_ID}")),
            (f"https://www.youtube.com/watch?v={ID}&t=3s", Source("youtube", ID)),
            (f"https://youtu.be/{ID}", Source("youtube", ID)),
            (f"https://m.youtube.com/shorts/{ID}", Source("youtube", ID)),
        ],
    )
    def test_what_it_is(self, text: str, source: Source) -> None:
        assert parse_source(text) == source

    def test_a_path_that_is_there_is_a_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "owner" / "set").mkdir(parents=True)
        assert parse_source("owner/set") == Source("path", str(tmp_path / "owner" / "set"))

    @pytest.mark.parametrize(
        "text",
        [
            "./owner/zet",
            "../set",
            "/nowhere",
            "~/nowhere",
            "set",
            "a/b/c",
            "ftp://a/b",
            "youtube:short",
            "",
            "owner/zet",
            "x" * 300,
            "a\0b",
        ],
    )
    def test_what_it_is_not(self, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`owner/zet` is a slip of the pen, since there is a folder `owner`."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "owner" / "set").mkdir(parents=True)
        with pytest.raises(UsageError, match="no such file or folder; give one"):
            parse_source(text)


class TestPath:
    @pytest.mark.usefixtures("no_network")
    def test_a_folder_stays_where_it_is(self, tmp_path: Path) -> None:
        assert provide(Source("path", str(tmp_path)), tmp_path / "shelf", offline=True) == tmp_path
        assert not (tmp_path / "shelf").exists()

    @pytest.mark.usefixtures("no_network")
    @pytest.mark.parametrize(
        ("names", "inside"),
        [
            (["set/a/0.png", "set/b/0.png"], ["a/0.png", "b/0.png"]),
            (["a/0.png", "b/0.png"], ["a/0.png", "b/0.png"]),
            # One clip: its own folder is not the data set's.
            (["a/0.png", "a/1.png"], ["a/0.png", "a/1.png"]),
            (["x/y/a.mp4", "x/y/README"], ["README", "a.mp4"]),
            (["x/split_images.tsv"], ["split_images.tsv"]),
            (["a.mp4", "x/0.png"], ["a.mp4", "x/0.png"]),
        ],
    )
    def test_an_archive_is_unpacked_once(self, tmp_path: Path, names: list[str], inside: list[str]) -> None:
        archive = tmp_path / "my.tar.gz"
        archive.write_bytes(tar_of(names))
        source = parse_source(str(archive))
        folder = provide(source, tmp_path / "shelf")
        assert files_in(folder) == inside
        before = folder.stat().st_mtime_ns
        assert provide(source, tmp_path / "shelf") == folder
        assert folder.stat().st_mtime_ns == before
        archive.write_bytes(tar_of([*names, "z/0.png"]))
        assert provide(source, tmp_path / "shelf") != folder

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.zip")
        with pytest.raises(DownloadError, match="neither a file nor a folder"):
            provide(parse_source(str(tmp_path / "pipe.zip")), tmp_path / "shelf")

    def test_a_hostile_one_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(zip_of(["../../../outside"]))
        with pytest.raises(DownloadError, match="leads out of the folder"):
            provide(parse_source(str(tmp_path / "a.zip")), tmp_path / "shelf")
        assert files_in(tmp_path) == ["a.zip", *(f for f in files_in(tmp_path) if f.endswith(".lock"))]

    def test_what_a_killed_process_left_is_swept_away(self, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(zip_of(["a/0.png"]))
        source = parse_source(str(tmp_path / "a.zip"))
        place = provide(source, tmp_path / "shelf").parent
        (place / "a").rename(place / ".a.killed.tmp")
        provide(source, tmp_path / "shelf")
        assert sorted(entry.name for entry in place.iterdir()) == [".a.lock", "a"]


class TestAddress:
    def test_an_archive_is_fetched_unpacked_and_dropped(self, server: Server, tmp_path: Path) -> None:
        server.body = zip_of(["set/a/0.png", "set/b/0.png"])
        server.script = [Reply(tear=20), Reply(status=500)]
        seen: list[str] = []
        source = parse_source(f"{server.address}/some%20where/my%20set.zip?download=1")
        folder = provide(source, tmp_path / "shelf", listener=Listener(on_bytes=lambda what, *_: seen.append(what)))
        assert files_in(folder) == ["a/0.png", "b/0.png"]
        assert set(seen) == {"my_set.zip", "unpacking my_set.zip"}
        assert list((tmp_path / "shelf").rglob("*.zip")) == []
        count = len(server.requests)
        assert provide(source, tmp_path / "shelf", offline=True) == folder
        assert len(server.requests) == count

    def test_a_single_file(self, server: Server, tmp_path: Path) -> None:
        folder = provide(parse_source(f"{server.address}/clip.mp4"), tmp_path / "shelf")
        assert files_in(folder) == ["clip.mp4"]
        assert (folder / "clip.mp4").read_bytes() == server.body
        assert provide(parse_source(f"{server.address}/clip.mp4"), tmp_path / "shelf") == folder
        assert len(server.requests) == 1

    @pytest.mark.parametrize("path", ["/..%2f..%2fescape.zip", "/.hidden.zip", "/", "/" + "x" * 300 + ".zip"])
    def test_an_address_does_not_choose_the_place(self, server: Server, tmp_path: Path, path: str) -> None:
        server.body = zip_of(["a/0.png"])
        folder = provide(parse_source(server.address + path), tmp_path / "shelf")
        assert tmp_path / "shelf" in folder.parents
        assert [entry.name for entry in tmp_path.iterdir()] == ["shelf"]

    @pytest.mark.usefixtures("no_network")
    def test_offline_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(DownloadError, match="--offline forbids it"):
            provide(Source("address", "https://example.org/a.zip"), tmp_path / "shelf", offline=True)


class TestHub:
    @pytest.fixture
    def hub(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, object]]:
        """In place of the library's own fetching: a snapshot, and what it was asked."""
        asked: list[dict[str, object]] = []
        (tmp_path / "snapshot").mkdir()

        def snapshot_download(name: str, **options: object) -> str:
            asked.append({"name": name, **options})
            return str(tmp_path / "snapshot")

        monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
        return asked

    def test_name_revision_and_offline_are_handed_on(self, hub: list[dict[str, object]], tmp_path: Path) -> None:
        (tmp_path / "snapshot" / "a.mp4").write_bytes(b"1")
        folder = provide(parse_source("owner/set@v2"), tmp_path / "shelf", offline=True)
        assert folder == tmp_path / "snapshot"
        assert hub == [{"name": "owner/set", "repo_type": "dataset", "revision": "v2", "local_files_only": True}]

    @pytest.mark.usefixtures("hub")
    def test_archives_in_it_are_unpacked(self, tmp_path: Path) -> None:
        (tmp_path / "snapshot" / "data").mkdir()
        (tmp_path / "snapshot" / "README.md").write_text("about")
        (tmp_path / "snapshot" / "data" / "a.zip").write_bytes(zip_of(["0.png", "1.png"]))
        (tmp_path / "snapshot" / "data" / "b.tar.gz").write_bytes(tar_of(["0.png"]))
        folder = provide(parse_source("owner/set"), tmp_path / "shelf")
        assert [name for name in files_in(folder) if name.endswith(".png")] == ["a/0.png", "a/1.png", "b/0.png"]
        assert files_in(tmp_path / "snapshot") == ["README.md", "data/a.zip", "data/b.tar.gz"]

    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            ("GatedRepoError", "asks for its terms to be accepted"),
            ("RepositoryNotFoundError", "no such data set, or a private one"),
            ("RevisionNotFoundError", "has no revision"),
            ("LocalEntryNotFoundError", "not in the cache of this machine"),
            ("OfflineModeIsEnabled", "HF_HUB_OFFLINE"),
        ],
    )
    def test_its_faults_in_one_line(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str, words: str
    ) -> None:
        import huggingface_hub.errors as errors

        def fail(*_: object, **__: object) -> str:
            kind = getattr(errors, fault)
            raise kind.__new__(kind)

        monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
        with pytest.raises(DownloadError, match=words) as error:
            provide(parse_source("owner/set@v9"), tmp_path)
        assert "\n" not in str(error.value)
        assert "https://huggingface.co/datasets/owner/set" in str(error.value)

    @pytest.mark.usefixtures("no_network")
    def test_offline_touches_no_network(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the real library, and an empty cache."""
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        with pytest.raises(DownloadError, match="not in the cache of this machine"):
            provide(parse_source("owner/set"), tmp_path, offline=True)


class TestYouTube:
    @pytest.fixture
    def loader(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """yt-dlp as far as it is used: `OTHER_ID` is gone."""
        asked: list[str] = []
        module, utils = types.ModuleType("yt_dlp"), types.ModuleType("yt_dlp.utils")

        class YoutubeDLError(Exception):
            pass

        class YoutubeDL:
            def __init__(self, options: dict[str, object]) -> None:
                self.options = options

            def __enter__(self) -> YoutubeDL:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def download(self, addresses: list[str]) -> None:
                asked.extend(addresses)
                id = addresses[0].split("v=")[1]
                if id == OTHER_ID:
                    raise YoutubeDLError("ERROR: Video\nunavailable")
                Path(str(self.options["outtmpl"]) % {"id": id}).write_bytes(b"video")

        module.YoutubeDL, module.utils, utils.YoutubeDLError = YoutubeDL, utils, YoutubeDLError  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "yt_dlp", module)
        monkeypatch.setitem(sys.modules, "yt_dlp.utils", utils)
        return asked

    def test_what_is_there_is_not_fetched_again_and_what_is_gone_is_told(
        self, loader: list[str], tmp_path: Path
    ) -> None:
        notes: list[str] = []
        source = parse_source(f"youtube:{ID},{OTHER_ID}")
        for _ in range(2):
            folder = provide(source, tmp_path / "shelf", listener=Listener(on_note=notes.append))
            assert files_in(folder) == [f"{ID}.mp4"]
        assert [address[-11:] for address in loader] == [ID, OTHER_ID, OTHER_ID]
        assert notes == [f"1 of 2 videos of YouTube cannot be had: {OTHER_ID} (ERROR: Video unavailable)"] * 2

    @pytest.mark.usefixtures("loader")
    def test_none_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(DownloadError, match="none of 1 videos"):
            fetch_videos([OTHER_ID], tmp_path / "videos")

    def test_offline_asks_nobody(self, loader: list[str], tmp_path: Path) -> None:
        with pytest.raises(DownloadError, match="--offline forbids"):
            fetch_videos([ID], tmp_path / "videos", offline=True)
        assert loader == []

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setitem(sys.modules, "yt_dlp", None)
        with pytest.raises(DownloadError, match=r"pip install 'mcbench\[youtube\]'"):
            fetch_videos([ID], tmp_path / "videos")
