"""`hw2tune compare`: two studies side by side, and what their replicates say in pairs, seed by seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hw2tune.errors import NotComparableError
from hw2tune.inference.evidence import Pair, gather
from hw2tune.inference.statistics import Summary
from hw2tune.inference.units import by_unit, over_units, units_words
from hw2tune.inference.verdicts import Rule
from hw2tune.records.dataset import short
from hw2tune.records.environment import replicates_runs
from hw2tune.records.remote.mirror import reading_study
from hw2tune.records.replicates import Replicate
from hw2tune.report.claims import MISSING, REPORT_SCHEMA, SAME, ClaimResult, Tested, judged, rule_of
from hw2tune.report.configurations import same_configuration
from hw2tune.report.history import searched_on
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.study.arms import search_of_seed
from hw2tune.study.objectives import is_loss
from hw2tune.study.schema import Study
from hw2tune.study.splits import split_of_seed
from hw2tune.text.numbers import configuration_words, counted, is_user_metric, listed
from hw2tune.user_code.files import code_digest, code_reference


@dataclass(frozen=True, kw_only=True)
class StudyComparison:
    """Two comparable studies, `b` against `a`.

    `pairs` hold, for each variant that both have replicates of, `b` against `a` in the objective's metric on the same
    seeds; `notes` are what else differs, so that a difference may come of it.
    """

    a: StudyData
    b: StudyData
    pairs: list[ClaimResult]
    notes: list[str]

    @property
    def variants(self) -> list[str]:
        """Those that either has replicates of, in the order of the studies."""
        return list(dict.fromkeys(one.variant for data in (self.a, self.b) for one in data.replicates))

    def as_json(self) -> dict[str, Any]:
        """For `--json`: accuracies as fractions; keys are only ever added."""
        studies = [
            {
                "name": data.name,
                "state": data.overview.state,
                "data": data.images["label"],
                "checksum": data.images.get("checksum"),
                "split_checksum": data.images.get("split_checksum"),
                **{name: getattr(data.overview.study, name) for name in ("objective", "model", "loss", "max_epochs")},
                "trials": len(data.overview.every_finished),
                "epochs": sum(row.epochs for row in data.overview.every_row),
                "best": (best := data.overview.leading.best) and asdict(best),
                "best_arm": data.overview.best_arm,
                "test_accuracy": {name: (s := test_accuracy(data, name)) and asdict(s) for name in self.variants},
            }
            for data in (self.a, self.b)
        ]
        pairs = [one.numbers for one in self.pairs]
        return {"schema": REPORT_SCHEMA, "studies": studies, "pairs": pairs, "notes": self.notes}


def compare_studies(a: str, b: str, *, results_dir: str | Path = "ray_results") -> StudyComparison:
    """Study `b` against study `a`. Needs neither torch nor Ray.

    Raises NotComparableError, with every reason, where images, split, objective or evaluation are not the same.
    """
    if a == b:
        raise NotComparableError(f"{a}: is compared with itself; name two studies")
    first, second = (read_study_data(reading_study(results_dir, name)) for name in (a, b))
    if reasons := list(_incomparable(first, second)):
        raise NotComparableError(f"{a} and {b} cannot be compared: {'; '.join(reasons)}")
    shared = [name for name in dict.fromkeys(one.variant for one in first.replicates) if second.of(name)]
    pairs = judged([_pair(first, second, variant) for variant in shared], _rule(first, second, len(shared)))
    return StudyComparison(a=first, b=second, pairs=pairs, notes=list(_notes(first, second)))


def test_accuracy(data: StudyData, variant: str) -> Summary | None:
    """Return mean and interval over the finished seeds, or the means of searches or splits; None without any."""
    return over_units({one.seed: one.chosen.accuracy for one in data.of(variant) if one.chosen}, data.unit_of)


def repeated(data: StudyData, variant: str) -> str:
    """Return what `test_accuracy` is over: `7 seeds`, `3 splits x 2 seeds`."""
    return units_words(data.family[0], [data.unit_of(one.seed) for one in data.of(variant) if one.chosen])


def _incomparable(a: StudyData, b: StudyData) -> Iterator[str]:
    first, second = a.images, b.images
    one, two = a.overview.study, b.overview.study
    unknown = [data.name for data, images in ((a, first), (b, second)) if not images.get("checksum")]
    if unknown:
        yield f"which images {listed(unknown)} had is not recorded; `hw2tune summarize` records it"
    elif first["checksum"] != second["checksum"]:
        yield f"other images ({_told_apart(first['label'], second['label'], first['checksum'], second['checksum'])})"
    elif any(name in first and first[name] != second.get(name, first[name]) for name in ("classes", "image_shape")):
        yield f"other classes or sizes of images ({first['label']} and {second['label']})"
    elif first["split_checksum"] != second["split_checksum"] or (
        first["sizes"] and second["sizes"] and first["sizes"] != second["sizes"]
    ):
        split, other = (f"split_seed {each.split_seed}, validation_size {each.validation_size}" for each in (one, two))
        told = _told_apart(split, other, first["split_checksum"], second["split_checksum"])
        yield f"other images validate ({told})"
    if one.objective != two.objective:
        yield f"other objectives ({one.objective_spec.label} and {two.objective_spec.label})"
    elif is_user_metric(one.objective) and _metric(one) != _metric(two):
        yield f"other objectives ({one.objective} is not the same code in both)"
    elif is_loss(one.objective) and one.loss != two.loss:
        yield f"other losses, which are the objective ({one.loss} and {two.loss})"
    ways = [{_evaluation(each) for each in data.replicates if each.chosen or each.last} for data in (a, b)]
    if all(ways) and ways[0] != ways[1]:
        yield f"another evaluation ({' and '.join(listed(sorted(way)) for way in ways)})"


def _told_apart(first: str, second: str, checksum: str, other: str) -> str:
    """Two things by their names, or where these are alike by their checksums."""
    if first != second:
        return f"{first} and {second}"
    return f"{first}, but with checksums {short(checksum)} and {short(other)}"


def _metric(study: Study) -> str:
    """The digest of the code of an objective of the user's; of an installed one nothing is known but its name."""
    file = code_reference(study.objective).file
    return "" if file is None else code_digest({name: text for name, text in study.code.items() if name == file})


