"""A network of whatever sort as a forensic model: its input brought into form, its output read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import ComponentError, TrainedOn
from magdr_core.functional import constant, in_pieces, resize

Output = Literal["logit", "probability", "two-logits"]

MaskForm = Literal["probability", "logit"]

Channels = tuple[float, float, float]


class Judge(nn.Module):
    """Scores pictures by a network.

    Args:
        net: of pictures `[B,3,S,S]`, RGB in [0,1] minus `mean` through `std`.
        name: of the network, for errors.
        size: S, what pictures are resized to (bicubic, with antialiasing); 0: the network takes any size.
        output: what it gives: a logit or a probability per picture (`[B]` or `[B,1]`), or two logits `[B,2]`.
        fake_index: the class that is forged: that of a logit or a probability, or the column of two logits.
        score_output: where in the output it is: key of a mapping, or place in a sequence; empty: the output
            itself, or the first of a sequence.
    """

    trained_on = TrainedOn()

    def __init__(
        self,
        net: nn.Module,
        *,
        name: str,
        size: int = 0,
        mean: Channels = (0.0, 0.0, 0.0),
        std: Channels = (1.0, 1.0, 1.0),
        output: Output = "logit",
        fake_index: int = 1,
        score_output: str = "",
    ) -> None:
        super().__init__()
        self.net, self.name, self.size = net, name, size
        self.mean, self.std = mean, std
        self.output, self.fake_index, self.score_output = output, fake_index, score_output

    def seen(self, x: Tensor) -> Any:
        """What the network gives for pictures `[B,3,H,W]` in [0,1]."""
        if self.size:
            x = resize(x, self.size)
        mean, std = (constant(values, x.device, x.dtype)[:, None, None] for values in (self.mean, self.std))
        return self.net((x - mean) / std)

    def forward(self, x: Tensor) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> scores `[B]`, higher is more likely forged: a logit, the difference of two,
        or a probability.

        Raises:
            ComponentError: the network gives something else than was said.
        """
        y = part_of(self.seen(x), self.score_output or "0", self.name, named=bool(self.score_output))
        n = len(x)
        shapes = [(n, 2)] if self.output == "two-logits" else [(n,), (n, 1)]
        if tuple(y.shape) not in shapes:
            wanted = " or ".join(str(list(shape)) for shape in shapes)
            raise ComponentError(
                f'{self.name} gives shape {list(y.shape)}, expected {wanted} of output = "{self.output}"'
            )
        if self.output == "two-logits":
            return y[:, self.fake_index] - y[:, 1 - self.fake_index]
        y = y.reshape(n)
        if self.fake_index:
            return y
        return 1 - y if self.output == "probability" else -y

    def score(self, x: Tensor) -> Tensor:
        """As `forward`, with the same bits for a picture in any batch."""
        return in_pieces(lambda i: self(x[i]), x)


class Locator(Judge):
    """A judge whose network also says where.

    Args:
        mask_output: where in the output the mask is, `[B,1,h,w]` or `[B,h,w]`: key, or place.
        mask_form: what it holds: probabilities, or logits.
        more: of the judge.
    """

    def __init__(self, net: nn.Module, *, mask_output: str, mask_form: MaskForm, **more: Any) -> None:
        super().__init__(net, **more)
        self.mask_output, self.mask_form = mask_output, mask_form

    def located(self, x: Tensor) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> `[B,1,H,W]` in [0,1].

        Raises:
            ComponentError: the network gives no such mask.
        """
        y = part_of(self.seen(x), self.mask_output, self.name, named=True)
        y = y[:, None] if y.ndim == 3 else y
        if y.ndim != 4 or y.shape[:2] != (len(x), 1):
            raise ComponentError(
                f"{self.name}: mask_output {self.mask_output!r} has shape {list(y.shape)}, "
                "expected [B,1,h,w] or [B,h,w]"
            )
        y = torch.sigmoid(y) if self.mask_form == "logit" else y
        if y.shape[2:] != x.shape[2:]:
            y = F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=False, antialias=True)
        return y

    def locate(self, x: Tensor) -> Tensor:
        """As `located`, with the same bits for a picture in any batch."""
        return in_pieces(lambda i: self.located(x[i]), x)


def part_of(output: Any, place: str, name: str, *, named: bool) -> Tensor:
    """A tensor out of what a network gave.

    Args:
        place: key of a mapping, or place in a sequence.
        named: somebody has said so; else the output may be the tensor itself.

    Raises:
        ComponentError: there is no tensor there.
    """
    if isinstance(output, Tensor) and not named:
        return output
    found: Any = None
    if isinstance(output, Mapping):
        found = output.get(place) if named else None
        has = ", ".join(map(str, list(output)[:8])) or "nothing"
    elif isinstance(output, Sequence):
        number = int(place) if place.isdecimal() else len(output)
        found = output[number] if number < len(output) else None
        has = f"{len(output)} values, from 0"
    else:
        has = f"a {type(output).__name__}"
    if not isinstance(found, Tensor):
        said = f"no tensor {place!r}" if named else "no tensor; score_output says which to take"
        raise ComponentError(f"{name} gives {said} (it gives {has})")
    return found
