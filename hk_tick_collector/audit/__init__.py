"""The audit of a day: for each symbol a proof that it is whole, or what is missing, or what is not proven, and why."""
