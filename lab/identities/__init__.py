"""Open folder: one file, one statement. A file's name is the statement's; `lab check NAME` judges it."""

from lab.catalog import exporter

__getattr__ = exporter("identities")
