"""The table of the best trial and the references, at the end of a study."""

import io
import json

from rich.console import Console

from hw2tune.records.overview import read_overview
from hw2tune.terminal.tables import print_outcome
from tests.report.fake_study import write_fake_study


def test_the_train_loss_is_of_the_epoch_in_the_column_before_it(tmp_path):
    overview = read_overview(write_fake_study(tmp_path, trials=10, seeds=0))
    best = overview.best
    path = overview.folder.trial(best.number).epochs
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        record["train_loss"] = 0.7 if record["epoch"] == best.best_epoch else 0.1
    later = records[-1] | {"epoch": records[-1]["epoch"] + 1, "train_loss": 0.05}
    path.write_text("".join(json.dumps(record) + "\n" for record in [*records, later]))
    print_outcome(overview, Console(file=(out := io.StringIO()), width=200))
    (line,) = (line for line in out.getvalue().splitlines() if line.startswith("best"))
    assert line.split()[1:6] == [f"#{best.number}", f"{100 * best.value:.2f}", "%", str(best.best_epoch), "0.7000"]
