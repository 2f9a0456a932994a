"""The Python API for researchers: ticks and bars of recorded days, as Arrow, polars or pandas."""
