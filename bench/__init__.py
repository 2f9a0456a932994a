"""Measurements against the targets, as ratios within one run: `make bench`."""
