"""Every table of the report: pandas DataFrames, computed here and tested on numbers, drawn and written elsewhere.

Accuracies are fractions, losses nats per image. What is missing is an empty table with its columns, or NaN / <NA>.
"""

from hw2tune.report.tables.curves import curve_table, epochs_table
from hw2tune.report.tables.images import confusion_table, fixed_broken_table, per_class_table
from hw2tune.report.tables.search import race_table, trials_table
from hw2tune.report.tables.variants import pairs_table, replicates_table, variants_table

__all__ = [
    "confusion_table",
    "curve_table",
    "epochs_table",
    "fixed_broken_table",
    "pairs_table",
    "per_class_table",
    "race_table",
    "replicates_table",
    "trials_table",
    "variants_table",
]
