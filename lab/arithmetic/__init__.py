"""Arithmetic free of rounding: torch code replayed on numbers of hundreds of bits, and differentiated there."""
