"""Open folder: one file, one Model. A file's name is its kind in a config; its class is `lab.models.<Class>`."""

from lab.catalog import exporter

__getattr__ = exporter("models")
