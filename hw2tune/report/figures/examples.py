"""Test images: five that a variant gets right and five that it gets wrong, and those that it fixed or broke."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hw2tune.paths import safe_name
from hw2tune.records.replicates import Array, Gallery
from hw2tune.report.figures.chosen import PREDICTIONS, Arrays, choose, plain_variants
from hw2tune.report.figures.drawing import CannotDrawError, Drawing, Recipe
from hw2tune.report.figures.labels import class_names, short, whole_percent
from hw2tune.report.figures.style import GREY, SMALL, new_figure
from hw2tune.report.inference.claims import SAME, claim
from hw2tune.report.study_data import StudyData
from hw2tune.study.schema import Claim, is_tuning
from hw2tune.text.numbers import counted

PER_ROW = 5
RULE = "the first such images in the gallery, which is a fixed random choice of"


@dataclass(frozen=True, kw_only=True)
class Example:
    """One image with what was said about it."""

    image: Array  # (H, W, C) uint8
    true: int
    predicted: int
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Change:
    """One image that the two sides of a claim see differently; `wrong` is the class of whoever errs."""

    image: Array
    true: int
    wrong: int
    before: float  # confidence of side b in what it said
    after: float  # of side a


def first_examples(gallery: Gallery, arrays: Arrays, *, correct: bool) -> list[Example]:
    """The first five gallery images that were classified so."""
    right = arrays["predicted"] == arrays["labels"]
    return [
        Example(
            image=gallery.images[place],
            true=int(arrays["labels"][index]),
            predicted=int(arrays["predicted"][index]),
            confidence=float(arrays["confidence"][index]),
        )
        for place, index in _first(gallery, right if correct else ~right)
    ]


def first_changes(gallery: Gallery, before: Arrays, after: Arrays, *, fixed: bool) -> list[Change]:
    """The first five gallery images that were wrong before and are right after (`fixed`), or the reverse."""
    was_right, is_right = (a["predicted"] == a["labels"] for a in (before, after))
    changed = ~was_right & is_right if fixed else was_right & ~is_right
    return [
        Change(
            image=gallery.images[place],
            true=int(before["labels"][index]),
            wrong=int((before if fixed else after)["predicted"][index]),
            before=float(before["confidence"][index]),
            after=float(after["confidence"][index]),
        )
        for place, index in _first(gallery, changed)
    ]


def count_changes(before: Arrays, after: Arrays) -> tuple[int, int]:
    """How many images of the whole test split were fixed and how many broken."""
    was_right, is_right = (a["predicted"] == a["labels"] for a in (before, after))
    return int((~was_right & is_right).sum()), int((was_right & ~is_right).sum())


def _first(gallery: Gallery, wanted: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Places in the gallery with their indices into the test split."""
    within = gallery.indices < len(wanted)
    places = np.flatnonzero(within)[wanted[gallery.indices[within]]][:PER_ROW]
    return [(int(place), int(gallery.indices[place])) for place in places]


def draw_examples(data: StudyData, variant: str) -> Drawing:
    """Five correct images above five misclassified ones."""
    gallery = _gallery(data)
    shown = choose(data, [variant], PREDICTIONS, required=[variant])
    arrays, names = shown.one(variant), class_names(data)
    correct, wrong = (first_examples(gallery, arrays, correct=c) for c in (True, False))
    total, errors = len(arrays["labels"]), int((arrays["labels"] != arrays["predicted"]).sum())

    def label(example: Example) -> str:
        said = _name(names, example.predicted)
        return f"true {_name(names, example.true)}\npred. {said}\n{whole_percent(example.confidence)}"

    figure = _grid({
        f"Correct ({total - errors:,} of {total:,})": [(e.image, label(e)) for e in correct],
        f"Misclassified ({errors:,} of {total:,})": [(e.image, label(e)) for e in wrong],
    })  # fmt: skip
    return Drawing(
        figure=figure,
        caption=(
            f"Test images that {variant} classified correctly (above) and wrongly (below), with the true class, the "
            f"class that the network said and the probability that it gave to it; {RULE} "
            f"{counted(len(gallery.labels), 'image')}. Seed {shown.seed}, the first that finished, at the epoch "
            f"that validation chose; n = {total:,} test images."
        ),
        alt=(
            f"{counted(len(correct), 'test image')} that {variant} classified correctly and {len(wrong)} that it "
            "did not: "
            + ("; ".join(f"{_name(names, e.true)} taken for {_name(names, e.predicted)}" for e in wrong) or "none")
            + "."
        ),
    )


