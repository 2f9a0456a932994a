"""Which sealed days become Parquet files, in which steps, and how such a day becomes a database again."""
