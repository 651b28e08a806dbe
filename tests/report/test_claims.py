from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw2tune.inference.verdicts import BETTER, SINGLE_RUN, THE_SAME, UNDECIDED, WORSE, Rule
from hw2tune.records.arrays import Array, npz
from hw2tune.records.evaluation import Evaluation
from hw2tune.records.replicates import Candidate, Replicate
from hw2tune.report.claims import CAVEAT, MISSING, REFUSED, SAME, ClaimResult, claims, rule_of
from hw2tune.report.configurations import params_of
from hw2tune.report.selection import optimism, overtaken, race_sentence
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.study.hyperparameters import Value
from tests.report.fake_study import write_fake_study

BASELINE: dict[str, Value] = {"learning_rate": 0.001, "batch_size": 100, "optimizer": "adam", "weight_decay": 0.0}
CONFIGURATIONS: dict[str, dict[str, Value]] = {
    "baseline": BASELINE,
    "l2": BASELINE | {"weight_decay": 1e-4},
    "tuned": {"learning_rate": 0.004, "batch_size": 64, "optimizer": "adamw", "weight_decay": 0.002},
    "tuned-no-l2": {"learning_rate": 0.004, "batch_size": 64, "optimizer": "adamw", "weight_decay": 0.0},
}


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return read_study_data(write_fake_study(tmp_path_factory.mktemp("results"), seeds=3))


IMAGES = 10_000  # so a difference of half a point is worth something
LABELS = np.arange(IMAGES, dtype=np.int64) % 10


def replicate(variant: str, seed: int, accuracy: float | None, *, overlaps: bool = False) -> Replicate:
    at = accuracy and Evaluation(
        split="test", epoch=4, loss=0.3, accuracy=accuracy, correct=0, total=IMAGES, overlaps_training=overlaps
    )
    return Replicate(
        study="fake",
        variant=variant,
        seed=seed,
        params=CONFIGURATIONS[variant],
        model="mnist_cnn",
        loss="cross_entropy",
        state="complete" if at else "diverged",
        reason="",
        epochs=[],
        chosen=at or None,
        last=at or None,
        seconds=1.0,
        key="",
    )


def predictions(accuracy: float) -> dict[str, Array]:
    """So many right ones from the first image on: two replicates differ in as few images as they can."""
    predicted = np.where(np.arange(IMAGES) < round(accuracy * IMAGES), LABELS, 9 - LABELS)
    return {"labels": LABELS, "predicted": predicted, "confidence": np.ones(IMAGES)}


def with_accuracies(fake: StudyData, asked: int | str | None = None, **accuracies: list[float | None]) -> StudyData:
    """The study with these replicates, of as many seeds as were asked for unless `asked` is another number."""
    found = [
        replicate(variant.replace("_", "-"), seed, accuracy)
        for variant, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]
    n = asked or max(map(len, accuracies.values()))
    known = {(one.variant, one.seed): predictions(one.chosen.accuracy) for one in found if one.chosen}
    return replace(fake, replicates=found, environment=[run("2026-01-05", n)], _predictions=known)


