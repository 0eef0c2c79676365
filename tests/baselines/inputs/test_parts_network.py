"""The DensePose network: never run unless the user says which one it is, and its outputs put into the picture."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from scripted_networks import Boxes, Failing, Single, TooFewParts, save
from torch import nn

from baselines.inputs import InputError
from baselines.inputs.parts_network import PartsNetwork

SIDE = 40
PICTURE = np.full((SIDE, SIDE, 3), (200, 100, 50), np.uint8)


def network(module: nn.Module, folder: Path) -> PartsNetwork:
    path = folder / "network.torchscript"
    return PartsNetwork(path, save(module, path))


def parts(module: nn.Module, folder: Path, size: int = SIDE) -> np.ndarray:
    return network(module, folder).parts(PICTURE, size)


def test_it_does_not_load_without_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "network.torchscript"
    sha256 = save(Boxes([[0, 0, 8, 8]], [1]), path)

    def never(*given: object, **more: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr("torch.jit.load", never)
    with pytest.raises(InputError, match="is a program and runs only with its SHA-256 stated") as fault:
        PartsNetwork(path, None)
    # To print it would make stating it an empty gesture.
    assert sha256 not in str(fault.value)
    other = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(
        InputError, match=f"begins with {sha256[:12]}, the stated one with {other[:12]}; it was not loaded"
    ):
        PartsNetwork(path, other)
    with pytest.raises(InputError, match="is no SHA-256"):
        PartsNetwork(path, "abc")
    with pytest.raises(InputError, match="cannot be read"):
        PartsNetwork(tmp_path / "missing", sha256)
    with pytest.raises(AssertionError, match="loaded"):
        PartsNetwork(path, f" {sha256.upper()} ")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + b"\0" * 18])
def test_other_files_are_no_network(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "network.torchscript"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a TorchScript file") as fault:
        PartsNetwork(path, hashlib.sha256(content).hexdigest())
    assert "\n" not in str(fault.value)


def test_a_box_is_filled_with_its_part_and_coordinates(tmp_path: Path) -> None:
    part, u, v = parts(Boxes([[10, 4, 30, 24]], [7]), tmp_path)
    expected = np.zeros((SIDE, SIDE), bool)
    expected[4:24, 10:30] = True
    assert np.array_equal(part == 7, expected)
    assert np.array_equal(part > 0, expected)
    # The network is shown BGR: channel 2 is red, 200, and channel 0 blue, 50.
    assert set(np.unique(u[expected])) == {200}
    assert set(np.unique(v[expected])) == {50}
    assert not u[~expected].any()


def test_the_result_has_the_size_asked_for(tmp_path: Path) -> None:
    part = parts(Boxes([[10, 4, 30, 24]], [7]), tmp_path, size=2 * SIDE)[0]
    assert part.shape == (2 * SIDE, 2 * SIDE)
    assert np.array_equal(np.argwhere(part).min(0), [8, 20])
    assert np.array_equal(np.argwhere(part).max(0), [47, 59])


def test_coarse_background_wins_over_fine_parts(tmp_path: Path) -> None:
    part = parts(Boxes([[0, 0, 40, 40]], [3], hole=True), tmp_path)[0]
    assert not part[:18].any()
    assert (part[22:] == 3).all()


def test_people_are_laid_over_each_other_in_their_order(tmp_path: Path) -> None:
    part = parts(Boxes([[0, 0, 20, 20], [10, 10, 30, 30]], [2, 9]), tmp_path)[0]
    assert part[5, 5] == 2
    assert part[15, 15] == 9
    assert part[25, 25] == 9


def test_background_of_a_later_person_hides_nobody(tmp_path: Path) -> None:
    part = parts(Boxes([[0, 0, 20, 20], [0, 0, 30, 30]], [2, 0]), tmp_path)[0]
    assert (part[:20, :20] == 2).all()


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ([-10, -6, 10, 14], slice(0, 14), slice(0, 10)),
        ([30, 35, 55, 60], slice(35, 40), slice(30, 40)),
        ([-50, -50, -20, -20], slice(0, 0), slice(0, 0)),
        ([12.9, 3.2, 12.95, 3.3], slice(3, 4), slice(12, 13)),
    ],
)
def test_boxes_may_reach_beyond_the_picture(tmp_path: Path, box: list[float], rows: slice, columns: slice) -> None:
    expected = np.zeros((SIDE, SIDE), bool)
    expected[rows, columns] = True
    assert np.array_equal(parts(Boxes([box], [5]), tmp_path)[0] == 5, expected)


@pytest.mark.parametrize("box", [[0, 0, float("nan"), 9], [0, 0, float("inf"), 9], [-1e7, -1e7, 1e7, 1e7]])
def test_boxes_that_are_none_are_left_out(tmp_path: Path, box: list[float]) -> None:
    part = parts(Boxes([box, [0, 0, 9, 9]], [5, 6]), tmp_path)[0]
    assert set(np.unique(part)) == {0, 6}


def test_nobody_is_background(tmp_path: Path) -> None:
    assert not parts(Boxes([], []), tmp_path).any()


@pytest.mark.parametrize("module", [Single(), TooFewParts()])
def test_other_outputs_are_refused(tmp_path: Path, module: nn.Module) -> None:
    with pytest.raises(InputError, match="something else than DensePose's boxes"):
        parts(module, tmp_path)


def test_a_network_that_fails_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the network fails .*out of memory") as fault:
        parts(Failing(), tmp_path)
    assert "\n" not in str(fault.value)


def test_the_record_tells_networks_apart(tmp_path: Path) -> None:
    path = tmp_path / "network.torchscript"
    first = network(Boxes([], []), tmp_path).record
    assert first["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert network(Boxes([[0, 0, 1, 1]], [1]), tmp_path).record != first
