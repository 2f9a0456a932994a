"""The writer process, behind `collector`: from the journal into the day databases.

`loop` drives it. `lane` takes batches (`intake`, `batch`) and stores them (`storing`); `waiting` are the lanes of days
that can't be written now. `apart` and `careful` are for what can't be stored because of its content.
"""
