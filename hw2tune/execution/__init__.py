"""WHERE and WHICH: Ray Tune executes, Optuna decides.

Ray reads its settings when it is first imported, so they are made before any module of this room imports it.
"""

import os

from hw2tune.variables import settle

settle(os.environ)
