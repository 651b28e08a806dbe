"""Test images: five that a variant gets right and five that it gets wrong, and those that it fixed or broke."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hw2tune.paths import safe_name
from hw2tune.records.arrays import Array
from hw2tune.records.replicates import Gallery
from hw2tune.report.claims import SAME, claims
from hw2tune.report.figures.drawing import Arrays, CannotDrawError, Drawing, Recipe, choose, class_name, plain_variants
from hw2tune.report.figures.style import GREY, SMALL, new_figure
from hw2tune.report.study_data import StudyData
from hw2tune.study.schema import is_tuning
from hw2tune.text.numbers import counted

PER_ROW = 5
RULE = "the first such images in the gallery, which is a fixed random choice of"


def first_of(gallery: Gallery, wanted: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The first five gallery images of the test images `wanted` (N,): places in the gallery, indices into the split."""
    within = gallery.indices < len(wanted)
    places = np.flatnonzero(within)[wanted[gallery.indices[within]]][:PER_ROW]
    return [(int(place), int(gallery.indices[place])) for place in places]


def changed(before: Arrays, after: Arrays) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The test images (N,) that are wrong before and right after, and the reverse."""
    was_right, is_right = (a["predicted"] == a["labels"] for a in (before, after))
    return ~was_right & is_right, was_right & ~is_right


def draw_examples(data: StudyData, variant: str) -> Drawing:
    """Five correct images above five misclassified ones."""
    gallery = gallery_of(data)
    shown = choose(data, [variant], required=[variant])
    arrays = shown.one(variant)
    right = arrays["predicted"] == arrays["labels"]
    correct, wrong = first_of(gallery, right), first_of(gallery, ~right)
    total, errors = len(right), int((~right).sum())

    def names(index: int) -> list[str]:
        return [class_name(data, int(arrays[kind][index])) for kind in ("labels", "predicted")]

    def label(index: int) -> str:
        true, said = names(index)
        return f"true {true}\npred. {said}\n{100 * float(arrays['confidence'][index]):.0f} %"

    rows = {f"Correct ({total - errors:,} of {total:,})": correct, f"Misclassified ({errors:,} of {total:,})": wrong}
    return Drawing(
        figure=_grid(gallery, label, rows),
        caption=(
            f"Test images that {variant} classified correctly (above) and wrongly (below), with the true class, the "
            f"class that the network said and the probability that it gave to it; {RULE} "
            f"{counted(len(gallery.labels), 'image')}. Seed {shown.seed}, the first that finished, at the epoch "
            f"that validation chose; n = {total:,} test images."
        ),
        alt=(
            f"{counted(len(correct), 'test image')} that {variant} classified correctly and {len(wrong)} that it "
            f"did not: {'; '.join(' taken for '.join(names(index)) for _, index in wrong) or 'none'}."
        ),
    )


def draw_changes(data: StudyData, variant: str, against: str, cause: str) -> Drawing:
    """Five fixed images above five broken ones, on the claim's median seed."""
    gallery = gallery_of(data)
    claimed = next(one for one in claims(data) if (one.variant, one.against) == (variant, against))
    if claimed.verdict == SAME:
        raise CannotDrawError(claimed.sentence)
    both, median = [against, variant], claimed.median_seed
    shown = choose(data, both, required=both, preferred=median)
    before, after = shown.one(against), shown.one(variant)
    if not np.array_equal(before["labels"], after["labels"]):
        raise CannotDrawError(f"{against} and {variant} were evaluated on different test images.")
    fixed, broken = changed(before, after)
    total, fixes, breaks = len(fixed), int(fixed.sum()), int(broken.sum())

    def label(index: int) -> str:
        tense, wrong = ("was", before) if fixed[index] else ("now", after)
        sure = " → ".join(f"{100 * float(arrays['confidence'][index]):.0f}" for arrays in (before, after))
        true, said = (class_name(data, int(label)) for label in (before["labels"][index], wrong["predicted"][index]))
        return f"true {true}\n{tense} {said}\n{sure} %"

    rows = {
        f"Fixed by {cause} ({fixes:,} of {total:,})": first_of(gallery, fixed),
        f"Broken by {cause} ({breaks:,} of {total:,})": first_of(gallery, broken),
    }
    seed = f"Seed {shown.seed}, the first that both have"
    if shown.seed == median:
        seed = f"Seed {median}, whose difference is the median one, as in the table of pairs"
    return Drawing(
        figure=_grid(gallery, label, rows),
        caption=(
            f"Test images that {against} got wrong and {variant} right (above), and the reverse (below), with the "
            f"true class, the wrong answer (was: of {against}; now: of {variant}) and the probability that each of "
            f"the two gave to its own answer ({against} → {variant}); {RULE} "
            f"{counted(len(gallery.labels), 'image')}. Numbers in brackets count the whole test split (n = "
            f"{total:,}). {seed}: another seed fixes and breaks other images."
        ),
        alt=f"Images that {variant} fixed ({fixes} of {total}) and broke ({breaks} of {total}) against {against}.",
    )


def gallery_of(data: StudyData) -> Gallery:
    """The gallery of test images. Raises CannotDrawError where there is none."""
    if data.gallery is None:
        raise CannotDrawError("The gallery of test images is missing or damaged.")
    return data.gallery


def _grid(gallery: Gallery, label: Callable[[int], str], rows: dict[str, list[tuple[int, int]]]) -> Figure:
    # Laid out by hand: long names would make the images of one row smaller than those of the other.
    figure = new_figure(height=4.1, layout=None)
    parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for part, (title, images) in zip(parts, rows.items(), strict=True):
        part.suptitle(title, x=0.02, ha="left", fontsize=10, fontweight="bold")
        part.subplots_adjust(left=0.02, right=0.98, bottom=0.36, top=0.86, wspace=0.14)
        panels = part.subplots(1, PER_ROW)
        for axes in panels:
            axes.set_axis_off()
        for axes, (place, index) in zip(panels, images, strict=False):
            show_image(axes, gallery.images[place])
            axes.text(0.5, -0.05, label(index), transform=axes.transAxes, ha="center", va="top", fontsize=SMALL)
        if not images:
            part.text(0.5, 0.5, "no such image in the gallery", ha="center", color=GREY)
    return figure


def show_image(axes: Axes, image: Array) -> None:
    """A test image (H, W, C) as it is stored."""
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()


def recipes(data: StudyData) -> list[Recipe]:
    """Right and wrong images of each reference and the winner; what changed in each claim that compares two of them."""
    found = []
    for name in plain_variants(data):
        title, draw = f"Images right and wrong: {name}", partial(draw_examples, variant=name)
        found.append(Recipe(f"examples-{safe_name(name)}", "examples", title, draw, name))
    pairs = data.overview.study.claims
    for claimed in [one for one in pairs if not (one.a.changes or one.b.changes)] or pairs[:1]:
        variant, against = claimed.a.variant, claimed.b.variant
        cause = "tuning" if is_tuning(claimed) else variant
        title = f"Images that {cause} fixed and broke against {against}"
        draw = partial(draw_changes, variant=variant, against=against, cause=cause)
        found.append(Recipe(f"changed-by-{safe_name(cause)}", "examples", title, draw, variant))
    return found
