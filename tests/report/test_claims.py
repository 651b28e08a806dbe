from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hw2tune.records.arrays import npz
from hw2tune.records.evaluation import Evaluation
from hw2tune.records.replicates import Candidate, Replicate
from hw2tune.report.claims import (
    CAVEAT,
    DECREASE,
    INCREASE,
    MISSING,
    NOT_DETECTED,
    REFUSED,
    SAME,
    SINGLE_RUN,
    ClaimResult,
    claims,
    params_of,
)
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


def replicate(variant: str, seed: int, accuracy: float | None, *, overlaps: bool = False) -> Replicate:
    at = accuracy and Evaluation(
        split="test", epoch=4, loss=0.3, accuracy=accuracy, correct=0, total=0, overlaps_training=overlaps
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


def with_accuracies(fake: StudyData, **accuracies: list[float | None]) -> StudyData:
    return replace(
        fake,
        replicates=[
            replicate(variant.replace("_", "-"), seed, accuracy)
            for variant, values in accuracies.items()
            for seed, accuracy in enumerate(values)
        ],
    )


def of_pair(data: StudyData, variant: str, against: str) -> ClaimResult:
    return next(claim for claim in claims(data) if (claim.variant, claim.against) == (variant, against))


def test_a_difference_within_chance_is_told_with_the_seeds_that_would_show_it(fake: StudyData) -> None:
    # Differences in points -0.3, -0.1, 0.0, 0.1, 0.05: mean -0.05, squares of deviations 0.0625 + 0.0025 + 0.0025 +
    # 0.0225 + 0.01 = 0.1, sd = sqrt(0.1 / 4) = 0.1581, half width 2.776 * 0.1581 / sqrt(5) = 0.1963.
    base = 0.9
    l2 = [base - 0.003, base - 0.001, base, base + 0.001, base + 0.0005]
    claim = of_pair(with_accuracies(fake, baseline=[base] * 5, l2=l2), "l2", "baseline")
    assert claim.verdict == NOT_DETECTED
    # (2.8016 * 1.581)**2 = 19.6 pairs by the normal formula, and two more for the t test
    assert claim.sentence == (
        "L2 1e-4 changes test accuracy by -0.05 points (95 % interval -0.25 to +0.15, n = 5): no difference "
        "detectable; about n = 22 would be needed to see one of 0.1."
    )


def test_a_needed_n_is_told_in_two_digits_and_kept_exactly(fake: StudyData) -> None:
    l2: list[float | None] = [0.907, 0.894, 0.901]
    claim = of_pair(with_accuracies(fake, baseline=[0.9] * 3, l2=l2), "l2", "baseline")
    assert claim.comparison is not None
    assert claim.comparison.needed_n == 335  # (2.8016 * 6.506)**2 = 332.3, and two more for the t test
    assert "about n = 340 would be needed" in claim.sentence


def test_a_difference_that_both_tests_see_is_not_explained_by_chance(fake: StudyData) -> None:
    l2: list[float | None] = [0.921, 0.919, 0.920, 0.922, 0.918, 0.920]
    claim = of_pair(with_accuracies(fake, baseline=[0.9] * 6, l2=l2), "l2", "baseline")
    assert claim.verdict == INCREASE
    assert claim.sentence.endswith(
        "an increase that chance does not explain (permutation p = 0.0312, the smallest that n = 6 allows)."
    )


@pytest.mark.parametrize(
    ("seeds", "end"),
    [(10, "(permutation p = 0.00195, the smallest that n = 10 allows)."), (11, "(permutation p < 0.001).")],
)
def test_the_smallest_p_is_told_up_to_ten_seeds(fake: StudyData, seeds: int, end: str) -> None:
    l2: list[float | None] = [0.92 + 0.001 * seed for seed in range(seeds)]
    assert of_pair(with_accuracies(fake, baseline=[0.9] * seeds, l2=l2), "l2", "baseline").sentence.endswith(end)


def test_every_tested_claim_has_the_p_that_holm_makes_of_the_studys_tests(fake: StudyData) -> None:
    l2: list[float | None] = [0.921, 0.919, 0.920, 0.922, 0.918, 0.920]
    tuned: list[float | None] = [0.899, 0.901, 0.902, 0.898, 0.903, 0.897]
    found = claims(with_accuracies(fake, baseline=[0.9] * 6, l2=l2, tuned=tuned, tuned_no_l2=[0.9]))
    assert [(one.variant, one.holm_p) for one in found] == [
        ("l2", pytest.approx(2 * 2 / 2**6)), ("tuned", pytest.approx(1.0)), ("tuned", None),
    ]  # fmt: skip


def test_an_increase_that_five_seeds_cannot_show_by_permutation_is_one_by_its_interval(fake: StudyData) -> None:
    tuned: list[float | None] = [0.921, 0.919, 0.920, 0.922, 0.918]
    claim = of_pair(with_accuracies(fake, baseline=[0.9] * 5, tuned=tuned), "tuned", "baseline")
    assert claim.verdict == INCREASE
    assert claim.sentence == (
        "Tuning (adamw, learning rate 0.004, batch size 64, decoupled weight decay 0.002) changes test accuracy by "
        "+2.00 points (95 % interval +1.80 to +2.20, n = 5): an increase by its interval over seeds; with n = 5 the "
        "permutation test cannot go below 0.0625."
    )


def test_weight_decay_in_the_tuned_configuration_is_called_what_the_optimizer_makes_of_it(fake: StudyData) -> None:
    data = with_accuracies(fake, tuned=[0.90, 0.91, 0.92], tuned_no_l2=[0.921, 0.930, 0.939])
    claim = of_pair(data, "tuned", "tuned-no-l2")
    assert claim.verdict == DECREASE
    assert claim.sentence.startswith(
        "In the tuned configuration, decoupled weight decay 0.002 changes test accuracy by -2.00 points"
    )
    assert (
        "a decrease by its interval over seeds; with n = 3 the permutation test cannot go below 0.25" in claim.sentence
    )


def test_a_claim_has_the_subject_that_its_study_file_gives(fake: StudyData) -> None:
    study = fake.overview.study
    own = [study.claims[0].model_copy(update={"sentence": "a little L2"}), *study.claims[1:]]
    data = replace(fake, overview=replace(fake.overview, study=study.model_copy(update={"claims": own})))
    assert claims(data)[0].sentence.startswith("A little L2 changes test accuracy by")


def test_a_reference_that_is_the_tuned_configuration_is_named(fake: StudyData) -> None:
    data = with_accuracies(fake, baseline=[0.9], tuned=[0.92])
    won = [replace(one, params=CONFIGURATIONS["l2"]) if one.variant == "tuned" else one for one in data.replicates]
    claim = of_pair(replace(data, replicates=won), "tuned", "baseline")
    assert claim.sentence.startswith("Tuning (the reference l2: adam, learning rate 0.001, batch size 100, L2 1e-4)")


def test_what_only_one_side_sets_makes_a_difference(fake: StudyData) -> None:
    data = with_accuracies(fake, baseline=[0.9], l2=[0.92])
    params = CONFIGURATIONS["l2"] | {"dropout": 0.5}
    own = [replace(one, params=params) if one.variant == "l2" else one for one in data.replicates]
    claim = of_pair(replace(data, replicates=own), "l2", "baseline")
    assert claim.sentence.startswith("L2 (adam, ") and "against baseline (adam, " in claim.sentence


def test_a_change_of_the_winner_is_one_of_what_was_trained_not_of_the_race(fake: StudyData) -> None:
    data = race_won_by(fake, CONFIGURATIONS["baseline"])
    trained = replicate("tuned", 0, 0.9)
    assert params_of(replace(data, replicates=[trained]), "tuned-no-l2") == CONFIGURATIONS["tuned-no-l2"]


def test_one_replicate_is_called_a_single_run(fake: StudyData) -> None:
    claim = of_pair(with_accuracies(fake, baseline=[0.9], l2=[0.912]), "l2", "baseline")
    assert claim.verdict == SINGLE_RUN
    assert (
        claim.sentence == "L2 1e-4 changes test accuracy by +1.20 points on one replicate: a single run, no interval."
    )


def test_enough_seeds_without_a_difference_are_said_to_be_enough(fake: StudyData) -> None:
    l2: list[float | None] = [0.9001, 0.8999, 0.9002, 0.8998, 0.9]
    claim = of_pair(with_accuracies(fake, baseline=[0.9] * 5, l2=l2), "l2", "baseline")
    assert claim.sentence.endswith("no difference detectable; n = 5 would show one of 0.1 in four cases of five.")


def test_an_interval_that_the_permutation_test_doubts_is_told_with_the_doubt(fake: StudyData) -> None:
    # Only the pattern as it is and the one with the small loss flipped reach the mean: p = 2 * 2 / 2**6.
    l2: list[float | None] = [0.910, 0.912, 0.911, 0.909, 0.910, 0.8999]
    claim = of_pair(with_accuracies(fake, baseline=[0.9] * 6, l2=l2), "l2", "baseline")
    assert claim.verdict == INCREASE
    assert claim.sentence.endswith(
        "an increase by its interval, though less sure by the permutation test (permutation p = 0.0625; n = 6 allows "
        "0.0312)."
    )


def test_the_same_difference_on_every_seed_is_no_proof(fake: StudyData) -> None:
    claim = of_pair(with_accuracies(fake, baseline=[0.90, 0.92], l2=[0.91, 0.93]), "l2", "baseline")
    assert claim.verdict == NOT_DETECTED
    assert "+1.00 points on each of 2 seeds: no difference detectable" in claim.sentence


def test_a_diverged_seed_is_left_out_by_name(fake: StudyData) -> None:
    data = with_accuracies(fake, baseline=[0.9, 0.9, 0.9], l2=[0.91, None, 0.92])
    claim = of_pair(data, "l2", "baseline")
    assert claim.seeds == (0, 2)
    assert claim.sentence.endswith(" Omitted: l2 diverged on seed 1.")


def test_a_variant_that_diverged_on_every_seed_has_no_claim(fake: StudyData) -> None:
    data = with_accuracies(fake, baseline=[0.9, 0.9], l2=[0.9, 0.9], tuned=[None, None])
    claim = of_pair(data, "tuned", "baseline")
    assert (claim.verdict, claim.comparison) == (MISSING, None)
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
    assert (claim.verdict, claim.caveat, claim.comparison) == (REFUSED, CAVEAT, None)
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


def test_mcnemars_test_is_told_of_the_median_seed(fake: StudyData) -> None:
    claim = of_pair(fake, "tuned", "baseline")
    first, second = fake.arrays("tuned", claim.median_seed or 0), fake.arrays("baseline", claim.median_seed or 0)
    assert first is not None
    assert second is not None
    pairs = list(zip(first["predicted"] == first["labels"], second["predicted"] == second["labels"], strict=True))
    assert claim.mcnemar is not None
    fixed, broken = pairs.count((True, False)), pairs.count((False, True))
    assert (claim.mcnemar.fixed, claim.mcnemar.broken) == (fixed, broken)
    assert f"fixed {fixed} images that baseline got wrong and broke {broken}" in claim.detail
    assert claim.comparison is not None
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
    assert claim.mcnemar is None
    assert claim.detail.startswith("l2 against baseline: the predictions on the median seed are missing")
    assert claim.comparison is not None


def test_predictions_on_different_test_images_are_not_paired(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path, seeds=1)
    path = folder.root / "replicates" / "l2" / "0" / "arrays.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    path.write_bytes(npz(arrays | {"labels": arrays["labels"][::-1]}))
    assert of_pair(read_study_data(folder), "l2", "baseline").mcnemar is None


@pytest.mark.parametrize("name", ["labels", "predicted", "confidence"])
def test_predictions_of_fewer_images_are_not_paired(tmp_path: Path, name: str) -> None:
    folder = write_fake_study(tmp_path, seeds=1)
    path = folder.root / "replicates" / "l2" / "0" / "arrays.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    path.write_bytes(npz(arrays | {name: arrays[name][:-1]}))
    assert of_pair(read_study_data(folder), "l2", "baseline").mcnemar is None


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
