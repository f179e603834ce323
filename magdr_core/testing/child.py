"""The child process of `magdr plugins check`: judges, and says before each step what it is about to do.

A plugin may hang or take the process down; its parent then knows where. Records are JSON lines on the
standard output that the process was started with; whatever plugins print goes to the standard error.

    python -m magdr_core.testing.child '{"namespace": "acme", ...}'
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magdr_core.testing.checks import Check

Say = Callable[..., None]


def main() -> None:
    say = _records()
    job = json.loads(sys.argv[1])
    faulthandler.enable()
    sys.path[:0] = job["paths"]
    from magdr_core.testing.fake_cuda import with_device
    from magdr_core.testing.suite import CheckedPlugin, checks_in
    from magdr_core.testing.world import World

    target = CheckedPlugin(job["namespace"], job["local"], Path(job["base"]), job["only"])
    params = {(kind, name): values for kind, name, values in job["params"]}
    say(ready=True)
    say(at={"component": "", "rule": "loads", "file": job["file"], "plugin": job["namespace"]})
    with with_device(job["device"]) as device:
        world = World(target.local, base=target.base, device=device)
        judge(checks_in(world, target, params=params), set(job["done"]), say)
    say(done=True)
    # A plugin's threads and exit handlers are none of our business any more.
    sys.stderr.flush()
    os._exit(0)


def judge(checks: list[Check], done: set[str], say: Say) -> None:
    """Judge whatever is not done, and say so."""
    for check in checks:
        if check.component in done:
            continue
        say(at={"component": check.component, "rule": check.rule, "file": check.file, "plugin": check.plugin})
        try:
            for finding in check.findings():
                say(finding=finding.as_dict())
        except unittest.SkipTest as e:
            if check.rule == "builds":
                say(unchecked={"component": check.component, "reason": str(e)})


def _records() -> Say:
    """Writes records to the real standard output, which nobody else gets."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(**record: Any) -> None:
        pipe.write(json.dumps(record) + "\n")
        pipe.flush()

    return say


if __name__ == "__main__":
    main()
