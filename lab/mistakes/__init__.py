"""Open folder of mistakes that people make in derivations: one file each, or each close family."""

from lab.catalog import exporter

__getattr__ = exporter("mistakes")
