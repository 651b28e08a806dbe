"""What is missing, broken or unusual: a figure that says so, or a reason, and never a traceback."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import SubFigure

from hw2tune.records.arrays import npz
from hw2tune.records.layout import StudyFolder
from hw2tune.report.claims import claims
from hw2tune.report.figures.drawing import CannotDrawError, Drawing
from hw2tune.report.figures.recipes import recipes
from hw2tune.report.study_data import StudyData, read_study_data

pytestmark = pytest.mark.usefixtures("styled")


def draw(data: StudyData, *names: str) -> dict[str, Drawing | str]:
    """Figures by name, laid out but not saved; the reason where there is none."""
    found: dict[str, Drawing | str] = {}
    for recipe in recipes(data):
        if names and recipe.name not in names:
            continue
        try:
            drawing = recipe.draw(data)
            drawing.figure.draw_without_rendering()
            found[recipe.name] = drawing
        except CannotDrawError as error:
            found[recipe.name] = str(error)
    return found


def caption(drawing: Drawing | str) -> str:
    assert isinstance(drawing, Drawing), drawing
    return drawing.caption


def _title(part: SubFigure) -> str:
    return part.get_suptitle()


def change_replicate(root: Path, variant: str, seed: int, change: Callable[[dict[str, Any]], None]) -> None:
    path = root / "replicates" / variant / str(seed) / "replicate.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_arrays(root: Path, variant: str, seed: int, change: Callable[[dict[str, Any]], None]) -> None:
    path = root / "replicates" / variant / str(seed) / "arrays.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    change(arrays)
    path.write_bytes(npz(arrays))


def diverge(content: dict[str, Any]) -> None:
    content["epochs"] = content["epochs"][:2]
    content.update(state="diverged", reason="diverged in epoch 3: loss nan", chosen=None, last=None)


def test_one_replicate_has_no_band_and_says_so(cifar: StudyData) -> None:
    drawing = draw(cifar, "learning-curves")["learning-curves"]
    assert "One seed: there is no band. n = 1 per variant (seed 0)." in caption(drawing)
    assert "broke off" not in caption(drawing)
    assert isinstance(drawing, Drawing)
    assert all(not axes.collections for axes in drawing.figure.axes)


def test_a_tuned_variant_that_diverged_on_every_seed_leaves_the_others_shown(fresh: Path) -> None:
    for seed in (0, 1):
        change_replicate(fresh, "tuned", seed, diverge)
        (fresh / "replicates" / "tuned" / str(seed) / "arrays.npz").unlink()
    figures = draw(read_study_data(StudyFolder(fresh)))
    reason = "No replicate of tuned finished (diverged in epoch 3: loss nan)."
    for name in ("weights-tuned", "examples-tuned", "changed-by-tuning", "confusion-difference"):
        assert figures[name] == reason
    for name in ("confusion", "class-accuracies", "features-conv1"):
        assert reason in caption(figures[name])
    assert "tuned, seed 1, broke off: diverged in epoch 3: loss nan." in caption(figures["learning-curves"])


def test_a_seed_that_diverged_is_passed_over_for_the_first_that_all_have(fresh: Path) -> None:
    change_replicate(fresh, "l2", 0, diverge)
    figures = draw(read_study_data(StudyFolder(fresh)), "weights-l2", "confusion", "examples-l2")
    assert "seed 1, the first that all shown variants have" in caption(figures["weights-l2"])
    assert "Seed 1" in caption(figures["examples-l2"])
    assert "2 replicates per variant (seeds 0 and 1)" in caption(figures["confusion"])


def test_a_winner_without_weight_decay_is_not_compared_with_itself(fresh: Path) -> None:
    for seed in (0, 1):
        change_replicate(fresh, "tuned", seed, lambda content: content["params"].update(weight_decay=0.0))
    figures = draw(
        read_study_data(StudyFolder(fresh)), "weights-tuned", "learning-curves", "accuracy-curves", "features-conv1"
    )
    same = "The tuned configuration has no weight decay: tuned and tuned-no-l2 are the same configuration"
    assert figures["weights-tuned"] == f"{same}."
    for name in ("learning-curves", "accuracy-curves", "features-conv1"):
        drawing = figures[name]
        assert caption(drawing).endswith(f"{same}; only tuned is drawn.")
        assert isinstance(drawing, Drawing)
        assert "tuned-no-l2" not in drawing.alt and "tuned" in drawing.alt


def test_fixed_and_broken_are_those_of_the_seed_whose_test_the_claim_gives(mnist: StudyData) -> None:
    for name, variant in (("changed-by-l2", "l2"), ("changed-by-tuning", "tuned")):
        claimed = next(one for one in claims(mnist) if (one.variant, one.against) == (variant, "baseline"))
        drawing = draw(mnist, name)[name]
        assert f"Seed {claimed.median_seed}, whose difference is the median one" in caption(drawing)
        assert isinstance(drawing, Drawing)
        counts = [title.split(" (")[1].split(" of")[0] for title in map(_title, drawing.figure.subfigs)]
        assert counts == [str(claimed.fixed), str(claimed.broken)]
        before, after = (mnist.arrays(side, claimed.median_seed or 0) for side in ("baseline", variant))
        assert mnist.gallery and before and after
        for part, tense, wrong in zip(drawing.figure.subfigs, ("was", "now"), (before, after), strict=True):
            right = {"was": after, "now": before}[tense]
            indices = [
                i
                for i in mnist.gallery.indices
                if right["predicted"][i] == before["labels"][i] != wrong["predicted"][i]
            ]
            assert [text.get_text() for axes in part.axes for text in axes.texts] == [
                f"true {before['labels'][i]}\n{tense} {wrong['predicted'][i]}\n"
                f"{100 * float(before['confidence'][i]):.0f} → {100 * float(after['confidence'][i]):.0f} %"
                for i in indices[:5]
            ]


def test_without_the_median_seeds_arrays_another_seed_is_shown_and_named(fresh: Path) -> None:
    seed = claims(read_study_data(StudyFolder(fresh)))[1].median_seed
    (fresh / "replicates" / "tuned" / str(seed) / "arrays.npz").unlink()
    drawing = draw(read_study_data(StudyFolder(fresh)), "changed-by-tuning")["changed-by-tuning"]
    assert f"Seed {1 - (seed or 0)}, the first that both have" in caption(drawing)


def test_a_replicate_that_diverged_before_its_first_epoch_ended_is_named(fresh: Path) -> None:
    def at_once(content: dict[str, Any]) -> None:
        diverge(content)
        content["epochs"] = []

    for seed in (0, 1):
        change_replicate(fresh, "tuned", seed, at_once)
    figures = draw(read_study_data(StudyFolder(fresh)), "learning-curves", "accuracy-curves")
    assert "tuned, seed 0, broke off" in caption(figures["accuracy-curves"])


def test_an_empty_validation_split_leaves_its_panel_empty(fresh: Path) -> None:
    def unmeasured(content: dict[str, Any]) -> None:
        for epoch in content["epochs"]:
            epoch.update(validation_loss=None, validation_accuracy=None)

    for variant in ("baseline", "l2", "tuned", "tuned-no-l2"):
        for seed in (0, 1):
            change_replicate(fresh, variant, seed, unmeasured)
    drawing = draw(read_study_data(StudyFolder(fresh)), "learning-curves")["learning-curves"]
    assert isinstance(drawing, Drawing)
    assert [text.get_text() for text in drawing.figure.axes[1].texts] == ["not measured: no images"]


def test_curves_of_one_epoch_have_it_as_their_only_tick(fresh: Path) -> None:
    for variant in ("baseline", "l2", "tuned", "tuned-no-l2"):
        for seed in (0, 1):
            change_replicate(fresh, variant, seed, lambda one: one.update(epochs=one["epochs"][:1]))
    drawing = draw(read_study_data(StudyFolder(fresh)), "learning-curves")["learning-curves"]
    assert isinstance(drawing, Drawing)
    (low, high), ticks = drawing.figure.axes[1].get_xlim(), drawing.figure.axes[1].get_xticks()
    assert [tick for tick in ticks if low <= tick <= high] == [1]


def test_a_class_that_is_never_predicted_is_named(fresh: Path) -> None:
    def never_seven(arrays: dict[str, Any]) -> None:
        arrays["predicted"][arrays["predicted"] == 7] = 1

    for seed in (0, 1):
        change_arrays(fresh, "baseline", seed, never_seven)
    figures = draw(read_study_data(StudyFolder(fresh)), "class-accuracies", "confusion", "confusion-difference")
    assert "baseline never says 7." in caption(figures["class-accuracies"])
    assert isinstance(figures["confusion"], Drawing) and isinstance(figures["confusion-difference"], Drawing)


def test_a_class_without_a_test_image_is_named(fresh: Path) -> None:
    def no_seven(arrays: dict[str, Any]) -> None:
        arrays["labels"][arrays["labels"] == 7] = 1

    for variant in ("baseline", "l2", "tuned"):
        for seed in (0, 1):
            change_arrays(fresh, variant, seed, no_seven)
    figures = draw(read_study_data(StudyFolder(fresh)), "class-accuracies", "confusion", "confusion-difference")
    assert "There is no test image of 7." in caption(figures["class-accuracies"])
    assert isinstance(figures["confusion"], Drawing) and isinstance(figures["confusion-difference"], Drawing)


def test_rows_of_forty_classes_have_their_long_names_and_count_whole_images(fresh: Path) -> None:
    data = read_study_data(StudyFolder(fresh))
    assert data.dataset is not None
    names = [f"American terrier {n}" for n in range(40)]  # they differ in the last letter
    figures = draw(replace(data, dataset=replace(data.dataset, classes=names)), "confusion", "class-accuracies")
    confused, accuracies = figures["confusion"], figures["class-accuracies"]
    assert isinstance(confused, Drawing) and isinstance(accuracies, Drawing)
    pairs, rows = ([text.get_text() for text in one.figure.axes[0].get_yticklabels()] for one in (confused, accuracies))
    assert all(re.fullmatch(r"American terrier \d as American terrier \d", pair) for pair in pairs) and len(pairs) == 15
    assert sorted(rows) == names[:10]
    assert all(tick == round(tick) for tick in confused.figure.axes[0].get_xticks())
    titles = [recipe.title for recipe in recipes(replace(data, dataset=replace(data.dataset, classes=names)))]
    assert "Most frequent errors: tuned" in titles and not any("Confusion matrices" in title for title in titles)


def test_a_perfect_network_has_no_misclassified_image_to_show(fresh: Path) -> None:
    def perfect(arrays: dict[str, Any]) -> None:
        arrays["predicted"] = arrays["labels"].copy()

    change_arrays(fresh, "baseline", 0, perfect)
    change_arrays(fresh, "tuned", 0, perfect)
    figures = draw(read_study_data(StudyFolder(fresh)), "examples-baseline", "changed-by-tuning")
    drawing = figures["examples-baseline"]
    assert isinstance(drawing, Drawing) and "0 that it did not: none." in drawing.alt
    assert isinstance(figures["changed-by-tuning"], Drawing)


def test_missing_arrays_gallery_and_pixels_each_give_their_reason(fresh: Path) -> None:
    for path in (fresh / "replicates").glob("*/*/arrays.npz"):
        path.write_bytes(b"PK not a zip file")
    (fresh / "replicates" / "gallery.npz").unlink()
    (fresh / "replicates" / "pixels.npz").unlink()
    figures = draw(read_study_data(StudyFolder(fresh)))
    assert figures["weights-l2"] == (
        "The saved arrays of baseline are missing or damaged. The saved arrays of l2 are missing or damaged."
    )
    assert figures["examples-tuned"] == "The gallery of test images is missing or damaged."
    assert figures["features"] == "No replicate has saved feature maps: its arrays are missing, damaged, or hold none."
    assert str(figures["preprocessing"]).startswith("The counts of pixel values are missing or damaged")
    assert isinstance(figures["learning-curves"], Drawing)


def test_arrays_without_predictions_still_give_the_weights(fresh: Path) -> None:
    change_arrays(fresh, "baseline", 0, lambda arrays: arrays.pop("confidence"))
    change_arrays(fresh, "baseline", 1, lambda arrays: arrays.pop("confidence"))
    figures = draw(read_study_data(StudyFolder(fresh)), "weights-l2", "examples-baseline")
    assert isinstance(figures["weights-l2"], Drawing)
    assert figures["examples-baseline"] == "The saved arrays of baseline are missing or damaged."


def test_a_study_that_has_no_finished_trial_says_so(fresh: Path) -> None:
    (fresh / "optuna.journal").unlink()
    shutil.rmtree(fresh / "trials")
    names = ("search-history", "parallel-coordinates", "importances", "hyperparameters", "tuning-curve", "timeline")
    figures = draw(read_study_data(StudyFolder(fresh)), *names)
    assert figures == {
        "search-history": "No trial of this study has finished yet.",
        "parallel-coordinates": "No trial of this study has finished yet.",
        "importances": "Importances need 10 trials that have a value; this study has 0: continue it with `--trials`.",
        "hyperparameters": "No trial of this study has finished yet.",
        "tuning-curve": "A tuning curve needs 5 trials that the sampler drew; this study has 0.",
        "timeline": "No trial of this study has started yet.",
    }


def test_trials_that_all_diverged_say_so(fresh: Path) -> None:
    data = read_study_data(StudyFolder(fresh))
    rows = [replace(row, state="diverged", value=None) for row in data.overview.rows]
    diverged = replace(data, overview=replace(data.overview, rows=rows))
    figures = draw(diverged, "search-history", "parallel-coordinates", "hyperparameters")
    assert set(figures.values()) == {"None of the 4 finished trials has a value."}


def test_too_few_trials_for_importances_name_the_number_needed(fresh: Path) -> None:
    assert draw(read_study_data(StudyFolder(fresh)), "importances")["importances"] == (
        "Importances need 10 trials that have a value; this study has 4: continue it with `--trials`."
    )


def test_names_with_dollars_and_backslashes_are_drawn_as_they_are(fresh: Path) -> None:
    path = fresh / "dataset.json"
    record = json.loads(path.read_text())
    record["classes"] = [r"$\frac{1}", r"$x^$", "日本語", "a_b^c", "%", "&", "#", "~", "{", "<b>"]
    record["label"] = r"$\bad"
    path.write_text(json.dumps(record))
    figures = draw(
        read_study_data(StudyFolder(fresh)), "confusion", "class-accuracies", "examples-l2", "features-conv1"
    )
    assert all(isinstance(figure, Drawing) for figure in figures.values())
    accuracies = figures["class-accuracies"]
    assert isinstance(accuracies, Drawing)
    assert accuracies.figure.axes[0].get_yticklabels()[0].get_text() == r"$\frac{1}"
