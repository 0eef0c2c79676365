"""The adapter to start from, run as it stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from external_samples import make_case, make_checkout, section_of, walking_poses, write_methods

from baselines.inputs import driving_poses, pose_drawings, reference_square
from baselines.template import Template
from mcbench.methods import checked_frames

ROOT = Path(__file__).resolve().parents[2]


def test_it_runs(tmp_path: Path, methods_toml: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout", "template_animate.py", "animate.py")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    write_methods(methods_toml, template=section_of(checkout, tmp_path / "model.safetensors"))
    case = make_case("a", tmp_path / "work", frames=2, size=64, poses=walking_poses(2, 64))
    frames = list(checked_frames(Template(Template.Settings()), case))
    drawings = pose_drawings(driving_poses(case, 512))
    for frame, drawing in zip(frames, drawings, strict=True):
        expected = np.where(drawing.any(-1, keepdims=True), drawing, reference_square(case, 512))
        assert np.array_equal(frame, expected)


def test_the_page_shows_it_as_it_stands() -> None:
    page = (ROOT / "docs" / "baselines.md").read_text(encoding="utf-8")
    source = (ROOT / "baselines" / "template.py").read_text(encoding="utf-8")
    body = source[source.index("class Template") :]
    for block in page.split("```python")[1:]:
        code = block.partition("```")[0].strip()
        if code.startswith("class Template"):
            assert code == body.strip()
            return
    raise AssertionError("docs/baselines.md does not show the template")


def test_the_ten_lines_run(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "baselines.md").read_text(encoding="utf-8")
    (code,) = (block.partition("```")[0] for block in page.split("```python")[1:] if "class Dimmed" in block)
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    scope: dict[str, object] = {"__name__": "page"}
    exec(compile(code, "docs/baselines.md", "exec"), scope)
    kind = scope["Dimmed"]
    case = make_case("a", None)
    method = kind(kind.Settings())  # type: ignore[operator, attr-defined]
    frames = list(checked_frames(method, case))
    assert np.array_equal(frames[0], case.reference // 2)
