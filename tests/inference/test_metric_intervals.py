"""Intervals of metrics that are no mean over images: the small version of benchmarks/metric_intervals.py."""

from __future__ import annotations

from benchmarks.metric_intervals import coverage


def test_an_interval_over_seeds_and_images_covers_and_one_over_seeds_alone_does_not() -> None:
    for row in coverage(images=150, n=10, studies=150):
        assert 0.90 <= row["over seeds and images"] <= 0.99  # 95 % within three standard errors
        assert row["over seeds"] < 0.85
        assert row["percentile bootstrap, +- points"] > 1.05 * row["over seeds and images, +- points"]
