"""Record what built-in components compute: `python -m tests.recorded.make`.

What changed although its version is the recorded one is not recorded again, but named: raise the version.
"""

from __future__ import annotations

import json
import sys

import torch

from tests.recorded.compare import fault
from tests.recorded.outputs import FILE, recordings


def main() -> int:
    torch.set_num_threads(1)
    old = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
    new, faults = {}, []
    for name, version, compute in recordings():
        values = compute()
        known = old.get(name)
        if known is not None and known["version"] == version:
            if found := fault(name, version, values, known):
                faults.append(found)
            new[name] = known
        else:
            new[name] = {"version": version, "values": [float(f"{v:.6g}") for v in values]}
    lines = [f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in sorted(new.items())]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(*faults, f"{len(new)} recorded in {FILE.name}", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
