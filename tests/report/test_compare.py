"""Two studies side by side: what is compared, what is refused and in which words."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import hw2tune
from hw2tune.errors import NotComparableError
from hw2tune.records.dataset import read_dataset
from hw2tune.records.replicates import ReplicatesFolder, read_replicates, write_json
from tests.report.fake_study import write_fake_study


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A study, and one that trains for longer and is better by 1, 2 and 3 points on the seeds of `tuned`."""
    place = tmp_path_factory.mktemp("written")
    write_fake_study(place)
    shift(write_fake_study(place, name="longer", max_epochs=7), {0: 5, 1: 10, 2: 15})
    return place


@pytest.fixture
def results(written, tmp_path):
    """Both, to be changed."""
    return shutil.copytree(written, tmp_path / "results")


def shift(study, by_seed):
    """Makes so many more of the 500 test images of `tuned` right."""
    place = ReplicatesFolder.of(study)
    for replicate in read_replicates(place):
        if replicate.variant != "tuned":
            continue
        folder = place.replicate("tuned", replicate.seed)
        with np.load(folder / "arrays.npz") as file:
            arrays = dict(file)
        wrong = np.flatnonzero(arrays["predicted"] != arrays["labels"])[: by_seed[replicate.seed]]
        arrays["predicted"][wrong] = arrays["labels"][wrong]
        np.savez(folder / "arrays.npz", **arrays)
        record = json.loads((folder / "replicate.json").read_text())
        record["chosen"]["correct"] += len(wrong)
        record["chosen"]["accuracy"] = record["chosen"]["correct"] / 500
        write_json(folder / "replicate.json", record)


def change_dataset(study, **changes):
    write_json(study.datasets[0], vars(read_dataset(study)) | changes)


def refused(results, a="quickstart", b="longer"):
    with pytest.raises(NotComparableError) as error:
        hw2tune.compare_studies(a, b, results_dir=results)
    return str(error.value)


def test_variants_that_both_have_are_compared_seed_by_seed(results):
    pairs = {pair.variant: pair for pair in hw2tune.compare_studies("quickstart", "longer", results_dir=results).pairs}
    tuned = pairs["tuned of longer"]
    assert tuned.against == "tuned of quickstart"
    assert tuned.result is not None and tuned.evidence is not None and tuned.evidence.seeds == (0, 1, 2)
    # Differences of 1, 2 and 3 points: mean 2, sd 1, half width t(1 - 0.05 / 8, 2) = 8.8602 over sqrt(3).
    assert (tuned.result.n, round(tuned.result.mean, 12), round(tuned.result.sd or 0, 12)) == (3, 0.02, 0.01)
    low, high = tuned.result.seeds_interval or (0, 0)
    assert (low, high) == pytest.approx((0.02 - 0.01 * 8.8602 / 3**0.5, 0.02 + 0.01 * 8.8602 / 3**0.5), abs=1e-5)
    assert (tuned.median_seed, tuned.fixed, tuned.broken) == (1, 10, 0)
    assert tuned.sentence.startswith(
        "Undecided: the variant tuned of longer, against that of quickstart, which is the same configuration, changes "
        "test accuracy by +2.00 points (95 % interval "
    )
    assert "tuned of longer fixed 10 images that tuned of quickstart got wrong and broke 0" in tuned.detail
    assert list(pairs) == [f"{name} of longer" for name in ("baseline", "l2", "tuned", "tuned-no-l2")]


def test_a_seed_that_one_of_them_has_not_is_omitted_and_named(results):
    write_fake_study(results, name="fewer", seeds=2, max_epochs=6)
    pairs = hw2tune.compare_studies("quickstart", "fewer", results_dir=results).pairs
    assert {pair.evidence.seeds for pair in pairs} == {(0, 1)}
    assert "Omitted: tuned of fewer has no replicate on seed 2." in pairs[2].sentence


def test_studies_that_asked_for_as_many_of_other_seeds_are_judged_at_those_in_common(results):
    """Seeds 1 to 3 of a study whose seed is one more, beside 0 to 2: two pairs, as fixed beforehand as the three."""
    other = write_fake_study(results, name="other", max_epochs=7)
    record = json.loads(other.environment.read_text())
    record["runs"][0]["seeds"]["replicates"] = [1, 2, 3]
    write_json(other.environment, record)
    place = ReplicatesFolder.of(other)
    for one in sorted(read_replicates(place), key=lambda one: -one.seed):
        moved = place.replicate(one.variant, one.seed).rename(place.replicate(one.variant, one.seed + 1))
        write_json(
            moved / "replicate.json", json.loads((moved / "replicate.json").read_text()) | {"seed": one.seed + 1}
        )
    tuned = hw2tune.compare_studies("quickstart", "other", results_dir=results).pairs[2]
    assert tuned.evidence is not None and tuned.evidence.seeds == (1, 2)
    assert tuned.result is not None and tuned.result.p is not None
    assert "that were asked for" not in tuned.sentence


