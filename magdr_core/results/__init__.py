"""What a benchmark leaves behind: the store's cells, rows of results.csv, the files of a run folder."""
