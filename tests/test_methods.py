"""Looking up methods, their settings, and what they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict

from mcbench.datasets import open_truth
from mcbench.errors import MethodError, UsageError
from mcbench.methods import Case, Method, available_methods, load_method, make_case


class Adjustable(Method):
    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)
        steps: int = 50
        guidance: float = 1.5

    name: ClassVar[str] = "adjustable"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "for tests"

    def animate(self, case: Case) -> Iterator[np.ndarray]:
        yield from [case.reference] * case.frames


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    here = __name__
    entries = [
        metadata.EntryPoint("adjustable", f"{here}:Adjustable", "mcbench.methods"),
        metadata.EntryPoint("broken", "no_such_package:Thing", "mcbench.methods"),
        metadata.EntryPoint("foreign", "pathlib:Path", "mcbench.methods"),
    ]
    monkeypatch.setattr("mcbench.methods.metadata.entry_points", lambda group: entries)


def test_the_floors_are_registered_like_any_other() -> None:
    methods = available_methods()
    assert {"copy-reference", "truth"} <= methods.keys()
    for name, found in methods.items():
        assert not isinstance(found, str), found
        assert found.name == name


@pytest.mark.usefixtures("registered")
class TestLookup:
    def test_a_broken_plug_in_does_not_take_the_others_with_it(self) -> None:
        methods = available_methods()
        assert methods["adjustable"] is Adjustable
        assert "does not load: ModuleNotFoundError" in str(methods["broken"])
        assert "not a subclass" in str(methods["foreign"])
        with pytest.raises(MethodError, match="no_such_package"):
            load_method("broken")

    def test_settings_are_checked_and_converted(self) -> None:
        method = load_method("adjustable", settings={"steps": "20"})
        assert method.settings.model_dump() == {"steps": 20, "guidance": 1.5}
        with pytest.raises(UsageError, match=r"setting 'stesp'.*did you mean 'steps'.*steps, guidance"):
            load_method("adjustable", settings={"stesp": "20"})
        with pytest.raises(UsageError, match=r"setting 'steps'.*valid integer"):
            load_method("adjustable", settings={"steps": "many"})

    def test_unknown_names_and_useless_checkpoints(self) -> None:
        with pytest.raises(UsageError, match="did you mean 'adjustable'"):
            load_method("adjustible")
        with pytest.raises(UsageError, match="takes no checkpoint"):
            load_method("adjustable", checkpoint=Path("weights.pt"))


def test_a_case_without_the_truth(clip_folders: Callable[..., Path]) -> None:
    clip = open_truth(clip_folders("truth", 1)).clips[0]
    case = make_case(clip, seed=7, with_truth=False)
    assert (case.truth, case.poses, case.frames, case.seed) == (None, None, 18, 7)
    assert np.array_equal(case.reference, next(iter(clip.source.read())))
    truth: Any = make_case(clip, seed=7, with_truth=True).truth
    assert truth is clip.source
