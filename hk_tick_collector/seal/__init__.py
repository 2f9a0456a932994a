"""Days that are over: their certificates, the catalogue of all days, and what the journal need not keep any more."""
