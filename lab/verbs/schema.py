"""`lab schema`: what a config may say."""

import argparse
from collections.abc import Sequence

from lab.verb import Verb


class Schema(Verb):
    """Print the JSON schema of a config."""

    example = "lab schema > configs/schema.json"

    def options(self, parser: argparse.ArgumentParser) -> None:
        """None."""

    def run(self, options: argparse.Namespace, argv: Sequence[str]) -> int:
        import json

        from lab.config import json_schema

        print(json.dumps(json_schema(), indent=2))
        return 0
