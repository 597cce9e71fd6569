"""Open folder: one file, one Theorem. A file's name is what a config lists; its docstring states and proves it."""

from lab.catalog import exporter

__getattr__ = exporter("theorems")
