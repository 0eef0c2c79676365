"""DensePose and masks of a clip: exact or found, in the square, kept by content."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from input_cases import FRAMES, HEIGHT, WIDTH, Known, make_case, two_people
from scripted_networks import Counting, save

from baselines.inputs import DensePoseSettings, InputError, densepose, person_masks, reference_densepose
from baselines.inputs import exact_parts as exact
from baselines.inputs.parts_network import PartsNetwork, load_parts_network

SIZE = HEIGHT


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was computed, not read."""
    calls: list[str] = []
    compute, run = exact.exact_parts, PartsNetwork.parts
    monkeypatch.setattr(exact, "exact_parts", lambda *given: calls.append("exact") or compute(*given))
    monkeypatch.setattr(PartsNetwork, "parts", lambda *given: calls.append("network") or run(*given))
    load_parts_network.cache_clear()
    return calls


@pytest.fixture
def network(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "densepose.torchscript"
    return {"sha256": save(Counting(), path), "model": path}


def square(mask: np.ndarray) -> np.ndarray:
    left = (WIDTH - HEIGHT) // 2
    return mask[:, left : left + HEIGHT]


def test_exact_parts_fill_the_masks_in_the_square(tmp_path: Path, counted: list[str]) -> None:
    frames = list(densepose(make_case(tmp_path), SIZE))
    assert len(frames) == FRAMES
    for frame, mask in zip(frames, two_people().masks(), strict=True):
        assert frame.part.shape == (SIZE, SIZE)
        assert np.array_equal(frame.part > 0, square(mask) > 0)
        assert frame.u.max() <= 1
        assert frame.v.min() >= 0
    # Both face the camera: the right thigh's front on the left of each.
    assert frames[0].part[50, 60 - 5 - 32] == 9
    assert frames[0].part[50, 100 + 5 - 32] == 10


def test_they_are_computed_once(tmp_path: Path, counted: list[str]) -> None:
    first = list(densepose(make_case(tmp_path), SIZE))
    again = list(densepose(make_case(tmp_path), SIZE))
    assert counted == ["exact"] * FRAMES
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.part, b.part)
        assert np.array_equal(a.u, b.u)
        assert np.array_equal(a.v, b.v)


@pytest.mark.parametrize("change", ["size", "frames", "mask", "depth", "joint", "visibility"])
def test_other_annotations_are_computed_anew(tmp_path: Path, counted: list[str], change: str) -> None:
    list(densepose(make_case(tmp_path), SIZE))
    counted.clear()
    known = two_people()
    arrays = [known.keypoints.copy(), known.visibility.copy(), known.masks().copy(), known.depth().copy()]
    place = ["joint", "visibility", "mask", "depth"].index(change) if change not in ("size", "frames") else None
    if place is not None:
        arrays[place].flat[-1] = 1  # of 2, or in place of background, 3 metres or a place
    case = make_case(tmp_path, annotations=Known(*arrays), frames=2 if change == "frames" else FRAMES)
    count = len(list(densepose(case, SIZE // 2 if change == "size" else SIZE)))
    assert counted == ["exact"] * count


def test_frames_are_computed_as_they_are_asked_for(tmp_path: Path, counted: list[str]) -> None:
    frames = densepose(make_case(tmp_path), SIZE)
    assert counted == []
    next(frames)
    assert counted == ["exact"]


def test_the_reference_has_parts_of_its_own(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    first = next(densepose(case, SIZE))
    assert np.array_equal(reference_densepose(case, SIZE).part, first.part)
    known = case.reference_annotations
    assert known is not None
    nobody = replace(case, reference_annotations=replace(known, mask=np.zeros_like(known.mask)))
    assert not reference_densepose(nobody, SIZE).part.any()


def test_a_joint_outside_the_picture_still_ends_its_limb(tmp_path: Path) -> None:
    """Somebody whose ankles are below the picture has shins all the same; a place of zeros is no joint."""
    known = two_people()
    keypoints, visibility = known.keypoints + np.array([0, 30], np.float32), known.visibility.copy()
    outside = keypoints[..., 1] > HEIGHT
    visibility[outside] = 0
    masks = np.roll(known.masks(), 30, axis=1)
    masks[:, :30] = 0
    case = make_case(tmp_path, annotations=Known(keypoints, visibility, masks, known.depth()))
    assert set(np.unique(next(densepose(case, SIZE)).part)) >= {13, 14}
    keypoints[outside] = 0
    case = make_case(tmp_path, annotations=Known(keypoints, visibility, masks, known.depth()))
    assert not set(np.unique(next(densepose(case, SIZE)).part)) & {11, 12, 13, 14}


def test_a_network_is_asked_once_for_a_clip(tmp_path: Path, counted: list[str], network: dict[str, Any]) -> None:
    case = make_case(tmp_path, exact=False)
    first = [frame.u for frame in densepose(case, SIZE, **network)]
    assert counted == ["network"] * FRAMES
    again = [frame.u for frame in densepose(case, SIZE, **network)]
    reference = reference_densepose(case, SIZE, **network)
    assert np.array_equal(reference.u, reference_densepose(case, SIZE, **network).u)
    assert counted == ["network"] * (FRAMES + 1)
    # Its u is random, so equal means kept.
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[0].shape == (SIZE, SIZE)


def test_a_network_is_used_in_place_of_annotations_where_it_is_given(
    tmp_path: Path, counted: list[str], network: dict[str, Any]
) -> None:
    list(densepose(make_case(tmp_path), SIZE, **network))
    assert counted == ["network"] * FRAMES


def test_without_either_it_says_what_to_fetch(tmp_path: Path) -> None:
    for make in (densepose, reference_densepose, person_masks):
        with pytest.raises(InputError, match=r"densepose_r50_fpn_dl\.torchscript.*--set densepose=FILE") as fault:
            make(make_case(tmp_path, exact=False), SIZE)
        assert "\n" not in str(fault.value)


def test_masks_are_exact_or_where_a_part_is(tmp_path: Path, counted: list[str], network: dict[str, Any]) -> None:
    masks = list(person_masks(make_case(tmp_path), SIZE))
    assert [mask.dtype for mask in masks] == [np.dtype(bool)] * FRAMES
    assert all(np.array_equal(mask, square(exact) > 0) for mask, exact in zip(masks, two_people().masks(), strict=True))
    assert counted == []
    assert all(mask.all() for mask in person_masks(make_case(tmp_path, exact=False), SIZE, **network))


def test_settings_are_a_file_and_its_hash() -> None:
    settings = DensePoseSettings.model_validate({"densepose": "a.torchscript", "densepose_sha256": "0" * 64})
    assert settings.densepose == Path("a.torchscript")
    assert DensePoseSettings().densepose is None
