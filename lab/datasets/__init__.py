"""Open folder: one file, one Dataset. A file's name is its kind in a config; its class is `lab.datasets.<Class>`."""

from lab.catalog import exporter

__getattr__ = exporter("datasets")
