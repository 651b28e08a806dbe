"""Searches replayed on a table of learning curves, in simulated time and through hw2tune's own `StudyDriver`.

`searches.py` runs them in one of three worlds. `pool.py`: what a sampler draws becomes the nearest configuration of the
table that was not trained yet, so that every value is one that was measured. `forest.py`: a random forest over the
table's curves answers for any configuration, with the noise of a training that was repeated; no sampler here uses a
forest. `live.py`: every epoch is trained when it is asked for. `resuming.py` runs those that go on with what they had
stopped, which the driver never does.
"""
