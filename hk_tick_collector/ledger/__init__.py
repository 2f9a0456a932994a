"""The loss ledger: what is concluded while a day is recorded."""
