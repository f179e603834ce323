"""Plugins that misbehave, each in one way: a restoration called `bad` that is sound but for that."""

from __future__ import annotations

from tests.edits import edited

GOOD = '''
import torch
from magdr_core.api import RestorationSpec, hookimpl

MAGDR_API = 1


class Shrink:
    def __init__(self):
        self.net = torch.nn.Conv2d(3, 3, 1, bias=False).eval()
        self.net.load_state_dict({"weight": 0.9 * torch.eye(3)[:, :, None, None]})

    def __call__(self, x):
        y = self.net.weight[0, 0, 0, 0] * x + 0.05
        return y.clamp(0, 1)


def shrink():
    """Less contrast."""
    return Shrink()


@hookimpl
def magdr_restorations():
    return [RestorationSpec(name="bad", build=shrink, gradient="exact")]
'''

LAST = "return y.clamp(0, 1)"
SPEC = 'RestorationSpec(name="bad", build=shrink, gradient="exact")'
RARE = """if ((1e6 * x.mean((1, 2, 3))).long() % 100 == 7).any():
            raise RuntimeError("not this picture")
        return y"""


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return edited(GOOD, (old, new))


HOSTILE: dict[str, tuple[str, str, str]] = {
    "import_error": ("import no_such_package\n" + GOOD, "loads", "No module named 'no_such_package'"),
    "exits": ("import sys\nsys.exit(0)\n" + GOOD, "loads", "cannot be imported: SystemExit: 0"),
    "old_api": (changed("MAGDR_API = 1", "MAGDR_API = 0"), "loads", "declares MAGDR_API = 0"),
    "taken_name": (changed(f"[{SPEC}]", f"[{SPEC}, {SPEC}]"), "loads", "bad' is already provided by"),
    "wrong_shape": (
        changed(LAST, "return y[..., 1:]"),
        "output",
        "shape (5, 3, 24, 31), expected (5, 3, 24, 32)",
    ),
    "nan": (changed(LAST, "y[0, 0, 1, 2] = torch.nan\n        return y"), "finite", "nan at [0, 0, 1, 2]"),
    "global_rng": (
        changed(LAST, "return y + 0.01 * torch.rand_like(x)"),
        "randomness",
        "draws from torch's global",
    ),
    "in_place": (changed("y = ", "x.mul_(0.5)\n        y = "), "inputs", "edits its images in place: "),
    "train": (
        changed(LAST, "self.net.train()\n        return y"),
        "networks",
        "its network in training mode",
    ),
    "one_in_a_hundred": (
        changed(LAST, RARE),
        "crowd",
        "one of 200: fails on 1x3x16x16: RuntimeError: not this",
    ),
}
"""By file name: the plugin, the rule that it breaks, and words of the finding."""

HANGING = changed(LAST, "import time; time.sleep(1000)")
EXITING = changed(LAST, "import os; os._exit(0)")
CRASHING = changed(LAST, "import ctypes; ctypes.string_at(0)")
