"""What a day database is opened with, unless the operator says otherwise. Imports nothing: `config` must stay light."""

BUSY_MS = 5000
SYNCHRONOUS = "FULL"
WAL_PAGES = 4000
