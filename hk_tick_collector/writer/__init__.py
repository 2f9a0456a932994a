"""The writer process, which `collector` runs: from the journal into the day databases.

`loop` drives it. `lane` takes batches (`intake`, `batch`) and stores them (`storing`); `waiting` has the lanes of days
that can't be written now. `apart` and `careful` handle what can't be stored because of its content.
"""
