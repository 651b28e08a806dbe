"""The limits of a study's verdicts: what they cover, and what they do not, from the records."""

from __future__ import annotations

from hw2tune.records.reads import TestReads, test_reads
from hw2tune.report.results import StudyResults
from hw2tune.report.study_data import StudyData
from hw2tune.study.schema import TUNED
from hw2tune.text.numbers import counted, listed


def limits(results: StudyResults) -> list[str]:
    """Return the limits as sentences; none without a replicate, as nothing is claimed then."""
    data, study = results.data, results.data.overview.study
    if not data.replicates:
        return []
    part = f" on {study.train_size:,} images" if study.train_size else ""
    repeated = "searches" if study.searches > 1 else "seeds and other splits" if data.splits else "seeds"
    found = [
        f"The verdicts are about other {repeated} and other test images of {data.label}, for {study.model} trained for "
        f"at most {counted(study.max_epochs, 'epoch')}{part}; another network, other data or a longer training may "
        "give another verdict.",
        _split(data),
    ]
    if study.arms:
        searches = "one search" if study.searches == 1 else f"each of {study.searches} searches"
        found.append(
            f"Each arm is judged by the winner of {searches}, on one budget and in one search space: another budget or "
            "space may give another verdict."
        )
    if TUNED in {data.side(name).of for name in data.variants}:
        found.append(
            "`tuned` is the winner of one search: the same search with another seed may find another configuration. "
            "Values outside of the search space were not tried."
        )
    references = [name for name in study.references if name in data.variants]
    if TUNED in data.variants and references:
        have = "has" if len(references) == 1 else "have"
        found.append(
            f"Only `tuned` was searched; {listed([f'`{name}`' for name in references])} {have} fixed values. A part of "
            "the difference is the effort of tuning."
        )
    if study.allow_overlap or (data.dataset and data.dataset.caveat):
        found.append(f"The data have a caveat: {(data.dataset and data.dataset.caveat) or study.allow_overlap}.")
    reads = reads_of(data)
    return [*found, reads.sentence] if reads else found


def _split(data: StudyData) -> str:
    """Return the sentence on the split of training and validation images."""
    study = data.overview.study
    if not data.splits:
        measure = f"; `hw2tune summarize {data.name} --splits 5 --replicates 2` does so" if study.searches == 1 else ""
        return (
            f"All trainings share one split of training and validation images (seed {study.split_seed}): its part in "
            f"the differences was not measured{measure}."
        )
    return (
        "The split of training and validation images was measured: claims are about "
        f"{counted(len(data.splits), 'split')} (seeds {listed(data.splits)}), with the same test images. Search and "
        f"race were on another one (seed {study.split_seed}); on a further one they may find another winner."
    )


def reads_of(data: StudyData) -> TestReads | None:
    """Return the test reads of the study's images in its results folder."""
    ledger = test_reads(data.overview.folder.root.parent)
    return next((one for one in ledger if one.checksum == data.images.get("checksum")), None)
