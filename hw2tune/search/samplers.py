"""What chooses the next configuration."""

from __future__ import annotations

import warnings

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from hw2tune.study.schema import Study

SEED_STRIDE = 1_000_003  # prime, so that no two pairs of seed and number of trials meet by accident


def build_sampler(study: Study, trials_drawn: int) -> BaseSampler:
    """The study's sampler; the trials drawn before are mixed into its seed, or a continuation would replay them."""
    seed = (study.seed + SEED_STRIDE * trials_drawn) % 2**32
    if study.sampler == "random":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        # Optuna 5 still calls these options experimental. They stand here in full because its defaults change.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
