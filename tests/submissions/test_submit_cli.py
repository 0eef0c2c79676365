"""`mcbench submit` and `mcbench verify` as they are typed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from submission_runs import weights_of, write_run

from mcbench.cli import submit, verify
from mcbench.errors import ResultError
from mcbench.submissions import badge_of, load_submission
from mcbench.submissions import verify as verify_file
from mcbench.submissions.reproducing import record, reproduce

Command = Callable[[str], tuple[int, str, str]]
Document = dict[str, Any]
PLACE = "leaderboard/submissions/synthetic-mini/my-method.json"


class TestSubmit:
    def test_it_writes_the_file_and_says_what_to_do_next(self, command: Command, tmp_path: Path) -> None:
        write_run(tmp_path / "run")
        code, out, error = command("submit run --authors 'Jane Doe' --authors 'John Roe' --license MIT --claim fid=3")
        assert code == 0
        submission = load_submission(tmp_path / PLACE)
        assert submission.authors == ("Jane Doe", "John Roe")
        assert submission.claims == {"disco-legacy@1": {"fid": 3.0}}
        assert PLACE in out
        assert "pull request" in out
        assert "claimed 3, measured" in error

    def test_json_is_the_file(self, command: Command, tmp_path: Path) -> None:
        write_run(tmp_path / "run")
        code, out, error = command("submit run --authors 'Jane Doe' --license none --out subs --json")
        assert (code, error) == (0, "")
        assert out == (tmp_path / "subs" / "synthetic-mini" / "my-method.json").read_text()

    def test_what_must_be_known_of_a_method_is_shown(self, command: Command, tmp_path: Path) -> None:
        run = write_run(tmp_path / "run")
        document = json.loads((run / "result.json").read_text())
        document["method"].update(note="never trained [bold]", needs_truth=True)
        (run / "result.json").write_text(json.dumps(document))
        code, out, _ = command("submit run --authors 'Jane Doe' --license none")
        assert code == 0
        assert "never trained [bold]" in out
        assert "my-method* on synthetic-mini" in out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("submit run", "give --authors NAME"),
            ("submit nowhere --authors A", "no such result"),
            ("submit run --authors '<b>'", "holds markup"),
            ("submit run --authors '=1+1'", "a name begins with a letter"),
            ("submit run --authors A --link http://example.org", "not a plain https address"),
            ("submit run --authors A --license 'do as you like!'", "not a licence"),
            ("submit run --authors A --claim fid", "give it as METRIC=NUMBER"),
            ("submit run --authors A --claim fid=nan", "give it as METRIC=NUMBER"),
            ("submit run --authors A --claim fidd=3", "did you mean 'fid'"),
            ("submit run --authors A --claim kvd=3", "disco-legacy@1 has no metric 'kvd'"),
            ("submit run --authors A --claim mcbench@2/fid=3", "no protocol is called 'mcbench@2'"),
            ("submit run --authors A --claim fid=3 --claim fid=4", "contradict each other"),
            ("verify nowhere.json", "no such submission"),
            ("verify submissions --predictions x", "name its file"),
            ("verify x.json --record 'John Roe'", "give the --predictions"),
            ("verify x.json --predictions p --record '<b>'", "--record <b>: "),
            ("verify x.json --workers 0", "at least 1"),
        ],
    )
    def test_one_line_exit_2_and_nothing_on_stdout(
        self, command: Command, tmp_path: Path, arguments: str, message: str
    ) -> None:
        write_run(tmp_path / "run")
        (tmp_path / "submissions").mkdir()
        code, out, error = command(arguments)
        assert (code, out) == (2, "")
        assert error.startswith("mcbench: error: ")
        assert error.count("\n") == 1
        assert message in error
        assert not (tmp_path / "leaderboard").exists()


class TestVerify:
    def test_a_good_one(self, command: Command, mini: Document, put: Callable[..., Path]) -> None:
        path = put(mini)
        code, out, error = command(f"verify {path}")
        assert (code, error) == (0, "")
        assert "1 submission keeps the rules" in out
        code, out, _ = command(f"verify {path.parent.parent} --json")
        assert (code, json.loads(out)) == (0, {"ok": True, "findings": []})

    def test_a_bad_one(self, command: Command, mini: Document, put: Callable[..., Path]) -> None:
        mini["authors"] = ["[red]\x1b[2J"]
        path = put(mini)
        code, out, error = command(f"verify {path}")
        assert (code, error) == (1, "")
        assert "\x1b[2J" not in out
        assert "U+001B" in out
        code, out, _ = command(f"verify {path} --json")
        document = json.loads(out)
        assert (code, document["ok"]) == (1, False)
        assert [set(item) for item in document["findings"]] == [{"code", "grade", "where", "evidence", "remedy"}]
        assert document["findings"][0]["code"] == "text"
        assert document["findings"][0]["where"] == f"{path}: authors.0"

    def test_nothing_is_measured_for_one_that_breaks_rules(
        self, command: Command, mini: Document, put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mini["clips"].pop()
        monkeypatch.setattr("mcbench.submissions.reproducing.score", lambda *_, **__: pytest.fail("measured"))
        code, _, error = command(f"verify {put(mini)} --predictions anywhere")
        assert code == 1
        assert "nothing was measured" in error

    def test_many_places_of_one_fault_are_cut_short(
        self, command: Command, mini: Document, put: Callable[..., Path]
    ) -> None:
        for stated in mini["result"]["protocols"]["mcbench@1"]["clips"].values():
            stated.update(ssim=2.0, l1=2.0)
        code, out, _ = command(f"verify {put(mini)}")
        assert code == 1
        assert "and 3 more; --json lists them all" in out


class TestReproduce:
    """Comparing, without the measuring: what would be measured anew is put in its place."""

    @pytest.fixture
    def anew(self, mini: Document, put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
        path = put(mini)
        submission = load_submission(path)

        def run(change: Callable[[Document], object]) -> Any:
            document = json.loads(json.dumps(mini["result"]))
            change(document)
            new = type(submission.result).model_validate(document)
            monkeypatch.setattr("mcbench.submissions.reproducing.load_dataset", lambda *_, **__: None)
            monkeypatch.setattr("mcbench.submissions.reproducing.score", lambda *_, **__: new)
            return reproduce(submission, Path("predictions"), path=path, out=Path("out"))

        return run

    def test_the_same_numbers(self, anew: Callable[..., Any]) -> None:
        done = anew(lambda document: None)
        assert (done.findings, done.largest, done.of) == ((), 0.0, "none")

    @pytest.mark.parametrize(("part", "codes"), [(0.9e-4, []), (1.1e-4, ["not-reproduced"])])
    @pytest.mark.parametrize("name", ["fvd", "psnr", "lpips"])
    def test_to_one_part_in_ten_thousand(
        self, anew: Callable[..., Any], name: str, part: float, codes: list[str]
    ) -> None:
        def change(document: Document) -> None:
            document["protocols"]["mcbench@1"]["metrics"][name]["value"] *= 1 + part

        done = anew(change)
        assert [item.code for item in done.findings] == codes
        assert done.largest == pytest.approx(part, rel=1e-3)
        assert done.of == f"mcbench@1 {name}"

    def test_a_kernel_distance_near_zero_is_held_against_its_terms(
        self, mini: Document, anew: Callable[..., Any]
    ) -> None:
        largest = max(map(abs, mini["left_out"]["mcbench@1"]["kid"]["values"].values()))

        def change(document: Document) -> None:
            document["protocols"]["mcbench@1"]["metrics"]["kid"]["value"] += 0.5e-4 * largest

        assert anew(change).findings == ()

    def test_one_clip_that_differs(self, anew: Callable[..., Any]) -> None:
        def change(document: Document) -> None:
            document["protocols"]["disco-legacy@1"]["clips"]["mini-02"]["ssim"] += 0.01

        (found,) = anew(change).findings
        assert (found.code, "clips.mini-02.ssim" in found.where) == ("not-reproduced", True)

    def test_other_frames(self, anew: Callable[..., Any]) -> None:
        done = anew(lambda document: document["predictions"].update(digest="0" * 64))
        assert [item.code for item in done.findings] == ["other-predictions"]
        done = anew(lambda document: document["dataset"].update(fingerprint="0" * 64))
        assert [item.code for item in done.findings] == ["other-truth"]

    def test_a_record_changes_nothing_else(
        self, mini: Document, put: Callable[..., Path], anew: Callable[..., Any]
    ) -> None:
        """Not even in a file from before a field was added, whose seal is over what it says."""
        del mini["result"]["method"]["note"]
        del mini["reproduced"]
        path = put(mini)
        done = replace(anew(lambda document: None), content_sha256=mini["content_sha256"])
        for by in ("John Roe", "Mary Major", "John Roe"):
            record(path, done, by)
        document = json.loads(path.read_text())
        assert [item["by"] for item in document.pop("reproduced")] == ["Mary Major", "John Roe"]
        assert document == mini
        assert verify_file(path).findings == ()
        assert badge_of(load_submission(path)) == "reproduced"

    def test_what_did_not_come_out_again_is_not_recorded(
        self, mini: Document, put: Callable[..., Path], anew: Callable[..., Any]
    ) -> None:
        path = put(mini)
        with pytest.raises(ResultError, match="did not come out again"):
            record(path, anew(lambda document: document["predictions"].update(digest="0" * 64)), "John Roe")
        mini["license"] = "MIT"
        done = anew(lambda document: None)
        put(mini)
        with pytest.raises(ResultError, match="it has changed meanwhile"):
            record(path, done, "John Roe")
        assert load_submission(path).reproduced == ()


class TestHelp:
    @pytest.mark.parametrize("verb", [submit, verify], ids=lambda verb: verb.NAME)
    def test_examples_run(self, command: Command, tmp_path: Path, verb: Any) -> None:
        code, out, _ = command(f"{verb.NAME} --help")
        examples = re.findall(r"^\s*\$ mcbench (.*?)\s*$", out, re.MULTILINE)
        assert code == 0
        assert examples == re.findall(r"^\$ mcbench (.*)$", verb.EXAMPLES, re.MULTILINE) != []
        write_run(tmp_path / "runs" / "copy-reference-synthetic-mini", "copy-reference")
        (tmp_path / "leaderboard" / "submissions").mkdir(parents=True)
        for line in examples:
            assert command(line)[0] == 0, line

    def test_nothing_heavy_is_loaded_to_check_a_file(self, mini: Document, put: Callable[..., Path]) -> None:
        code = "import sys; from mcbench.submissions import verify; from pathlib import Path; "
        code += f"assert verify(Path({str(put(mini))!r})).ok; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def right_sized_networks(fake_networks: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake networks, with the dimensions and the hashes that a submission must state."""
    from mcbench import features

    small = features.load_backbone
    dimensions = {"inception": 2048, "r3d50": 2048, "i3d": 400}

    def load(name: str, weights: str, device: str) -> Any:
        network: Any = small(name, weights, device)
        network.record = weights_of("random@1")[name]
        if name in dimensions:
            seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
            mix = torch.randn(network.dimension, dimensions[name], generator=torch.Generator().manual_seed(seed))
            inner = network.features
            network.dimension = dimensions[name]
            network.features = lambda batch: (inner(batch) / 100) @ mix
        return network

    monkeypatch.setattr("mcbench.features.record_of", lambda name, weights="published": weights_of("random@1")[name])
    monkeypatch.setattr("mcbench.features.load_backbone", load)


