"""A benchmark from Python, with a defense that is defined here.

    python examples/own_defense.py [OUT] [LIMIT]

`plugins` takes the place of a plugin file; what an installed or local plugin would return from its hook is
listed. Results are kept in OUT/cache under keys that hold a hash of this file, so they are computed once.
"""

import sys
from pathlib import Path
from typing import Annotated

from torch import Tensor

from magdr_core import Bench, Toolkit
from magdr_core.api import DefenseSpec, Field, stateless
from magdr_core.functional import resize

REGISTRY = """
[defense.halved]
use = "mine/smaller"
params = { scale = 0.5 }

[profile.mine]
generators = ["editing"]
samples = 4
first = 2000
attacks = ["pgd"]
defenses = ["identity", "jpeg", "halved"]
"""


def smaller(x: Tensor, c: object, G: object, *, scale: Annotated[float, Field(gt=0, lt=1)] = 0.75) -> Tensor:
    """Shrink and enlarge again. [B,3,H,W] -> same."""
    size = x.shape[-1]
    return resize(resize(x, round(scale * size)), size)


def main(out: str = "runs", limit: str = "4") -> None:
    mine = [DefenseSpec(name="smaller", build=stateless(smaller))]
    toolkit = Toolkit.from_registry().extended(REGISTRY, plugins={"mine": mine})
    bench = Bench(toolkit, "mine", out=Path(out, "own"), cache=Path(out, "cache"), limit=int(limit))
    result = bench.run()
    for row in result.rows:
        if row["metric"] == "mse_o" and row["role"] == "defense":
            print(f"{row['attack']:6} {row['component']:10} {row['value']:8.1f}")
    print(f"{result.computed} computed, {result.reused} kept: {result.folder / 'results.csv'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
