"""Claims about splits from the search to an exported network, in processes as a user runs them."""

import json
import re
from pathlib import Path

import pytest

from hw2tune.records.environment import runs
from hw2tune.records.layout import StudyFolder
from tests.end_to_end.test_study import STUDY, finish, start

pytestmark = pytest.mark.ray

SPLITS = (
    STUDY.replace('"tiny"', '"parts"').replace("trials = 6", "trials = 2").replace("max_epochs = 4", "max_epochs = 1")
    + '[[claims]]\na = "l2"\nb = "baseline"\n'
)  # of the two references, which are its trials, so that there is no race


def test_a_claim_is_made_on_two_splits_priced_and_its_networks_say_their_split(tmp_path: Path) -> None:
    (tmp_path / "parts.toml").write_text(SPLITS)

    def run(*arguments: str) -> str:
        code, out, err = finish(start(*arguments, cwd=tmp_path))
        assert code == 0, err
        return out

    run("study", "parts.toml")
    [study] = json.loads(run("summarize", "parts", "--splits", "2", "--replicates", "1", "--json"))["studies"]
    [claim] = study["claims"]
    assert (claim["unit"], claim["n"], claim["seeds"]) == ("split", 2, [3001, 3021])
    assert "2 splits" in claim["sentence"]
    assert {(one["variant"], one["seed"]) for one in study["replicates"]} == {
        (variant, seed) for variant in ("l2", "baseline") for seed in (3001, 3021)
    }
    drawn = runs(StudyFolder(tmp_path / "ray_results" / "parts"))[-1]
    checksums = {one["split_checksum"] for one in drawn["replicates"]["splits"]} | {drawn["data"]["split_checksum"]}
    assert len(checksums) == 3, "two splits, and the study's own"

    planned = run("summarize", "parts", "--plan", "--splits", "3", "--replicates", "1")
    assert re.search(r"^3 +2 ", planned, re.MULTILINE), "the third split of both sides is left to train"
    run("export", "parts", "--variant", "l2", "--seed", "3021", "--to", "l2.safetensors")
    card = (tmp_path / "l2.safetensors.md").read_text()
    assert "| seed of the split | 2 |" in card and "test accuracy of l2, mean of 2 splits x 1 seed" in card
