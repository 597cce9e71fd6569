"""Open folder: one file, one Loss. A file's name is its kind in a config; its class is `lab.losses.<Class>`."""

from lab.catalog import exporter

__getattr__ = exporter("losses")
