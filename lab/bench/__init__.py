"""The bench: a hand derivation from anywhere, tried against torch and exact arithmetic, and judged."""
