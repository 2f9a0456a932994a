"""Days that are over: their certificates, the catalogue of all days, and the pruning of the journal."""
