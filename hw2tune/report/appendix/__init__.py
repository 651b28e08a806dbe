"""The appendix of a report as data: limits of the verdicts, and the items of checklists answered from the records."""