def draw_changes(data: StudyData, variant: str, against: str, cause: str) -> Drawing:
    """Five fixed images above five broken ones, on the seed whose McNemar test the claim gives."""
    gallery = _gallery(data)
    claimed = claim(data, variant, against)
    if claimed.verdict == SAME:
        raise CannotDrawError(claimed.sentence)
    both, median = [against, variant], claimed.median_seed
    shown = choose(data, both, PREDICTIONS, required=both, preferred=median)
    before, after, names = shown.one(against), shown.one(variant), class_names(data)
    if not np.array_equal(before["labels"], after["labels"]):
        raise CannotDrawError(f"{against} and {variant} were evaluated on different test images.")
    fixed, broken = count_changes(before, after)
    total = len(before["labels"])

    def label(change: Change, tense: str) -> str:
        sure = f"{100 * change.before:.0f} → {whole_percent(change.after)}"
        return f"true {_name(names, change.true)}\n{tense} {_name(names, change.wrong)}\n{sure}"

    rows = {fixed_row: first_changes(gallery, before, after, fixed=fixed_row) for fixed_row in (True, False)}
    figure = _grid({
        f"Fixed by {cause} ({fixed:,} of {total:,})": [(c.image, label(c, "was")) for c in rows[True]],
        f"Broken by {cause} ({broken:,} of {total:,})": [(c.image, label(c, "now")) for c in rows[False]],
    })  # fmt: skip
    return Drawing(
        figure=figure,
        caption=(
            f"Test images that {against} got wrong and {variant} right (above), and the reverse (below), with the "
            f"true class, the wrong answer (was: of {against}; now: of {variant}) and the probability that each of "
            f"the two gave to its own answer ({against} → {variant}); {RULE} "
            f"{counted(len(gallery.labels), 'image')}. Numbers in brackets count the whole test split (n = "
            f"{total:,}). {_seed_words(shown.seed, median)}: another seed fixes and breaks other images."
        ),
        alt=f"Images that {variant} fixed ({fixed} of {total}) and broke ({broken} of {total}) against {against}.",
    )


def _seed_words(seed: int, median: int | None) -> str:
    if seed == median:
        return f"Seed {seed}, whose difference in test accuracy is the median one, as in the table of pairs"
    return f"Seed {seed}, the first that both have"


def _gallery(data: StudyData) -> Gallery:
    if data.gallery is None:
        raise CannotDrawError("The gallery of test images is missing or damaged.")
    return data.gallery


def _name(names: list[str], label: int) -> str:
    return short(names[label]) if label < len(names) else str(label)


def _grid(rows: dict[str, list[tuple[Array, str]]]) -> Figure:
    # Laid out by hand: long names would make the images of one row smaller than those of the other.
    figure = new_figure(height=4.1, layout=None)
    parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for part, (title, cells) in zip(parts, rows.items(), strict=True):
        part.suptitle(title, x=0.02, ha="left", fontsize=10, fontweight="bold")
        part.subplots_adjust(left=0.02, right=0.98, bottom=0.36, top=0.86, wspace=0.14)
        for axes, cell in zip(part.subplots(1, PER_ROW), [*cells, *[None] * PER_ROW], strict=False):
            axes.set_axis_off()
            if cell is not None:
                show_image(axes, cell[0])
                axes.text(0.5, -0.05, cell[1], transform=axes.transAxes, ha="center", va="top", fontsize=SMALL)
        if not cells:
            part.text(0.5, 0.5, "no such image in the gallery", ha="center", color=GREY)
    return figure


def show_image(axes: Axes, image: Array) -> None:
    """A test image (H, W, C) as it is stored."""
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()


def recipes(data: StudyData) -> list[Recipe]:
    """Right and wrong images of each reference and the winner; what changed in each claim that compares two of them."""

    def examples(variant: str) -> Recipe:
        return Recipe(
            name=f"examples-{safe_name(variant)}",
            section="examples",
            title=f"Images right and wrong: {variant}",
            draw=lambda s: draw_examples(s, variant),
        )

    def changes(claim: Claim) -> Recipe:
        variant, against = claim.a.variant, claim.b.variant
        cause = "tuning" if is_tuning(claim) else variant
        return Recipe(
            name=f"changed-by-{safe_name(cause)}",
            section="examples",
            title=f"Images that {cause} fixed and broke against {against}",
            draw=lambda s: draw_changes(s, variant, against, cause),
        )

    claims = data.overview.study.claims
    plain = [claim for claim in claims if not (claim.a.changes or claim.b.changes)] or claims[:1]
    return [
        *(examples(variant) for variant in plain_variants(data)),
        *(changes(claim) for claim in plain),
    ]
