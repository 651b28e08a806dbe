"""WHERE and WHICH: Ray Tune executes, Optuna decides.

Ray reads these settings when it is first imported, so they stand here, before any module of this room imports it.
"""

import os

# Clusters that we start are closed to others, and attaching sends the token; a user's own setting counts.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    RAY_AIR_NEW_OUTPUT="0",  # Ray 2.60: the new output prints its configuration box even with verbose=0
    RAY_ENABLE_UV_RUN_RUNTIME_ENV="0",  # else every worker starts through `uv run` of its own, seconds later
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",  # trials without a GPU keep the variables as they are; else a warning
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",  # TensorBoard's logger imports torch into the driver: 3.8 s
    TUNE_DISABLE_STRICT_METRIC_CHECKING="1",  # a failed trial reports why instead of a metric
    TUNE_PRINT_ALL_TRIAL_ERRORS="0",
    TUNE_DISABLE_SIGINT_HANDLER="1",  # ours stops the study and keeps its state
    TUNE_GLOBAL_CHECKPOINT_S="86400",  # Tune's own state is thrown away: Optuna's storage is the truth
)
