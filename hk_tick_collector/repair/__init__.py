"""Putting a day right after the fact: `times` moves late times back, `rebuild` derives a day again from the journal."""
