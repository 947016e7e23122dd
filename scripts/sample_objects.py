"""Objects of all common kinds as JSON lines: what the generic dictionary is trained on.

Run from the repository root; see rust/vai-core/examples/train_dictionary.rs.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.apiserver import objects

SEED = 20


def main() -> None:
    """Print the samples."""
    kinds = (
        objects.pods(400, SEED),
        objects.replica_sets(60, SEED),
        objects.deployments(60, SEED),
        objects.config_maps(60, SEED),
        objects.nodes(40, SEED),
        objects.namespaces(20, SEED),
        objects.rbac_objects(60, SEED),
        objects.widgets(20, SEED),
    )
    for item in itertools.chain.from_iterable(kinds):
        sys.stdout.write(json.dumps(item, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
