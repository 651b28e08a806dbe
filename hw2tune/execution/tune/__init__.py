"""The adapters between Ray Tune and the study's own driver: they translate and decide nothing."""
