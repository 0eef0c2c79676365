"""The rules: a good submission keeps them all, and whoever touches one number breaks one."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mcbench.submissions import BOARDS, badge_of, find_board, load_submission, verify
from mcbench.submissions.findings import FAULTS
from mcbench.submissions.rules import EARLY, RULES
from mcbench.submissions.schema import content_digest
from mcbench.submissions.text import fault_of_link, fault_of_name, looks_like

Document = dict[str, Any]

# Numbers that nothing else in a submission follows from or depends on. What they are called is what they are.
FREE = ("seed", "seconds", "fps", "size", "split_half")


def codes_of(path: Path) -> list[str]:
    return [item.code for item in verify(path).findings]


def numbers_of(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, int | float):
        yield way
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield from numbers_of(part, (*way, key))


def keys_of(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(value, dict):
            yield (*way, key)
        yield from keys_of(part, (*way, key))


def moved(document: Document, way: tuple[Any, ...]) -> Document:
    """The document with one number moved by a hundredth, or by 1 where it counts."""
    changed = copy.deepcopy(document)
    part: Any = changed
    for key in way[:-1]:
        part = part[key]
    old = part[way[-1]]
    part[way[-1]] = old + 1 if isinstance(old, int) else old * 1.01 if old else 0.01
    return changed


class TestGood:
    def test_good_ones_keep_every_rule(self, mini: Document, tiktok: Document, put: Callable[..., Path]) -> None:
        assert codes_of(put(mini)) == codes_of(put(tiktok)) == []
        verdict = verify(put(mini).parent.parent)
        assert (verdict.ok, verdict.submissions, verdict.document()) == (True, 2, {"ok": True, "findings": []})
        assert verify(put(mini).parent) == verdict.of([], 1)

    def test_an_empty_folder_is_fine(self, tmp_path: Path) -> None:
        assert verify(tmp_path) == verify(tmp_path).of([], 0)

    def test_what_a_field_added_later_means_for_old_files(self, mini: Document, put: Callable[..., Path]) -> None:
        """A file that lacks a field with a default keeps its seal: that is over what the file says."""
        del mini["result"]["method"]["note"]
        del mini["reproduced"]
        assert codes_of(put(mini)) == []


class TestEveryNumber:
    def test_whoever_moves_one_number_is_found_out(self, tiktok: Document, put: Callable[..., Path]) -> None:
        ways = [way for way in numbers_of(tiktok) if not set(way) & set(FREE)]
        assert len(ways) > 300
        unnoticed = [way for way in ways if verify(put(moved(tiktok, way))).ok]
        assert unnoticed == []

    def test_without_a_new_seal_even_the_free_ones(self, tiktok: Document, put: Callable[..., Path]) -> None:
        for way in [way for way in numbers_of(tiktok) if set(way) & set(FREE)]:
            assert codes_of(put(moved(tiktok, way), seal=False))[0] == "content-hash"

    def test_on_four_clips_a_lone_distance_is_believed(self, mini: Document, put: Callable[..., Path]) -> None:
        """The limit of checking without predictions, stated in docs/submitting.md: no interval holds FVD here."""
        metric = mini["result"]["protocols"]["mcbench@1"]["metrics"]["fvd"]
        metric["value"] *= 0.9
        assert codes_of(put(mini)) == []
        mini["result"]["protocols"]["mcbench@1"]["metrics"]["kvd"]["value"] *= 0.9
        assert codes_of(put(mini)) == ["left-out"]

    def test_a_narrower_interval(self, tiktok: Document, put: Callable[..., Path]) -> None:
        for name, code in (("psnr", "spread"), ("fvd", "left-out")):
            changed = copy.deepcopy(tiktok)
            metric = changed["result"]["protocols"]["mcbench@1"]["metrics"][name]
            low, high = metric["interval"]
            metric["interval"] = [low + (high - low) / 10, high - (high - low) / 10]
            assert codes_of(put(changed)) == [code]

    def test_an_interval_that_is_left_out(self, tiktok: Document, put: Callable[..., Path]) -> None:
        metric = tiktok["result"]["protocols"]["mcbench@1"]["metrics"]["kid"]
        metric.update(std_error=None, interval=None, interval_reason="too ugly")
        assert codes_of(put(tiktok)) == ["left-out"]

    def test_values_that_are_left_out(self, tiktok: Document, put: Callable[..., Path]) -> None:
        tiktok["left_out"]["mcbench@1"]["fvd"] = {"values": None, "reason": "too long"}
        assert codes_of(put(tiktok)) == ["left-out"]

    @pytest.mark.parametrize("name", ["lpips", "kid", "kvd", "psnr"])
    def test_a_split_half_of_what_has_none(self, tiktok: Document, put: Callable[..., Path], name: str) -> None:
        tiktok["result"]["protocols"]["mcbench@1"]["metrics"][name]["split_half"] = 1.0
        assert codes_of(put(tiktok)) == ["networks"]

    def test_an_error_that_two_protocols_see_differently(self, tiktok: Document, put: Callable[..., Path]) -> None:
        """L1 doubled under one protocol, all that follows from it included."""
        own = tiktok["result"]["protocols"]["mcbench@1"]
        for scores in (*own["clips"].values(), own["metrics"]["l1"]):
            for key in ("l1", "value", "std_error"):
                if key in scores:
                    scores[key] *= 2
        own["metrics"]["l1"]["interval"] = [bound * 2 for bound in own["metrics"]["l1"]["interval"]]
        assert set(codes_of(put(tiktok))) == {"across-protocols"}


class TestEveryField:
    MAY_LACK = (
        *("version", "license", "links", "claims", "reproduced", "settings", "needs_truth", "conversions"),
        *("split_half", "numpy"),
    )

    def test_no_missing_field_is_a_crash(self, mini: Document, put: Callable[..., Path]) -> None:
        """Every key taken out, one at a time: it is found, or has a default that says nothing wrong."""
        path = put(mini)
        ways = list(keys_of(mini))
        assert len(ways) > 400
        for way in ways:
            changed = json.loads(json.dumps(mini))
            part: Any = changed
            for key in way[:-1]:
                part = part[key]
            may_lack = part.pop(way[-1]) in (None, [], {}) or way[-1] in self.MAY_LACK or way[-1].endswith("note")
            if "content_sha256" not in way:
                changed["content_sha256"] = content_digest(changed)
            path.write_text(json.dumps(changed), encoding="utf-8")
            assert verify(path).ok <= may_lack, way

    def test_no_null_is_a_crash(self, mini: Document, put: Callable[..., Path]) -> None:
        path = put(mini)
        for way in numbers_of(mini):
            changed = json.loads(json.dumps(mini))
            part: Any = changed
            for key in way[:-1]:
                part = part[key]
            part[way[-1]] = None
            changed["content_sha256"] = content_digest(changed)
            path.write_text(json.dumps(changed), encoding="utf-8")
            assert verify(path).ok <= (way[-1] in ("fps", "split_half")), way


class TestPlace:
    def test_another_folder_or_name(self, mini: Document, put: Callable[..., Path]) -> None:
        assert codes_of(put(mini, "synthetic/my-method")) == ["path"]
        assert codes_of(put(mini, "synthetic-mini/another")) == ["path"]

    def test_random_weights_have_no_board_on_footage(self, tiktok: Document, put: Callable[..., Path]) -> None:
        from submission_runs import weights_of

        for protocol in tiktok["result"]["protocols"].values():
            for metric in protocol["metrics"].values():
                if metric["backbone"]:
                    metric["weights"] = "random@1"
                    metric["weights_sha256"] = weights_of("random@1")[metric["backbone"]].sha256
        assert codes_of(put(tiktok)) == ["weights"]

    def test_a_split_of_ones_own(self, tiktok: Document, put: Callable[..., Path]) -> None:
        tiktok["result"]["dataset"]["version"] = "1/my-split"
        assert codes_of(put(tiktok)) == ["dataset-version"]

    def test_the_same_predictions_twice(self, mini: Document, put: Callable[..., Path]) -> None:
        put(mini)
        mini["result"]["method"]["name"] = "another"
        path = put(mini)
        assert codes_of(path) == ["duplicate"]
        assert sorted(codes_of(path.parent.parent)) == ["duplicate", "duplicate"]

    @pytest.mark.parametrize("name", ["my-meth0d", "mymethod", "rny-method"])
    def test_names_that_look_alike(self, mini: Document, put: Callable[..., Path], name: str) -> None:
        put(mini)
        mini["result"]["method"]["name"] = name
        assert "look-alike" in codes_of(put(mini))

    def test_rows_of_one_board_share_their_truth(self, tiktok: Document, put: Callable[..., Path]) -> None:
        put(tiktok)
        other = copy.deepcopy(tiktok)
        other["result"]["method"]["name"] = "another"
        other["result"]["protocols"]["mcbench@1"]["metrics"]["fvd"]["split_half"] *= 2
        assert set(codes_of(put(other))) == {"duplicate", "same-truth"}

    def test_a_broken_neighbour_does_not_break_its_neighbours(self, mini: Document, put: Callable[..., Path]) -> None:
        path = put(mini)
        (path.parent / "broken.json").write_text("{")
        assert codes_of(path) == []
        assert codes_of(path.parent.parent) == ["not-json"]


class TestPeople:
    @pytest.mark.parametrize(
        "name", ["Jane Doe", "J. R. Müller-O’Neill", "李伟", "山田 タロウ", "Анна Иванова", "김민수"]
    )
    def test_names_of_people(self, name: str) -> None:
        assert fault_of_name(name) is None

    @pytest.mark.parametrize(
        "link", ["https://example.org", "https://arxiv.org/abs/2406.03035", "https://a.io/b?c=d#e"]
    )
    def test_links(self, link: str) -> None:
        assert fault_of_link(link) is None

    def test_look_alikes(self) -> None:
        assert looks_like("d1sco-p1us") == looks_like("disco-plus")
        assert looks_like("mraa") != looks_like("fomm")

    def test_a_licence_that_nobody_names_is_a_warning(self, mini: Document, put: Callable[..., Path]) -> None:
        mini["license"] = None
        verdict = verify(put(mini))
        assert [(item.code, item.grade) for item in verdict.findings] == [("no-license", "warning")]
        assert verdict.ok

    def test_a_claim_outside_the_interval_is_a_warning(self, tiktok: Document, put: Callable[..., Path]) -> None:
        metric = tiktok["result"]["protocols"]["disco-legacy@1"]["metrics"]["fid"]
        tiktok["claims"] = {"disco-legacy@1": {"fid": metric["interval"][1]}}
        assert codes_of(put(tiktok)) == []
        tiktok["claims"] = {"disco-legacy@1": {"fid": metric["value"] / 2}}
        verdict = verify(put(tiktok))
        assert [item.code for item in verdict.findings] == ["claim-differs"]
        assert verdict.ok

    def test_the_truth_says_that_it_is(self, mini: Document, put: Callable[..., Path]) -> None:
        from mcbench.submissions.schema import ClipRecord, predictions_digest

        mini["clips"][2]["prediction"] = mini["clips"][2]["truth"]
        records = [ClipRecord(**clip) for clip in mini["clips"]]
        mini["result"]["predictions"]["digest"] = predictions_digest(records)
        assert codes_of(put(mini)) == ["truth-copied"]
        mini["result"]["method"]["needs_truth"] = True
        assert codes_of(put(mini)) == []


class TestBadge:
    def test_claimed_until_somebody_reproduces_this_very_content(
        self, mini: Document, put: Callable[..., Path]
    ) -> None:
        path = put(mini)
        assert badge_of(load_submission(path)) == "claimed"
        record = {
            "by": "John Roe",
            "date": "2026-01-03",
            "mcbench": "0.1.0",
            "device": "cpu",
            "largest_difference": 1e-9,
            "content_sha256": mini["content_sha256"],
        }
        mini["reproduced"] = [record]
        path = put(mini, seal=False)
        assert codes_of(path) == []
        assert badge_of(load_submission(path)) == "reproduced"
        mini["license"] = "MIT"
        path = put(mini)
        assert codes_of(path) == ["reproduced"]
        assert badge_of(load_submission(path)) == "claimed"
        mini["reproduced"] = [{**record, "content_sha256": mini["content_sha256"], "by": "Jane Doe"}]
        assert codes_of(put(mini)) == ["reproduced-by-author"]


class TestRegistry:
    def test_every_rule_has_its_fault_and_its_reason(self) -> None:
        assert set(RULES) <= set(FAULTS)
        assert set(EARLY) <= set(RULES)
        for rule in RULES.values():
            assert rule.__doc__
        of_files = {"stray-file", "not-a-file", "too-large", "encoding", "not-json", "duplicate-key", "not-finite"}
        of_files |= {"huge-number", "nesting", "text", "schema"}
        anew = {"other-predictions", "other-truth", "not-reproduced"}
        assert set(FAULTS) == set(RULES) | of_files | anew

    def test_boards_are_the_shipped_data_sets(self) -> None:
        assert set(BOARDS) == {
            *("synthetic", "synthetic-mini", "synthetic-misaligned", "tiktok", "ted-talks", "multi-character")
        }
        for name in BOARDS:
            board = find_board(name)
            assert board is not None
            assert board.is_synthetic == (board.fingerprint is not None) == name.startswith("synthetic")
        assert find_board("custom") is None

    def test_every_field_of_the_schema_is_documented(self) -> None:
        import ast
        import inspect

        from mcbench.submissions import schema

        tree = ast.parse(inspect.getsource(schema))
        models = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name != "_Record"]
        assert {"Submission", "ClipRecord", "LeftOut", "Reproduction"} <= {model.name for model in models}
        for model in models:
            for field, after in zip(model.body, [*model.body[1:], None], strict=True):
                if isinstance(field, ast.AnnAssign):
                    assert isinstance(after, ast.Expr), f"{model.name}.{ast.unparse(field.target)}"
                    assert isinstance(after.value, ast.Constant)


def test_an_old_file_stays_readable() -> None:
    """Written under the first version of both schemas; it is never regenerated."""
    submission = load_submission(Path(__file__).parent / "data" / "synthetic-mini" / "first-schema.json")
    assert submission.schema_ == "mcbench.submission/1"
    assert submission.result.schema_ == "mcbench.result/1"
    assert math.isclose(submission.result.protocols["mcbench@1"].metrics["psnr"].value or 0, 19.7742421684045)
    assert verify(Path(__file__).parent / "data").ok


def test_what_is_on_the_leaderboard_keeps_the_rules() -> None:
    """The check of a pull request: the same rules, over everything that would ship."""
    from mcbench.resources import data_folder

    verdict = verify(data_folder("leaderboard") / "submissions")
    assert verdict.ok, json.dumps(verdict.document(), indent=2)