@pytest.mark.slow
@pytest.mark.usefixtures("right_sized_networks")
def test_from_a_run_to_a_reproduced_row(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it on the real frames of synthetic-mini: evaluated, submitted, verified, reproduced, and told apart."""
    from mcbench import evaluate

    monkeypatch.setattr("mcbench.evaluation.git_state", lambda: ("a" * 40, False))
    assert evaluate("copy-reference", "synthetic-mini", out=tmp_path / "run") is not None
    code, _, error = command("submit run --authors 'Jane Doe' --license none")
    assert (code, error) == (0, "")
    place = tmp_path / "leaderboard/submissions/synthetic-mini/copy-reference.json"
    code, out, error = command(f"verify {place} --predictions run/predictions --record 'John Roe'")
    assert code == 0
    assert "recorded as reproduced by John Roe" in error
    assert "reproduced: largest difference 0.0e+00" in out
    (again,) = load_submission(place).reproduced
    assert again.by == "John Roe"
    assert command(f"verify {place}")[0] == 0

    frame = tmp_path / "run/predictions/mini-01/00007.png"
    pixels = np.array(Image.open(frame))
    pixels[100:140, 100:140] = 0
    Image.fromarray(pixels).save(frame)
    code, out, _ = command(f"verify {place} --predictions run/predictions --out again --json")
    found = {item["code"] for item in json.loads(out)["findings"]}
    assert (code, found) == (1, {"other-predictions", "not-reproduced"})


@pytest.mark.slow
def test_a_quick_look_is_no_submission(command: Command, tmp_path: Path) -> None:
    """With the real networks: a run of a few frames is refused as partial, or before that for a changed checkout."""
    done = subprocess.run(
        [*(sys.executable, "-m", "mcbench", "eval", "--method", "copy-reference"), "--clips", "1", "--frames", "2"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
    )
    assert done.returncode == 0
    result = tmp_path / "runs" / "copy-reference-synthetic-mini" / "result.json"
    document = json.loads(result.read_text())
    document["provenance"].update(git_commit="a" * 40, git_dirty=False)
    result.write_text(json.dumps(document))
    code, out, error = command(f"submit {result.parent} --authors 'Jane Doe'")
    assert (code, out) == (2, "")
    assert "3 of 4 clips are missing" in error
