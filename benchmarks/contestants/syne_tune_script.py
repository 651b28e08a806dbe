"""One trial of Syne Tune: hyperparameters come as arguments, a Reporter tells each epoch."""

from __future__ import annotations

from argparse import ArgumentParser

from syne_tune import Reporter

from benchmarks.contestants.tutorial import read_job, train

if __name__ == "__main__":
    parser = ArgumentParser()
    for name in ("learning_rate", "momentum", "weight_decay"):
        parser.add_argument(f"--{name}", type=float)
    parser.add_argument("--batch_size", type=int)
    parser.add_argument("--optimizer")
    parser.add_argument("--job")
    arguments, _ = parser.parse_known_args()
    report = Reporter()
    for epoch, (accuracy, _, _) in enumerate(train(vars(arguments), read_job(arguments.job)), 1):
        report(epoch=epoch, accuracy=accuracy)
