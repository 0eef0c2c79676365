"""The result's schema: closed, finite, whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from mcbench import results
from mcbench.errors import ResultError
from mcbench.results import MAX_BYTES, MetricResult, NativeOutput, Result, read_result, write_result


@pytest.fixture
def document() -> dict[str, Any]:
    sha = "0" * 64
    return {
        "schema": "mcbench.result/1",
        "method": {"name": "copy-reference", "version": "1"},
        "dataset": {"name": "custom", "version": "1", "fingerprint": sha, "clips": 1, "frames": 3},
        "predictions": {"digest": sha, "container": "png", "size": [64, 64], "fps": 25.0},
        "protocols": {
            "mcbench@1": {
                "metrics": {"psnr": {"value": 20.5, "videos": 1, "frames": 2, "interval_reason": "one video"}},
                "clips": {"a": {"frames": 2, "psnr": 20.5, "ssim": 0.9, "lpips": 0.1, "l1": 0.1}},
            }
        },
        "provenance": {
            "mcbench": "0.1.0",
            "git_commit": None,
            "git_dirty": None,
            "libraries": {"python": "3.11"},
            "device": "cpu",
            "command": "mcbench eval --method copy-reference",
            "seed": 0,
            "start": "2026-01-01T00:00:00+00:00",
            "seconds": 1.5,
        },
    }


def test_round_trip(document: dict[str, Any], tmp_path: Path) -> None:
    result = Result.model_validate(document)
    write_result(result, tmp_path / "run" / "result.json")
    assert read_result(tmp_path / "run") == read_result(tmp_path / "run" / "result.json") == result
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["result.json"]
    assert json.loads((tmp_path / "run" / "result.json").read_text())["schema"] == "mcbench.result/1"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_no_number_that_is_none_reaches_a_file(value: float) -> None:
    with pytest.raises(ValidationError):
        MetricResult(value=value, videos=1)
    with pytest.raises(ValidationError):
        MetricResult(value=1.0, std_error=value, videos=1)


def test_a_null_value_needs_its_reason_and_a_value_has_none() -> None:
    with pytest.raises(ValidationError, match="either a value or a reason"):
        MetricResult(value=None, videos=1)
    with pytest.raises(ValidationError, match="either a value or a reason"):
        MetricResult(value=1.0, reason="why", videos=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema="mcbench.result/2"), "schema"),
        (lambda d: d["method"].update(colour="red"), "method.colour"),
        (lambda d: d["dataset"].update(fingerprint="abc"), "dataset.fingerprint"),
        (lambda d: d.pop("provenance"), "provenance"),
    ],
)
def test_faults_are_named(document: dict[str, Any], tmp_path: Path, change: Any, message: str) -> None:
    change(document)
    (tmp_path / "result.json").write_text(json.dumps(document))
    with pytest.raises(ResultError, match=message):
        read_result(tmp_path)


def test_torn_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no such result"):
        read_result(tmp_path)
    (tmp_path / "result.json").write_text('{"schema": "mcbench.res')
    with pytest.raises(ResultError, match="not a result of schema"):
        read_result(tmp_path)


def test_a_full_disk_keeps_the_old_result(
    document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = Result.model_validate(document)
    write_result(result, tmp_path / "result.json")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    document["method"]["name"] = "other"
    with pytest.raises(ResultError, match="No space left on device"):
        write_result(Result.model_validate(document), tmp_path / "result.json")
    assert read_result(tmp_path) == result
    assert len(list(tmp_path.iterdir())) == 1


def test_every_field_is_documented() -> None:
    """The schema is the documentation: a string stands under every field that is not itself a model."""
    import ast
    import inspect

    tree = ast.parse(inspect.getsource(results))
    for model in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        if not issubclass(getattr(results, model.name), BaseModel):
            continue
        for field, after in zip(model.body, [*model.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                is_model = ast.unparse(field.annotation) in vars(results)
                documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                assert is_model or documented, f"{model.name}.{field.target.id}"


def test_another_schema_is_named_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text('{"schema": "mcbench.result/9"}', encoding="utf-8")
    with pytest.raises(
        ResultError, match=r"schema mcbench\.result/9, this mcbench reads mcbench\.result/1; read it with"
    ):
        read_result(file)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "result.json")
    with pytest.raises(ResultError, match="no ordinary file"):
        read_result(tmp_path)


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "result.json").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ResultError, match="at most"):
        read_result(tmp_path)


def test_what_a_program_wrote_in_words() -> None:
    known = NativeOutput(size=(384, 256), container="mp4", fps=25.0, driver="densepose", commit="ab" * 20, dirty=True)
    assert known.told() == (
        "256 x 384 mp4 at 25 frames a second, driven by densepose, commit abababababab with uncommitted changes"
    )
    assert NativeOutput(container="png", driver="drawn poses").told() == "png, driven by drawn poses"