def _evaluation(replicate: Replicate) -> str:
    """Return in words on which images a replicate was tested, and at which epoch."""
    read = replicate.chosen or replicate.last
    assert read is not None, "asked before"
    when = "at the epoch that validation chose" if replicate.chosen else "as the published runs were"
    return f"on {read.split}{', which was trained on' if read.overlaps_training else ''}, {when}"


def _pair(a: StudyData, b: StudyData, variant: str) -> ClaimResult | Tested:
    ours, theirs = b.of(variant), a.of(variant)
    names = f"{variant} of {b.name}", f"{variant} of {a.name}"
    searched = max((a.overview.study, b.overview.study), key=lambda study: study.searches)
    one = searched.searches == 1  # search of each, so that a variant is one configuration
    same = one and same_configuration(ours[0].params, theirs[0].params)
    if same and _training(a) == _training(b):
        told = f"{names[0]} and {names[1]} are the same configuration, trained alike: nothing to compare."
        return ClaimResult(variant=names[0], against=names[1], verdict=SAME, sentence=told)

    def predictions(seed: int) -> Pair:
        return b.predictions(variant, seed), a.predictions(variant, seed)

    metric = b.overview.study.objective
    ours = [each for each in ours if len({split_of_seed(data.overview.study, each.seed) for data in (a, b)}) == 1]
    worths = [
        claim.worth
        for data in (a, b)
        for claim in data.overview.study.claims
        if claim.worth is not None and variant in (claim.a.variant, claim.b.variant)
    ]
    worth = min(worths, default=None)  # the strictest that a claim on this variant states
    evidence = gather(names[0], ours, names[1], theirs, arrays=predictions, metric=metric, worth=worth)
    if not one:
        evidence = by_unit(evidence, "search", partial(search_of_seed, searched))
    elif b.splits:
        evidence = by_unit(evidence, "split", b.unit_of, b.family[1])
    if not evidence.seeds:
        seeds = [listed([one.seed for one in each if one.chosen]) for each in (ours, theirs)]
        told = f"{names[0]} and {names[1]}: no seed in common (finished are {seeds[0]}, and {seeds[1]})."
        return ClaimResult(variant=names[0], against=names[1], verdict=MISSING, sentence=told)
    own, other = (f" ({configuration_words(each[0].params)})" if one and not same else "" for each in (ours, theirs))
    subject = f"the variant {names[0]}{own}, against that of {a.name}{other},"
    subject += " which is the same configuration," if same else ""
    return Tested(evidence=evidence, subject=subject, predictions=predictions)


def _rule(a: StudyData, b: StudyData, pairs: int) -> Rule:
    """Return the rule for so many pairs: the number of seeds was fixed only if both studies asked for the same.

    Of other seeds they have fewer in common, a number as fixed beforehand.
    """
    fixed = {rule_of(data).fixed for data in (a, b)}
    number = fixed.pop() if len(fixed) == 1 else None
    if number is not None:
        asked = [{*replicates_runs(data.environment)[-1].seeds} for data in (a, b)]
        number = min(number, len({b.unit_of(seed) for seed in asked[0] & asked[1]}) or number)
    return Rule(claims=max(1, pairs), fixed=number)


def _training(data: StudyData) -> tuple[object, ...]:
    """All that a configuration's training depends on besides."""
    study = data.overview.study
    return study.model, study.loss, study.max_epochs, study.objective, code_digest(study.code)


def _notes(a: StudyData, b: StudyData) -> Iterator[str]:
    one, two = a.overview.study, b.overview.study
    for name in ("model", "loss", "max_epochs"):
        values = [getattr(study, name) for study in (one, two)]
        if values[0] != values[1]:
            yield f"{name.replace('_', ' ')}: {values[0]} and {values[1]}"
    if one.model == two.model and one.code != two.code:
        yield "the code of the network, or of what it imports, differs"
    for data in (a, b):
        if not any(each.chosen for each in data.replicates):
            yield f"{data.name} has no replicates, so nothing is tested; `hw2tune summarize {data.called}` trains them"
        if data.overview.state != "complete":
            yield f"{data.name} is {data.overview.state}: what it has found may change"
        yield from (f"{data.name}: {sentence}" for sentence in searched_on(data.overview, data.races))


def extent(data: StudyData) -> str:
    """`12 (complete)`, with the epochs that all of them had."""
    epochs = sum(row.epochs for row in data.overview.every_row)
    return f"{len(data.overview.every_finished)} ({data.overview.state}), {counted(epochs, 'epoch')}"
