"""Whole trading days by a seed: what can happen to a recorder, told to the real writer and judged by the real audit."""
