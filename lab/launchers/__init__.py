"""Open folder: where the runs of a sweep are computed, a file for each way."""
