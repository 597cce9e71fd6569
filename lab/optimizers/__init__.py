"""Open folder: one file, one Optimizer. A file's name is its kind; its class is `lab.optimizers.<Class>`."""

from lab.catalog import exporter

__getattr__ = exporter("optimizers")
