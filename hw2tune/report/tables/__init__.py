"""Every table of the report: pandas DataFrames, computed here and tested on numbers, drawn and written elsewhere.

Accuracies are fractions, losses nats per image. What is missing is an empty table with its columns, or NaN / <NA>.
"""
