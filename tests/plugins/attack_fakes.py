"""What attacks are tested with in place of a network."""

import torch


class Scripted:
    """An objective whose loss follows a script, per image and call; the gradient always points up.

    Attributes:
        seen: the images of every call, in order.
    """

    def __init__(self, script):
        self.script = torch.tensor(script)
        self.seen = []

    def gradient(self, x):
        self.seen.append(x)
        return self.script[len(self.seen) - 1], torch.ones_like(x)

    def evaluate(self, x):
        loss, _ = self.gradient(x)
        return loss, loss, torch.ones(len(x), dtype=torch.bool)
