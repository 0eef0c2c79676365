"""The registry, where files are looked for, and that none passes for what it is not."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcbench.backbones import BACKBONES, load_backbone, weights
from mcbench.backbones.random_weights import RANDOM_SHA256
from mcbench.backbones.weights import (
    REGISTRY,
    WeightsFile,
    WeightsRecord,
    check_file,
    open_weights,
    record_of,
    weights_folder,
    weights_status,
)
from mcbench.errors import UsageError, WeightsError

CONTENT = b"not really weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightsFile:
    """A small published file in place of i3d's, with its folder."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("MCBENCH_WEIGHTS", str(folder))
    entry = WeightsFile("i3d", "small.pt", len(CONTENT), SHA256, SHA256[:8], ("https://example.org/small.pt",))
    monkeypatch.setitem(REGISTRY, "i3d", entry)
    (folder / entry.file).write_bytes(CONTENT)
    return entry


def path_of(entry: WeightsFile) -> Path:
    return weights_folder() / entry.file


def one_line(error: pytest.ExceptionInfo[WeightsError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_the_registry_is_the_protocols_table() -> None:
    assert tuple(REGISTRY) == BACKBONES
    assert {name: (entry.file, entry.size, entry.sha256_prefix) for name, entry in REGISTRY.items()} == {
        "inception": ("pt_inception-2015-12-05-6726825d.pth", 95_628_359, "6726825d"),
        "vgg16": ("vgg16-397923af.pth", 553_433_881, "397923af"),
        "alexnet": ("alexnet-owt-7be5be79.pth", None, "7be5be79"),
        "r3d50": ("resnet-50-kinetics.pth", 376_424_414, "69b6a070"),
        "i3d": ("i3d_pretrained_400.pt", 50_939_526, "55095f04"),
    }
    for name, entry in REGISTRY.items():
        assert all(address.startswith("https://") for address in entry.addresses)
        if name == "alexnet":
            assert entry.sha256 is None
        else:
            assert len(entry.sha256) == 64
            assert entry.sha256.startswith(entry.sha256_prefix)


def test_the_folder_is_the_environments_then_the_homes_then_the_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCBENCH_WEIGHTS", "/here")
    monkeypatch.setenv("MCBENCH_HOME", "/some/home")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert weights_folder() == Path("/here")
    monkeypatch.delenv("MCBENCH_WEIGHTS")
    assert weights_folder() == Path("/some/home/weights")
    monkeypatch.delenv("MCBENCH_HOME")
    assert weights_folder() == Path("/cache/mcbench/weights")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights_folder() == Path.home() / ".cache/mcbench/weights"


@pytest.mark.parametrize("name", BACKBONES)
def test_missing_weights_say_which_where_from_and_how_to_go_on(name: str) -> None:
    for function in (record_of, load_backbone):
        with pytest.raises(WeightsError) as error:
            function(name, "published")
        message = one_line(error)
        entry = REGISTRY[name]
        for part in (entry.file, entry.sha256 or entry.sha256_prefix, entry.addresses[0], str(weights_folder())):
            assert part in message
        assert "--weights random@1" in message


def test_a_published_file_is_recorded_by_its_hash(entry: WeightsFile) -> None:
    assert record_of("i3d") == WeightsRecord("i3d", "published", SHA256)
    with open_weights("i3d", "published") as (file, path, record):
        assert file.read() == CONTENT
        assert path == path_of(entry)
        assert record == WeightsRecord("i3d", "published", SHA256)


def test_a_broken_download_is_told_by_its_size(entry: WeightsFile) -> None:
    path_of(entry).write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match=r"17 bytes, the published small\.pt has 18") as error:
        record_of("i3d")
    one_line(error)


def test_another_file_of_the_same_size_is_refused_before_it_is_opened(
    entry: WeightsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.load", lambda *_, **__: pytest.fail("the file was opened"))
    path_of(entry).write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match=r"is not the published small\.pt: its SHA-256 is") as error:
        load_backbone("i3d", "published")
    one_line(error)


def test_a_note_saves_hashing_and_reads_as_sha256sum_does(entry: WeightsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    path = path_of(entry)
    check_file(entry, path)
    note = path.with_name("small.pt.sha256").read_text().splitlines()
    assert note[0] == f"{SHA256}  small.pt"
    assert all(line.startswith("#") for line in note[1:])
    assert sorted(file.name for file in path.parent.iterdir()) == ["small.pt", "small.pt.sha256"]
    monkeypatch.setattr(weights, "_sha256", lambda file: pytest.fail("hashed again"))
    assert record_of("i3d").sha256 == SHA256


def test_a_change_is_seen_although_size_and_time_were_kept(entry: WeightsFile) -> None:
    path = path_of(entry)
    check_file(entry, path)
    before = path.stat()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(WeightsError, match="is not the published"):
        record_of("i3d")


def test_a_forged_note_does_not_open_a_file(entry: WeightsFile) -> None:
    path = path_of(entry)
    path.write_bytes(CONTENT[::-1])
    stat = path.stat()
    stamp = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"
    path.with_name("small.pt.sha256").write_text(f"{SHA256}  small.pt\n# mcbench {stamp}\n")
    with pytest.raises(WeightsError, match="is not the published"), open_weights("i3d", "published"):
        pytest.fail("the file was opened")


def test_a_folder_that_cannot_be_written_to_will_do(entry: WeightsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert record_of("i3d").sha256 == SHA256
    assert [file.name for file in path_of(entry).parent.iterdir()] == ["small.pt"]


def test_where_only_the_beginning_of_a_hash_is_known_the_first_file_fixes_the_rest(
    entry: WeightsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    loose = WeightsFile("i3d", "small.pt", None, None, SHA256[0], entry.addresses)
    monkeypatch.setitem(REGISTRY, "i3d", loose)
    others = (f"other {number}".encode() for number in range(1000))
    twin = next(other for other in others if hashlib.sha256(other).hexdigest()[0] == SHA256[0])
    assert record_of("i3d") == WeightsRecord("i3d", "published", SHA256)
    path_of(entry).write_bytes(twin)
    with pytest.raises(WeightsError, match=f"has changed.*{SHA256}"):
        record_of("i3d")
    path_of(entry).with_name("small.pt.sha256").unlink()
    assert record_of("i3d").sha256 == hashlib.sha256(twin).hexdigest()
    path_of(entry).write_bytes(next(other for other in others if hashlib.sha256(other).hexdigest()[0] != SHA256[0]))
    with pytest.raises(WeightsError, match="is not the published"):
        record_of("i3d")


def test_the_hash_decides_whether_a_path_is_published_or_custom(entry: WeightsFile, tmp_path: Path) -> None:
    elsewhere = tmp_path / "mine.pt"
    elsewhere.write_bytes(CONTENT)
    assert record_of("i3d", str(elsewhere)) == WeightsRecord("i3d", "published", SHA256)
    elsewhere.write_bytes(b"mine")
    assert record_of("i3d", str(elsewhere)) == WeightsRecord("i3d", "custom", hashlib.sha256(b"mine").hexdigest())
    assert not elsewhere.with_name("mine.pt.sha256").exists()


@pytest.mark.parametrize("choice", ["nowhere.pt", "random@2", "."])
def test_a_choice_that_is_no_file_is_refused(choice: str) -> None:
    with pytest.raises(WeightsError, match="no weights file for vgg16 at") as error:
        record_of("vgg16", choice)
    assert "'published'" in one_line(error)


def test_a_folder_that_may_not_be_entered(entry: WeightsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(path: Path, **_: object) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", locked)
    with pytest.raises(WeightsError, match="Permission denied; mend its permissions"):
        record_of(entry.name)
    assert all("Permission denied" in str(state.problem) for state in weights_status())


def test_random_weights_are_known_without_building_a_network() -> None:
    assert record_of("r3d50", "random@1") == WeightsRecord("r3d50", "random@1", RANDOM_SHA256["r3d50"])


def test_the_status_tells_missing_right_and_wrong_files_apart(entry: WeightsFile) -> None:
    (weights_folder() / REGISTRY["alexnet"].file).write_bytes(b"something else")
    states = {state.backbone: state for state in weights_status()}
    assert tuple(states) == BACKBONES
    assert (states["vgg16"].present, states["vgg16"].verified, states["vgg16"].problem) == (False, False, None)
    assert states["i3d"].verified
    assert (states["i3d"].size, states["i3d"].sha256) == (len(CONTENT), SHA256)
    assert states["alexnet"].present
    assert not states["alexnet"].verified
    assert "is not the published" in states["alexnet"].problem


def test_an_unknown_backbone_names_the_known_ones() -> None:
    for function in (record_of, load_backbone):
        with pytest.raises(UsageError, match="'resnet'; there are inception, vgg16, alexnet, r3d50, i3d"):
            function("resnet", "random@1")


def test_questions_about_weights_do_not_load_torch() -> None:
    code = "import sys, mcbench.backbones.weights as w; w.weights_status(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_the_documentation_has_every_file_hash_and_address() -> None:
    text = (Path(__file__).parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")
    for name, entry in REGISTRY.items():
        size = f"{entry.size:,}" if entry.size else "about 244 MB"
        for fact in (entry.file, size, entry.sha256 or entry.sha256_prefix, *entry.addresses, RANDOM_SHA256[name]):
            assert fact in text, (name, fact)
