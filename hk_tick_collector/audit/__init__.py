"""The audit of a day: for each symbol a proof that nothing is missing, or what is missing, or what is not proven."""