def test_the_worth_of_a_pair_is_the_smallest_that_a_claim_on_its_variant_states(results):
    for name, worths in (("quickstart", [6.0, 4.0, 5.0]), ("longer", [7.0, 8.0, 9.0])):
        first, *claims = (results / name / "study.toml").read_text().split("[[claims]]\n")
        stated = [f"worth = {worth}\n{claim}" for worth, claim in zip(worths, claims, strict=True)]
        (results / name / "study.toml").write_text("[[claims]]\n".join([first, *stated]))
    pairs = hw2tune.compare_studies("quickstart", "longer", results_dir=results).pairs
    worths = {pair.variant: pair.evidence.worth for pair in pairs}  # of l2, of tuned against baseline, of tuned-no-l2
    names = ("l2", "baseline", "tuned", "tuned-no-l2")
    assert [worths[f"{name} of longer"] for name in names] == pytest.approx([0.06, 0.04, 0.04, 0.05])


def test_the_same_training_twice_is_no_comparison(results):
    write_fake_study(results, name="again")
    pairs = hw2tune.compare_studies("quickstart", "again", results_dir=results).pairs
    assert {pair.verdict for pair in pairs} == {"same configuration"}


def test_a_study_without_replicates_stands_beside_the_other_untested(results):
    write_fake_study(results, name="bare", seeds=0)
    comparison = hw2tune.compare_studies("quickstart", "bare", results_dir=results)
    assert comparison.pairs == []
    assert comparison.notes == [
        "bare has no replicates, so nothing is tested; `hw2tune summarize bare` trains them",
    ]


def test_other_images_are_refused(results):
    change_dataset(hw2tune.read_study("longer", results_dir=results).folder, checksum="sha256:22", label="others")
    assert refused(results) == "quickstart and longer cannot be compared: other images (invented and others)"
    change_dataset(hw2tune.read_study("longer", results_dir=results).folder, label="invented")
    assert "other images (invented, but with checksums 00 and 22)" in refused(results)


def test_other_classes_are_refused(results):
    write_fake_study(results, "cifar10", trials=3)
    assert "other classes or sizes of images (invented and invented)" in refused(results, b="cifar10")


def test_another_split_is_refused(results):
    change_dataset(hw2tune.read_study("longer", results_dir=results).folder, split_checksum="sha256:33")
    assert "other images validate (split_seed 0, validation_size 500, but with checksums 11 and 33)" in refused(results)


def test_images_that_are_not_recorded_are_refused(results):
    folder = hw2tune.read_study("longer", results_dir=results).folder
    folder.datasets[0].unlink()
    folder.environment.unlink()
    assert "which images longer had is not recorded; `hw2tune summarize` records it" in refused(results)


def test_another_objective_is_refused_and_a_loss_of_another_kind(results):
    write_fake_study(results, name="nats", objective="validation_loss")
    write_fake_study(results, name="logits", objective="validation_loss", loss="cross_entropy")
    assert "other objectives (validation accuracy and validation loss)" in refused(results, b="nats")
    assert "other losses, which are the objective (double_softmax and cross_entropy)" in refused(
        results, "nats", "logits"
    )


def test_another_evaluation_is_refused(results):
    place = ReplicatesFolder.of(hw2tune.read_study("longer", results_dir=results).folder)
    for path in place.records():
        record = json.loads(path.read_text())
        record["last"] |= {"split": "train", "overlaps_training": True}
        write_json(path, record | {"chosen": None})
    assert refused(results) == (
        "quickstart and longer cannot be compared: another evaluation (on test, at the epoch that "
        "validation chose and on train, which was trained on, as the published runs were)"
    )


def test_a_study_is_not_compared_with_itself(results):
    assert refused(results, b="quickstart") == "quickstart: is compared with itself; name two studies"


def test_the_command_needs_neither_torch_nor_ray_and_speaks_json(results):
    code = (
        "import atexit, sys; sys.argv = ['hw2tune', 'compare', 'quickstart', 'longer', '--json', '--results-dir', "
        f"{str(results)!r}]\n"
        "atexit.register(lambda: print({'torch', 'ray'} & set(sys.modules), file=sys.stderr))\n"
        "from hw2tune.console import main; main()"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stderr == "set()\n"
    content = json.loads(shown.stdout)
    assert [study["name"] for study in content["studies"]] == ["quickstart", "longer"]
    assert content["studies"][1]["test_accuracy"]["tuned"]["n"] == 3
    assert content["pairs"][2]["difference"] == pytest.approx(0.02)
    assert content["notes"] == ["max epochs: 5 and 7"]
