"""Every network that a claim rests on."""

from __future__ import annotations

from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.page.blocks import Block, Row, Table
from hw2tune.report.results import StudyResults
from hw2tune.text.numbers import DASH, duration, missing, percent


def replicate_blocks(results: StudyResults) -> list[Block]:
    """Every replicate, the ones that did not finish among them."""
    table = results.tables["replicates"]
    if table.empty:
        return []
    rows = [
        Row(
            caveat=results.caveats.get(str(row["variant"]), "") if row["overlaps_training"] is True else "",
            faded=row["state"] != COMPLETE,
            cells=[
                str(row["variant"]),
                str(row["seed"]),
                str(row["reason"] or row["state"]),
                DASH if missing(row["chosen_epoch"]) else f"{int(row['chosen_epoch'])}",
                percent(row["validation_accuracy"]),
                percent(row["test_accuracy"]),
                DASH if missing(row["test_loss"]) else f"{row['test_loss']:.4f}",
                percent(row["last_test_accuracy"]),
                duration(row["seconds"]),
            ],
        )
        for row in table.to_dict("records")
    ]
    return [
        Table(
            name="replicates",
            title="Replicates",
            caption=(
                "Every network that a claim rests on. Equal seeds share first weights and order of images wherever "
                "the shapes allow it."
            ),
            columns=["Variant", "Seed", "State", "Epoch", "Validation", "Test", "Test loss", "Last epoch", "Time"],
            numeric=frozenset({"Seed", "Epoch", "Validation", "Test", "Test loss", "Last epoch", "Time"}),
            rows=rows,
            file=results.file("tables", "replicates.csv"),
        )
    ]
