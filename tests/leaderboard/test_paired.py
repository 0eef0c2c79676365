"""Paired tests between submissions."""

from __future__ import annotations

from mcbench.leaderboard import load, paired_tests, rank
from mcbench.protocol import PROTOCOLS
from mcbench.resources import data_folder
from mcbench.submissions import load_submission


def test_the_board_that_ships_is_marked() -> None:
    """Four clips can tell nobody apart, so that every row that competes and is not the best is marked."""
    ranked = rank(load(), paired_tests())
    mini = ranked[(ranked["dataset"] == "synthetic-mini") & ranked["rank"].notna()]
    assert len(mini)
    assert (mini["tied"] == (mini["rank"] > 1)).all()
    assert not ranked.loc[ranked["source"] == "paper", "tied"].any()


def test_every_feature_metric_of_a_submission_is_known_by_video() -> None:
    from mcbench.leaderboard import source_of

    for path in (data_folder("leaderboard") / "submissions").glob("*/*.json"):
        submission = load_submission(path)
        features = source_of(submission).features
        for id, protocol in submission.result.protocols.items():
            networks = {name for name, metric in protocol.metrics.items() if metric.backbone and name != "lpips"}
            assert set(features[id]) == networks & set(PROTOCOLS[id].metrics)
            for name, scores in features[id].items():
                assert scores.value == protocol.metrics[name].value
                assert (scores.left_out is None) == (scores.reason is not None)
                assert scores.left_out is None or len(scores.left_out) == len(scores.videos)
