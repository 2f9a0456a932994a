"""Repairs days: `times` moves late times back, `rebuild` derives a day again, `merge` unites two recorders' days."""
