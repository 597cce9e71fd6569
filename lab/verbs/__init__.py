"""Open folder: what the program does, a file for each verb."""
