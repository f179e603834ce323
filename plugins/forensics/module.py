"""Anybody's own network as a forensic model, without a plugin."""

from __future__ import annotations

from typing import Annotated, Any

from torch import nn

from magdr_core.api import (
    ComponentError,
    Factory,
    Field,
    ForensicSpec,
    NamedFactory,
    Weights,
    hookimpl,
    load_state,
)

from ._judge import Channels, Judge, Locator, MaskForm, Output
from ._trained import trained_on

MAGDR_API = 1


def module(
    *,
    module: Factory = "",
    weights: Weights = "random",
    size: Annotated[int, Field(ge=0, le=2048)] = 0,
    mean: Channels = (0.0, 0.0, 0.0),
    std: Channels = (1.0, 1.0, 1.0),
    output: Output = "logit",
    fake_index: Annotated[int, Field(ge=0, le=1)] = 1,
    score_output: str = "",
    mask_output: str = "",
    mask_form: MaskForm = "probability",
) -> Judge:
    """Your own network: a class or function in a Python file that makes it, and its weights.

    It is called without arguments. Pictures are resized to `size` (0: as they are) and normalised. Nothing of
    a weight file is run.

    Args:
        module: class or function that makes the network.
        weights: weight file; `random` leaves the network as it was made.
        size: side that pictures are resized to, in pixels; 0 leaves them as they are.
        mean: what is subtracted from red, green and blue, in [0,1] units.
        std: what red, green and blue are divided by after that, in [0,1] units.
        output: what the network gives for each picture: a logit, a probability, or two logits.
        fake_index: the class that means forged, 0 or 1.
        score_output: where in the output the score is, a key or a place; empty: the output itself, or
            its first part.
        mask_output: where in the output the mask of forged pixels is, a key or a place; empty: there
            is none.
        mask_form: whether the mask holds probabilities or logits.
    """
    named: Any = module
    assert isinstance(named, NamedFactory)
    if min(std) <= 0:
        raise ComponentError(f"std is {list(std)}; each has to be above 0")
    net = named.load()()
    if not isinstance(net, nn.Module):
        raise ComponentError(f"{named.text} makes a {type(net).__name__}, expected a torch.nn.Module")
    load_state(net, weights)
    told: dict[str, Any] = {"name": named.text, "size": size, "mean": mean, "std": std}
    told |= {"output": output, "fake_index": fake_index, "score_output": score_output}
    judge = Judge(net, **told)
    if mask_output:
        judge = Locator(net, mask_output=mask_output, mask_form=mask_form, **told)
    judge.trained_on = trained_on(weights)
    return judge.eval()


@hookimpl
def magdr_forensics() -> list[ForensicSpec]:
    return [ForensicSpec(name="module", build=module, gradient="exact")]