def run(day: str, asked: int | str, claims: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The entry of a run of replicates."""
    seeds = list(range(asked if isinstance(asked, int) else 20))
    entry = {"started": f"{day}T10:00:00+00:00", "seeds": {"replicates": seeds}, "replicates": {"asked": asked}}
    return entry if claims is None else entry | {"study": {"claims": claims}}


def of_pair(data: StudyData, variant: str, against: str) -> ClaimResult:
    return next(claim for claim in claims(data) if (claim.variant, claim.against) == (variant, against))


def test_an_undecided_claim_says_how_many_seeds_would_show_what_is_worth_it(fake: StudyData) -> None:
    # Differences in points 1.3, -1.1, 0.9, -0.8, 0.2: mean 0.1, squares of deviations 1.44 + 1.44 + 0.64 + 0.81 + 0.01
    # = 4.34, sd 1.0416; t(1 - 0.05 / 6, 4) = 3.961, so half the interval over seeds is 3.961 * 1.0416 / sqrt(5), 1.845.
    l2: list[float | None] = [0.913, 0.889, 0.909, 0.892, 0.902]
    claim = of_pair(with_accuracies(fake, baseline=[0.9] * 5, l2=l2), "l2", "baseline")
    assert claim.verdict == UNDECIDED
    assert claim.sentence == (
        "Undecided: L2 1e-4 changes test accuracy by +0.10 points (95 % interval -1.75 to +1.95, n = 5). Detecting "
        "a true difference of 0.5 points would take about 97 seeds."
    )
    assert claim.result is not None and claim.result.seeds_interval is not None
    assert claim.result.seeds_interval[1] == pytest.approx(0.001 + 0.01845, abs=2e-5)


def test_seeds_that_a_side_has_for_other_claims_are_no_omission_if_as_many_were_asked_for_as_it_takes(
    fake: StudyData,
) -> None:
    l2: list[float | None] = [0.913, 0.889, 0.909, 0.892, 0.902]
    for asked, omitted in (("auto", False), (7, True)):
        claim = of_pair(with_accuracies(fake, asked, baseline=[0.9] * 7, l2=l2), "l2", "baseline")
        assert claim.evidence is not None and len(claim.evidence.seeds) == 5
        assert ("Omitted: l2 has no replicate on seeds 5 to 6." in claim.sentence) == omitted


def test_better_is_told_first_and_the_winner_last(fake: StudyData) -> None:
    tuned: list[float | None] = [0.921, 0.919, 0.920, 0.922, 0.918]
    claim = of_pair(with_accuracies(fake, baseline=[0.9] * 5, tuned=tuned), "tuned", "baseline")
    assert claim.verdict == BETTER
    assert claim.sentence == (
        "Better: tuning raises test accuracy by 2.00 points (95 % interval +1.57 to +2.43, n = 5). Winner: adamw, "
        "learning rate 0.004, batch size 64, decoupled weight decay 0.002."
    )


def test_weight_decay_in_the_tuned_configuration_is_called_what_the_optimizer_makes_of_it(fake: StudyData) -> None:
    data = with_accuracies(fake, tuned=[0.90, 0.90, 0.90, 0.90], tuned_no_l2=[0.928, 0.930, 0.932, 0.930])
    claim = of_pair(data, "tuned", "tuned-no-l2")
    assert claim.verdict == WORSE
    assert claim.sentence.startswith(
        "Worse: in the tuned configuration, decoupled weight decay 0.002 lowers test accuracy by 3.00 points"
    )


def test_a_difference_that_does_not_matter_is_the_same_within_its_worth(fake: StudyData) -> None:
    l2: list[float | None] = [0.9002, 0.8999, 0.9001, 0.8998, 0.9, 0.9001]
    claim = of_pair(with_accuracies(fake, baseline=[0.9] * 6, l2=l2), "l2", "baseline")
    assert claim.verdict == THE_SAME
    assert claim.sentence.startswith("The same within 0.5 points: L2 1e-4 changes test accuracy by +0.002 points (95 %")


def test_better_by_less_than_the_worth_says_both(fake: StudyData) -> None:
    l2: list[float | None] = [0.9021, 0.9019, 0.9020, 0.9022, 0.9018, 0.9020]
    claim = of_pair(with_accuracies(fake, baseline=[0.9] * 6, l2=l2), "l2", "baseline")
    assert claim.result is not None and claim.result.within
    assert claim.sentence.startswith("Better by less than 0.5 points: L2 1e-4 raises test accuracy by 0.20 points")


def test_a_verdict_of_two_statements_is_decided_with_the_later_one(fake: StudyData) -> None:
    l2: list[float | None] = [0.9 + 0.0001 * step for step in (33, 27, 36, 24, 34, 26, 33, 27, 31, 29, 30, 31)]
    claim = of_pair(with_accuracies(fake, "auto", baseline=[0.9] * 12, l2=l2), "l2", "baseline")
    assert claim.result is not None and (claim.result.reached, claim.result.same_reached) == (6, 7)
    assert claim.sentence.startswith("Better by less than 0.5 points: ") and "decided at n = 7)" in claim.sentence


def test_a_worth_of_the_study_file_is_in_points(fake: StudyData) -> None:
    l2: list[float | None] = [0.9002, 0.8999, 0.9001, 0.8998, 0.9, 0.9001]
    data = with_accuracies(fake, baseline=[0.9] * 6, l2=l2)
    worth = [one.model_copy(update={"worth": 0.01}) for one in fake.overview.study.claims]
    study = fake.overview.study.model_copy(update={"claims": worth})
    claim = of_pair(replace(data, overview=replace(fake.overview, study=study)), "l2", "baseline")
    assert claim.evidence is not None and claim.evidence.worth == pytest.approx(0.0001)
    assert claim.verdict == UNDECIDED


def test_with_auto_the_verdict_holds_at_any_look_and_says_when_it_was_reached(fake: StudyData) -> None:
    tuned: list[float | None] = [0.921, 0.919, 0.920, 0.922, 0.918, 0.920, 0.921, 0.919]
    data = with_accuracies(fake, "auto", baseline=[0.9] * 8, tuned=tuned)
    claim = of_pair(data, "tuned", "baseline")
    assert claim.result is not None and claim.result.reached == 6 and claim.result.p is None
    assert "n = 8; decided at n = 6)" in claim.sentence
    few = with_accuracies(fake, "auto", baseline=[0.9] * 4, tuned=tuned[:4])
    assert "by +2.05 points (n = 4, no interval yet)" in of_pair(few, "tuned", "baseline").sentence


def test_predictions_that_are_missing_after_a_verdict_leave_it_and_are_told(fake: StudyData) -> None:
    tuned: list[float | None] = [0.921, 0.919, 0.920, 0.922, 0.918, 0.920, 0.921, 0.919]
    data = with_accuracies(fake, "auto", baseline=[0.9] * 8, tuned=tuned)
    data._predictions["tuned", 6] = None
    claim = of_pair(data, "tuned", "baseline")
    assert claim.verdict == BETTER and "n = 8; decided at n = 6)" in claim.sentence
    assert "Predictions are missing, so other test images cannot be accounted for." in claim.sentence
    data._predictions["tuned", 4] = None
    assert of_pair(data, "tuned", "baseline").verdict == UNDECIDED


def test_where_so_many_seeds_would_show_the_worth_no_smaller_number_is_called_needed(fake: StudyData) -> None:
    l2: list[float | None] = [0.9 + 0.001 * (2.5 + step) for step in (-4, 4, -3.5, 3.5, -3, 3, -4, 4)] * 3
    claim = of_pair(with_accuracies(fake, "auto", baseline=[0.9] * 24, l2=l2), "l2", "baseline")
    assert claim.verdict == UNDECIDED and claim.needed is not None and claim.needed[0] <= 24
    assert claim.sentence.endswith(
        "n = 24). 24 seeds would detect a true difference of 0.5 points; a smaller one takes more."
    )


def test_a_number_of_seeds_that_changed_is_judged_as_one_that_was_looked_at(fake: StudyData) -> None:
    data = with_accuracies(fake, baseline=[0.9] * 5, l2=[0.92, 0.921, 0.919, 0.92, 0.922])
    assert rule_of(data) == Rule(claims=3, fixed=5)
    later = replace(data, environment=[run("2026-01-05", 3), run("2026-01-06", 5)])
    assert rule_of(later) == Rule(claims=3, fixed=None)
    assert of_pair(later, "l2", "baseline").verdict == UNDECIDED


def test_before_all_seeds_are_trained_the_sentence_says_how_many_were_asked_for(fake: StudyData) -> None:
    data = with_accuracies(fake, 7, baseline=[0.9] * 4, l2=[0.92, 0.921, 0.919, 0.92])
    assert of_pair(data, "l2", "baseline").sentence.endswith("The verdict comes at the 7 seeds that were asked for.")


def test_claims_of_earlier_runs_count_and_later_ones_end_the_fixed_number(fake: StudyData) -> None:
    study = [one.model_dump(mode="json") for one in fake.overview.study.claims]
    data = with_accuracies(fake, baseline=[0.9] * 5)
    dropped = {"a": {"of": "l2"}, "b": {"of": "tuned"}}
    assert rule_of(replace(data, environment=[run("2026-01-05", 5, [*study, dropped])])) == Rule(claims=4, fixed=5)
    assert rule_of(replace(data, environment=[run("2026-01-05", 5, study[:1])])) == Rule(claims=3, fixed=None)


def test_a_side_that_diverges_more_often_is_not_better(fake: StudyData) -> None:
    tuned: list[float | None] = [0.921, 0.919, None, 0.920, 0.922, 0.918]
    claim = of_pair(with_accuracies(fake, baseline=[0.9] * 6, tuned=tuned), "tuned", "baseline")
    assert (claim.verdict, claim.evidence and claim.evidence.seeds) == (UNDECIDED, (0, 1, 3, 4, 5))
    assert "n = 5). tuned diverged or collapsed on 1 of 6 seeds, baseline on none. A side that fails" in claim.sentence
    worse = of_pair(with_accuracies(fake, baseline=[0.94] * 6, tuned=tuned), "tuned", "baseline")
    assert worse.verdict == WORSE


def test_a_claim_has_the_subject_that_its_study_file_gives(fake: StudyData) -> None:
    study = fake.overview.study
    own = [study.claims[0].model_copy(update={"sentence": "a little L2"}), *study.claims[1:]]
    data = replace(fake, overview=replace(fake.overview, study=study.model_copy(update={"claims": own})))
    assert claims(data)[0].sentence.split(": ")[1].startswith("a little L2 ")


def test_a_reference_that_is_the_tuned_configuration_is_named(fake: StudyData) -> None:
    data = with_accuracies(fake, baseline=[0.9], tuned=[0.92])
    won = [replace(one, params=CONFIGURATIONS["l2"]) if one.variant == "tuned" else one for one in data.replicates]
    claim = of_pair(replace(data, replicates=won), "tuned", "baseline")
    assert claim.sentence.endswith("Winner: the reference l2, adam, learning rate 0.001, batch size 100, L2 1e-4.")


def test_what_only_one_side_sets_makes_a_difference(fake: StudyData) -> None:
    data = with_accuracies(fake, baseline=[0.9], l2=[0.92])
    params = CONFIGURATIONS["l2"] | {"dropout": 0.5}
    own = [replace(one, params=params) if one.variant == "l2" else one for one in data.replicates]
    claim = of_pair(replace(data, replicates=own), "l2", "baseline")
    assert ": l2 (adam, " in claim.sentence and "against baseline (adam, " in claim.sentence


def test_a_change_of_the_winner_is_one_of_what_was_trained_not_of_the_race(fake: StudyData) -> None:
    data = race_won_by(fake, CONFIGURATIONS["baseline"])
    trained = replicate("tuned", 0, 0.9)
    assert params_of(replace(data, replicates=[trained]), "tuned-no-l2") == CONFIGURATIONS["tuned-no-l2"]


def test_one_replicate_is_called_a_single_run(fake: StudyData) -> None:
    claim = of_pair(with_accuracies(fake, baseline=[0.9], l2=[0.912]), "l2", "baseline")
    assert claim.verdict == SINGLE_RUN
    assert claim.sentence == "Single run: L2 1e-4 changes test accuracy by +1.20 points on one replicate."


def test_the_same_difference_on_every_seed_is_no_proof(fake: StudyData) -> None:
    claim = of_pair(with_accuracies(fake, baseline=[0.90, 0.92], l2=[0.91, 0.93]), "l2", "baseline")
    assert claim.verdict == UNDECIDED
    assert "+1.00 points on each of 2 seeds. Equal differences show no spread" in claim.sentence


def test_a_change_without_any_effect_is_no_proof_of_sameness_and_is_named(fake: StudyData) -> None:
    claim = of_pair(with_accuracies(fake, baseline=[0.90, 0.92], l2=[0.90, 0.92]), "l2", "baseline")
    assert claim.verdict == UNDECIDED
    assert claim.sentence.endswith(
        "on each of 2 seeds. Both sides have the same result on each test image, as one configuration trained twice "
        "has: check that the change takes effect."
    )


def test_a_variant_that_diverged_on_every_seed_has_no_claim(fake: StudyData) -> None:
    data = with_accuracies(fake, baseline=[0.9, 0.9], l2=[0.9, 0.9], tuned=[None, None])
    claim = of_pair(data, "tuned", "baseline")
    assert (claim.verdict, claim.result) == (MISSING, None)
    assert claim.sentence == "tuned against baseline: nothing to compare, tuned diverged on every seed."


def test_every_way_in_which_a_variant_ended_is_told(fake: StudyData) -> None:
    data = with_accuracies(fake, baseline=[0.9, 0.9], tuned=[None, None])
    ends = [replace(one, state="failed") if one.chosen is None and one.seed else one for one in data.replicates]
    claim = of_pair(replace(data, replicates=ends), "tuned", "baseline")
    assert claim.sentence == "tuned against baseline: nothing to compare, tuned diverged or failed on every seed."


def test_a_variant_without_replicates_has_no_claim(fake: StudyData) -> None:
    claim = of_pair(with_accuracies(fake, baseline=[0.9]), "l2", "baseline")
    assert claim.sentence == "l2 against baseline: nothing to compare, l2 has no replicates."


def test_variants_on_different_seeds_have_no_claim(fake: StudyData) -> None:
    claim = of_pair(with_accuracies(fake, baseline=[0.9, None], l2=[None, 0.9]), "l2", "baseline")
    assert claim.sentence == "l2 against baseline: nothing to compare, no seed was finished by both."


def test_without_replicates_every_claim_says_so(fake: StudyData) -> None:
    for claim in claims(replace(fake, replicates=[], race=None)):
        assert claim.verdict == MISSING
        assert claim.sentence.endswith("nothing to compare, there are no replicates.")


def test_figures_from_training_images_are_refused_under_a_caveat(fake: StudyData) -> None:
    data = replace(fake, replicates=[replicate("baseline", 0, 0.9), replicate("l2", 0, 0.95, overlaps=True)])
    claim = of_pair(data, "l2", "baseline")
    assert (claim.verdict, claim.caveat, claim.result) == (REFUSED, CAVEAT, None)
    assert claim.sentence == "l2 against baseline: no claim, as accuracies were evaluated on the training images."


def test_a_reproduction_on_training_images_is_refused_though_no_epoch_was_chosen(fake: StudyData) -> None:
    published = [replace(replicate(v, 0, 0.9, overlaps=True), chosen=None) for v in ("baseline", "l2")]
    assert of_pair(replace(fake, replicates=published), "l2", "baseline").verdict == REFUSED


def test_replicates_that_no_validation_judged_have_no_claim(fake: StudyData) -> None:
    published = [replace(replicate(v, 0, 0.9), chosen=None) for v in ("baseline", "l2")]
    claim = of_pair(replace(fake, replicates=published), "l2", "baseline")
    assert claim.verdict == MISSING
    assert "baseline has no epoch that validation chose on its only seed" in claim.sentence


def race_won_by(fake: StudyData, params: dict[str, Value]) -> StudyData:
    assert fake.race is not None
    candidate = Candidate(trial=0, params=params, search_value=0.9, values=[0.9])
    return replace(fake, replicates=[], race=replace(fake.race, candidates=[candidate], winner=0, seeds=[0]))


def test_a_winner_without_weight_decay_is_its_own_counterpart(fake: StudyData) -> None:
    claim = of_pair(race_won_by(fake, CONFIGURATIONS["tuned-no-l2"]), "tuned", "tuned-no-l2")
    assert claim.verdict == SAME
    assert claim.sentence == (
        "The tuned configuration has no weight decay: tuned and tuned-no-l2 are the same configuration."
    )


def test_a_baseline_that_wins_is_called_by_its_name(fake: StudyData) -> None:
    without = {name: value for name, value in BASELINE.items() if name != "weight_decay"}  # absent is 0
    claim = of_pair(race_won_by(fake, without), "tuned", "baseline")
    assert claim.verdict == SAME
    assert claim.sentence == "The winner of the search is baseline itself: tuning changed nothing."


def test_what_changed_is_told_of_the_median_seed(fake: StudyData) -> None:
    claim = of_pair(fake, "tuned", "baseline")
    first, second = fake.arrays("tuned", claim.median_seed or 0), fake.arrays("baseline", claim.median_seed or 0)
    assert first is not None
    assert second is not None
    pairs = list(zip(first["predicted"] == first["labels"], second["predicted"] == second["labels"], strict=True))
    fixed, broken = pairs.count((True, False)), pairs.count((False, True))
    assert (claim.fixed, claim.broken) == (fixed, broken)
    assert f"fixed {fixed} images that baseline got wrong and broke {broken}" in claim.detail
    accuracies = [{r.seed: r.chosen.accuracy for r in fake.of(v) if r.chosen} for v in ("tuned", "baseline")]
    differences = sorted(accuracies[0][seed] - accuracies[1][seed] for seed in (0, 1, 2))
    assert accuracies[0][claim.median_seed] - accuracies[1][claim.median_seed] == differences[1]  # type: ignore[index]


def test_the_median_seed_is_that_of_the_differences(fake: StudyData) -> None:
    claim = of_pair(with_accuracies(fake, baseline=[0.90, 0.94, 0.90], l2=[0.92, 0.95, 0.93]), "l2", "baseline")
    assert claim.median_seed == 0  # differences 0.02, 0.01, 0.03


def test_missing_predictions_are_told(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path, seeds=1)
    (folder.root / "replicates" / "l2" / "0" / "arrays.npz").unlink()
    claim = of_pair(read_study_data(folder), "l2", "baseline")
    assert claim.fixed is None
    assert claim.detail.startswith("l2 against baseline: the predictions on the median seed are missing")
    assert claim.result is not None and claim.verdict == SINGLE_RUN


def test_predictions_on_different_test_images_are_not_paired(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path, seeds=1)
    path = folder.root / "replicates" / "l2" / "0" / "arrays.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    path.write_bytes(npz(arrays | {"labels": arrays["labels"][::-1]}))
    assert of_pair(read_study_data(folder), "l2", "baseline").fixed is None


@pytest.mark.parametrize("name", ["labels", "predicted", "confidence"])
def test_predictions_of_fewer_images_are_not_paired(tmp_path: Path, name: str) -> None:
    folder = write_fake_study(tmp_path, seeds=1)
    path = folder.root / "replicates" / "l2" / "0" / "arrays.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    path.write_bytes(npz(arrays | {name: arrays[name][:-1]}))
    assert of_pair(read_study_data(folder), "l2", "baseline").fixed is None


def test_the_race_names_who_was_overtaken(fake: StudyData) -> None:
    assert race_sentence(fake) == (
        "Trial #3 overtook #2, better in the search but not over 3 seeds: #2 93.00 % in the search, 91.00 % on average "
        "in the race; #3 92.00 % in the search, 92.00 % on average in the race."
    )


def test_a_race_whose_record_lacks_its_winner_is_none(fake: StudyData) -> None:
    assert fake.race is not None
    lacking = replace(fake, race=replace(fake.race, winner=99))
    assert race_sentence(lacking).startswith("There was no race") and overtaken(replace(fake.race, winner=99)) == []


def test_the_race_names_a_leader_that_stayed_ahead_and_who_diverged(fake: StudyData) -> None:
    assert fake.race is not None
    first, second = fake.race.candidates
    race = replace(fake.race, winner=2, candidates=[first, replace(second, values=[None, 0.9, None])])
    told = race_sentence(replace(fake, race=race))
    assert told.startswith("Trial #2 led the search and stayed ahead over 3 seeds:")
    assert told.endswith("#3 92.00 % in the search, 90.00 % on average in the race, diverged on 2 of 3 seeds.")


def test_a_finalists_probability_of_being_best_is_said(fake: StudyData) -> None:
    assert fake.race is not None
    first, second = fake.race.candidates
    entered = [replace(first, values=[0.91], probability=0.08), replace(second, probability=0.92)]
    told = race_sentence(replace(fake, race=replace(fake.race, candidates=entered)))
    assert "#2 93.00 % in the search, 91.00 % on average in the race, best with probability 0.08; " in told
    assert told.endswith("#3 92.00 % in the search, 92.00 % on average in the race, best with probability 0.92.")


def test_without_a_race_the_sentence_says_so(fake: StudyData) -> None:
    assert race_sentence(replace(fake, race=None)).startswith("There was no race")


def test_optimism_is_the_drop_of_the_leader_and_the_winners_validation_minus_test(fake: StudyData) -> None:
    assert fake.race is not None
    leader = Candidate(trial=2, params={}, search_value=0.96, values=[0.92, 0.93, 0.94])
    winner = Candidate(trial=3, params={}, search_value=0.95, values=[0.93, 0.94, None])
    data = with_accuracies(fake, tuned=[0.92, 0.93])
    found = optimism(replace(data, race=replace(fake.race, candidates=[leader, winner])))
    assert found is not None
    assert (found.leader, found.trial) == (2, 3)
    assert found.leader_drop == pytest.approx(-0.03)
    assert found.validation_minus_test == pytest.approx(0.01)
    assert found.sentence == (
        "Of 9 trials with a value, #2 led the search with 96.00 % validation accuracy; on 3 fresh seeds it has 93.00 % "
        "on average (-3.00 points). The winner, #3, has 93.50 % on validation over the 2 seeds of the race and 92.50 % "
        "on the test images (n = 2): validation minus test is +1.00 points."
    )


def test_a_leader_that_was_pruned_has_no_drop_as_more_than_its_seed_differs(fake: StudyData) -> None:
    assert fake.race is not None
    rows = [replace(row, state="pruned", epochs=1) if row.number == 2 else row for row in fake.overview.rows]
    data = replace(fake, replicates=[], overview=replace(fake.overview, rows=rows))
    found = optimism(data)
    assert found is not None and (found.leader, found.leader_pruned_at, found.leader_drop) == (2, 1, None)
    assert found.sentence.startswith(
        "Of 9 trials with a value, #2 led the search with 93.00 % validation accuracy (pruned at epoch 1); trained to "
        "the end on 3 fresh seeds, it has 91.00 % on average. The winner"
    )
    assert "#2 93.00 % in the search (pruned at epoch 1), 91.00 % on average in the race" in race_sentence(data)


def test_a_leader_that_diverged_in_the_race_has_no_drop(fake: StudyData) -> None:
    assert fake.race is not None
    leader = Candidate(trial=2, params={}, search_value=0.96, values=[None, None, None])
    race = replace(fake.race, candidates=[leader, fake.race.candidates[1]])
    found = optimism(replace(fake, replicates=[], race=race))
    assert found is not None
    assert (found.leader_drop, found.validation_minus_test) == (None, None)
    assert found.sentence == (
        "Of 9 trials with a value, #2 led the search with 96.00 % validation accuracy. The winner, #3, has 92.00 % on "
        "validation over the 3 seeds of the race."
    )


def test_optimism_takes_no_figure_from_training_images_for_a_test(fake: StudyData) -> None:
    found = optimism(replace(fake, replicates=[replicate("tuned", 0, 0.99, overlaps=True)]))
    assert found is not None
    assert (found.test, found.validation_minus_test) == (None, None)


def test_optimism_of_a_loss_is_one_of_losses(fake: StudyData) -> None:
    study = fake.overview.study.model_copy(update={"objective": "validation_loss", "direction": "minimize"})
    data = with_accuracies(fake, tuned=[0.92, 0.93])
    found = optimism(replace(data, overview=replace(fake.overview, study=study)))
    assert found is not None and found.test is not None and found.test.mean == pytest.approx(0.3)


def test_optimism_without_race_and_replicates_is_the_best_of_the_search(fake: StudyData) -> None:
    found = optimism(replace(fake, race=None, replicates=[]))
    best = fake.overview.best
    assert found is not None
    assert best is not None
    assert (found.trial, found.search_value, found.race, found.test) == (best.number, best.value, None, None)


def test_optimism_of_a_study_without_values_is_none(fake: StudyData) -> None:
    empty = replace(fake, race=None, replicates=[], overview=replace(fake.overview, rows=[]))
    assert optimism(empty) is None
