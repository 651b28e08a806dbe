"""A study as it lies on disk, for people who work with it in Python: tidy frames, the best trial, figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.rows import TrialRow
from hw2tune.search.driver import RunEnd
from hw2tune.study.objectives import decimals, sign_of
from hw2tune.study.schema import Study
from hw2tune.text.numbers import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from hw2tune.report.study_data import StudyData

# What an epoch's record holds besides these is Tune's: process, machine, date.
EPOCH_COLUMNS = (
    "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "train_seconds", "epoch_seconds",
    "images_per_second",
)  # fmt: skip


@dataclass(frozen=True)
class StudyResult:
    """A study so far. `end` says why the run that returned it was over, None if it was only read.

    Frames and figures are computed when they are asked for, from the files of that moment.
    """

    overview: Overview
    end: RunEnd | None = None

    @property
    def name(self) -> str:
        """The study's name."""
        return self.folder.name

    @property
    def folder(self) -> StudyFolder:
        """The study's folder."""
        return self.overview.folder

    @property
    def study(self) -> Study:
        """The study file as it ran, every default filled in."""
        return self.overview.study

    @property
    def state(self) -> str:
        """`complete`, `running`, `interrupted`, ..."""
        return self.overview.state

    @property
    def trials(self) -> pd.DataFrame:
        """One row a trial.

        `search`, the name of the trial's search, in a study with arms alone; `number`; `label` (of a reference);
        `state` and `reason` as text; `epochs` trained; `value`, the best of the objective over the epochs (an accuracy
        as a fraction, a loss in nats per image), at `best_epoch`; `seconds` spent training; one column a
        hyperparameter, missing where a trial has none.
        """
        import pandas as pd

        rows = [
            {**search, **{name: value for name, value in asdict(row).items() if name != "params"}, **row.params}
            for search, _, row in self._rows()
        ]
        return pd.DataFrame(rows, columns=None if rows else [*self._search_column, *TrialRow.__dataclass_fields__])

    @property
    def epochs(self) -> pd.DataFrame:
        """One row a trial and epoch.

        `search` as in `trials`; `trial`, `epoch` (from 1); losses in nats per image, accuracies as fractions, of
        training (in training mode) and validation; `train_seconds` and `epoch_seconds` (with validation);
        `images_per_second` of training; the objective, if it is another quantity.
        """
        import pandas as pd

        columns = [*dict.fromkeys((*EPOCH_COLUMNS, self.study.objective))]
        records = [
            {**search, "trial": row.number, "epoch": record["epoch"], **{name: record.get(name) for name in columns}}
            for search, folder, row in self._rows()
            for record in read_epochs(folder.trial(row.number))
        ]
        return pd.DataFrame(records, columns=[*self._search_column, "trial", "epoch", *columns])

    @property
    def best(self) -> TrialRow | None:
        """The trial with the best value of the objective, of all arms if there are any; None before one has a value."""
        return self.overview.leading.best

    @property
    def variants(self) -> pd.DataFrame:
        """One row a variant that replicates were trained of, with means, intervals and test accuracy; may be empty."""
        from hw2tune.report.tables import variants_table

        return variants_table(self._data)

    @property
    def pairs(self) -> pd.DataFrame:
        """One row a claim: two variants on the same seeds, their difference with its interval and p; may be empty."""
        from hw2tune.report.claims import claims
        from hw2tune.report.tables import pairs_table

        return pairs_table(claims(self._data))

    @property
    def figures(self) -> Figures:
        """The report's figures by name; each is drawn when it is asked for."""
        return Figures(self._data)

    @property
    def _search_column(self) -> list[str]:
        return ["search"] if self.overview.searches else []

    def _rows(self) -> Iterator[tuple[dict[str, str], StudyFolder, TrialRow]]:
        """Yield each trial with its folder, and with the column that says of which arm's search it is."""
        for one in self.overview.searches or (self.overview,):
            search = dict.fromkeys(self._search_column, one.folder.root.name)
            yield from ((search, one.folder, row) for row in one.rows)

    @cached_property
    def _data(self) -> StudyData:
        from hw2tune.report.study_data import read_study_data

        return read_study_data(self.folder)

    def __repr__(self) -> str:
        text = f"{self.name}: {self.state}, {counted(len(self.overview.every_finished), 'trial')} finished"
        if (best := self.best) is not None and best.value is not None:
            arm = f" of {self.overview.best_arm}" if self.overview.best_arm else ""
            text += f", best {self.study.objective} {decimals(best.value)} (#{best.number}{arm})"
        return f"<StudyResult {text}>"

    def _repr_html_(self) -> str:
        """For notebooks: what it is, and its best trials."""
        finished = self.trials.dropna(subset=["value"]).sort_values(
            "value", ascending=sign_of(self.study.direction) < 0, kind="stable"
        )
        return f"<p>{escape(repr(self)[1:-1])}</p>{finished.head(10).to_html(index=False)}"


class Figures(Mapping[str, "Figure"]):
    """A study's figures by name, as items or as attributes (`figures["curves-loss"]`, `figures.curves_loss`).

    They take colours, resolution and width from matplotlib's settings where these are the caller's own.
    """

    def __init__(self, data: StudyData) -> None:
        from hw2tune.report.figures.recipes import recipes

        self._data = data
        self._recipes = {recipe.name: recipe for recipe in recipes(data)}

    def __getitem__(self, name: str) -> Figure:
        """Draw a figure. Raises KeyError for a name that there is not, CannotDrawError where data are missing."""
        from hw2tune.report.figures.style import callers_style, resized

        recipe = self._recipes[name]
        with callers_style():
            figure = recipe.draw(self._data).figure
        return resized(figure)

    def __getattr__(self, name: str) -> Figure:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name.replace("_", "-")]
        except KeyError:
            raise AttributeError(f"no figure {name!r}; there are {', '.join(self)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._recipes)

    def __len__(self) -> int:
        return len(self._recipes)

    def __dir__(self) -> list[Any]:
        return [*super().__dir__(), *(name.replace("-", "_") for name in self)]

    def __repr__(self) -> str:
        return f"<Figures {', '.join(self)}>"
