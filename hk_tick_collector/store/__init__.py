"""Files in DATA_ROOT, below `db`: the schema, how a database is opened for reading, and who may write there."""
