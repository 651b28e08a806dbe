"""History behind the verdicts: claims and seeds that came after results, and the verdicts of an earlier report."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hw2tune.records.environment import UNITS, ReplicatesRun, claims_of, replicates_runs, sides_of
from hw2tune.records.overview import Overview
from hw2tune.records.raced import later_rows
from hw2tune.records.replicates import Race, race_winners
from hw2tune.report.outputs import SUMMARY
from hw2tune.report.sentences import amount
from hw2tune.report.study_data import StudyData
from hw2tune.study.schema import TUNED, Claim
from hw2tune.text.numbers import counted, listed

EARLIER = ("increase", "decrease", "not detected")  # verdicts of summary.json up to schema 1
NOT_COVERED = ", after results: the 5 % of false verdicts do not cover the choice of this claim"


def history(data: StudyData) -> list[str]:
    """Return sentences on what came after results: trials, and with their day claims, worths, numbers and winners."""
    asked = replicates_runs(data.environment)
    others = [run for run in asked if (run.unit == "split") != bool(data.splits)]
    alike = [run for run in asked if run not in others]
    after = [*_worths_changed(data, asked), *_numbers_changed(alike), *_winners_changed(data, asked)]
    return [*searched_on(data.overview, data.races), *_claims_added(data, asked), *after, *_other_units(others)]


def searched_on(overview: Overview, races: Iterable[tuple[Overview, Race | None]]) -> Iterator[str]:
    """Yield a sentence on each search that went on after its race: the winner is that of the trials before."""
    for search, race in races:
        if race is None or not (later := later_rows(search, race)):
            continue
        known, every = race.trials is not None, len(search.finished)  # an earlier version noted no trials
        name = search.folder.root.name if overview.searches else TUNED
        number = counted(len(later), "trial")
        yield (
            f"{number if known else f'At least {number}'} ended after the race for {name}, which chose among the "
            f"{every - len(later)}{'' if known else ' at most'} that had ended by then; `hw2tune summarize "
            f"{search.folder.study_name}` races again, among all {every}."
        )


def _other_units(runs: Sequence[ReplicatesRun]) -> Iterator[str]:
    about = dict.fromkeys(UNITS[run.unit] + (f" of {counted(run.each, 'seed')}" if run.each else "") for run in runs)
    if about:
        yield f"The claims were also made about {listed([*about])}, and count as claims of their own."


def _claims_added(data: StudyData, asked: Sequence[ReplicatesRun]) -> Iterator[str]:
    runs = [(run.get("started", "")[:10], made) for run in data.environment if (made := claims_of(run)) is not None]
    tested = [{*map(sides_of, run.claims)} for run in asked if run.claims is not None]
    for claim in data.overview.study.claims:
        sides = sides_of(claim)
        day = next((day for day, claims in runs if sides in map(sides_of, claims)), "")
        if runs and sides not in map(sides_of, runs[0][1]):
            late = NOT_COVERED if tested and sides not in tested[0] else ""
            yield f"{_pair(claim)} was added {f'on {day}, ' if day else ''}after the study's first run{late}."


def _worths_changed(data: StudyData, asked: Sequence[ReplicatesRun]) -> Iterator[str]:
    objective = data.overview.study.objective_spec
    for claim in data.overview.study.claims:
        earlier = (one.worth for run in asked for one in run.claims or () if sides_of(one) == sides_of(claim))
        worths = dict.fromkeys([*earlier, claim.worth])
        if len(worths) > 1:
            words = ["the default" if one is None else amount(objective.name, one / objective.scale) for one in worths]
            changed = f"The worth of {_pair(claim)} changed after results ({', then '.join(words)})"
            yield f"{changed}: its interval holds for any."


def _pair(claim: Claim) -> str:
    return f"{claim.a.variant} against {claim.b.variant}"


def _numbers_changed(asked: Sequence[ReplicatesRun]) -> Iterator[str]:
    """Yield a sentence on the numbers of seeds, or of searches, that were asked for, unless they are one number."""
    if asked and asked[0].there:
        yield "Replicates were there before the first run on record, so verdicts are those of any look."
    numbers = [(_number(run), run.started[:10]) for run in asked]
    changes = [one for place, one in enumerate(numbers) if not place or one[0] != numbers[place - 1][0]]
    if len(changes) < 2:
        return
    unit = asked[-1].unit
    texts = [f"{number} asked for{f' on {day}' if day else ''}" for number, day in changes]
    holds = f"The verdicts hold, as they may be looked at after each {unit}."
    if len({run.each for run in asked}) > 1:
        holds = f"The 5 % of false verdicts do not cover other seeds of the same {UNITS[unit]}."
    last = asked[-1].asked  # seeds and splits beyond it count, searches that the study has no more do not
    fewer = unit == "search" and last != "auto" and any(run.asked == "auto" or run.asked > last for run in asked)
    only = f" Only the first {last} count." if fewer else ""
    yield f"The number of {UNITS[unit]} changed after results: {listed(texts)}. {holds}{only}"


def _number(run: ReplicatesRun) -> str:
    each = f" on {counted(run.each, 'seed')} each" if run.each else ""
    return f"{run.asked}{each}" if run.most is None else f"{run.asked} (up to {run.most})"


def _winners_changed(data: StudyData, asked: Sequence[ReplicatesRun]) -> Iterator[str]:
    used = {side.of for side in data.overview.study.variants.values()}
    for name, trial in race_winners(data.overview).items():
        earlier = {run.winners[name]: run.started[:10] for run in asked if run.winners.get(name, trial) != trial}
        if earlier and used & {name, name.rpartition(".")[0]}:
            tested = listed([f"#{one}{f' (before {day})' if day else ''}" for one, day in earlier.items()])
            yield (
                f"{name} was trial {tested} when it was tested before, and is #{trial} now: the 5 % of false verdicts "
                "do not cover the choice between them."
            )


def earlier_verdicts(reports: Iterable[Path], name: str | None) -> dict[str, str]:
    """Return the verdicts on a study's pairs in the first of these reports that has any by the rule of schema 1.

    A report of a later schema hands on those that it replaced. None is the only study of a report, whatever its name.
    """
    for report in reports:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
            studies = json.loads((report / SUMMARY).read_bytes())["studies"]
            study = next(one for one in studies if (len(studies) == 1 if name is None else one["name"] == name))
            said = {f"{one['variant']} against {one['against']}": str(one["verdict"]) for one in study["claims"]}
            found = study.get("earlier_verdicts", {pair: word for pair, word in said.items() if word in EARLIER})
            return {str(pair): str(word) for pair, word in found.items() if word in EARLIER}
    return {}


def restated(earlier: dict[str, str]) -> str:
    """Return a sentence on the verdicts of an earlier report; empty without any."""
    if not earlier:
        return ""
    words = listed([f"{pair}: {word}" for pair, word in earlier.items()])
    return f"An earlier report gave other verdicts, each by a 95 % interval over its seeds alone ({words})."
