"""A reproduction of several runs: each note on a tolerance is printed, once."""

import io
from types import SimpleNamespace

import pandas as pd
from rich.console import Console

from hw2tune.terminal.tables import print_reproduction


def test_the_tolerance_of_every_run_is_said_and_equal_ones_once():
    notes = {"baseline": "from 3 seeds", "l2": "from the published spread", "l2 again": "from 3 seeds"}
    runs = {
        label: SimpleNamespace(rows=pd.DataFrame(), caveat="", sentence=f"sentence of {label}", tolerance_note=note)
        for label, note in notes.items()
    }
    out = io.StringIO()
    report = SimpleNamespace(name="mnist", runs=runs, table="table.csv", page="index.html")
    print_reproduction(report, Console(file=out, width=200))
    assert [out.getvalue().count(note) for note in ("from 3 seeds", "from the published spread")] == [1, 1]
