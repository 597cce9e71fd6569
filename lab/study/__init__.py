"""What came of runs: chosen by a condition, tabled, compared, exported, and made many at a time by a sweep."""
