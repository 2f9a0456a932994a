"""hk-tick-collector: every Hong Kong trade that OpenD tells, stored once, exactly, with the right time."""

__version__ = "0.1.0"
