"""Open folder: one file, one Probe. A file's name is its kind in a config; its class is `lab.probes.<Class>`."""

from lab.catalog import exporter

__getattr__ = exporter("probes")
