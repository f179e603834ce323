"""The attacks of torchattacks: which work on a generator, which do not and why, and what each can be told.

The helper of `torchattacks_adapter`. Both lists are tested against the package's own (3.5.1).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from pydantic import ValidationInfo

from magdr_core.api import suggestion


@dataclass(frozen=True, kw_only=True)
class Trait:
    """What has to be known about a class of torchattacks.

    Attributes:
        bound: its parameter for the L-infinity bound; empty if it has none.
        steps: its parameter for the number of steps; empty if it has none.
        batched: images may go in together: it uses only the direction of each image's gradient and draws its
            random numbers per image.
        delivered: the classifier looks at clipped and rounded images.
        options: where its own defaults do not fit.
        fixed: parameters that a registry cannot set, and why.
    """

    bound: str = "eps"
    steps: str = "steps"
    batched: bool = True
    delivered: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)


_CROSS_ENTROPY = {"loss": "the others compare three logits or have no gradient beyond tau"}
_SMALLEST: dict[str, Any] = {"bound": "", "batched": False, "delivered": True}

ATTACKS: dict[str, Trait] = {
    "APGD": Trait(batched=False, fixed=_CROSS_ENTROPY),
    "BIM": Trait(),
    # Its constant weighs a classifier's logits, a hundred times an output MSE.
    "CW": Trait(**_SMALLEST, options={"c": 300}),
    "DIFGSM": Trait(batched=False),
    "DeepFool": Trait(**_SMALLEST),
    "EADEN": Trait(**_SMALLEST, steps="max_iterations"),
    "EADL1": Trait(**_SMALLEST, steps="max_iterations"),
    "EOTPGD": Trait(),
    "FAB": Trait(batched=False, delivered=True),
    "FFGSM": Trait(steps=""),
    "FGSM": Trait(steps=""),
    # Its noise on the two probabilities would turn steps round by chance while the loss is far below tau.
    "Jitter": Trait(options={"std": 0.0}),
    "MIFGSM": Trait(),
    "NIFGSM": Trait(),
    "PGD": Trait(),
    "PGDL2": Trait(bound="", delivered=True),
    "PGDRS": Trait(),
    "PGDRSL2": Trait(bound=""),
    "PIFGSM": Trait(bound="max_epsilon", steps="num_iter_set"),
    "PIFGSMPP": Trait(bound="max_epsilon", steps="num_iter_set"),
    "Pixle": Trait(**_SMALLEST, steps="max_iterations"),
    "RFGSM": Trait(),
    "SINIFGSM": Trait(),
    "SPSA": Trait(steps="nb_iter", batched=False),
    "SparseFool": Trait(**_SMALLEST),
    "Square": Trait(steps="n_queries", batched=False),
    "TIFGSM": Trait(batched=False),
    "TPGD": Trait(),
    "UPGD": Trait(fixed=_CROSS_ENTROPY),
    "VMIFGSM": Trait(),
    "VNIFGSM": Trait(),
}
"""The classes that work (torchattacks 3.5.1)."""

UNSUPPORTED: dict[str, str] = {
    "APGDT": "its loss compares four logits, a generator has two",
    "AutoAttack": "what APGD leaves it gives to APGDT, which cannot; use APGD, FAB and Square one by one",
    "GN": "it is random noise, no attack; use 'noise'",
    "JSMA": "it needs a gradient in both logits, but the first is a constant, so it picks pixels blindly",
    "LGV": "it retrains the attacked network on a data loader",
    "MultiAttack": "it is a list of attacks; give each a table of its own",
    "OnePixel": "one pixel disrupts a generator less than random noise does",
    "VANILA": "it returns the image as it is",
}
"""The classes that do not, and why."""

_OURS = {
    "norm": "eps is an L-infinity bound",
    "seed": "random numbers are keyed by the registry's seed and the image",
    "verbose": "nothing is printed",
    "n_classes": "there are two logits",
    "multi_targeted": "there are two logits",
    "model": "the generator is the model",
}
_REAL = {"c", "kappa", "lam", "beta"}
"""Parameters that are real numbers although their default is written as an integer."""


def class_of(attack: str) -> Any:
    import torchattacks  # takes a second: only a registry that names it pays

    return getattr(torchattacks, attack)


def parameters_of(attack: str) -> dict[str, Any]:
    """The class's parameters and their defaults."""
    parameters = inspect.signature(class_of(attack)).parameters
    return {name: p.default for name, p in parameters.items() if name != "model"}


def known(attack: str) -> str:
    if attack in UNSUPPORTED:
        raise ValueError(f"{attack!r} of torchattacks cannot attack a generator: {UNSUPPORTED[attack]}")
    if attack not in ATTACKS:
        same = [name for name in ATTACKS if name.lower() == attack.lower()]
        hint = f"; did you mean {same[0]!r}?" if same else suggestion(attack, ATTACKS)
        raise ValueError(f"torchattacks has no usable attack {attack!r}{hint}")
    return attack


def counted(steps: int, info: ValidationInfo) -> int:
    attack = info.data.get("attack")
    if attack is None:  # reported already
        return steps
    name = ATTACKS[attack].steps
    if not name and steps > 1:
        raise ValueError(f"{attack!r} takes a single step, got {steps}")
    return steps or (parameters_of(attack)[name] if name else 1)


def checked(options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    attack = info.data.get("attack")
    if attack is None:
        return options
    trait, own = ATTACKS[attack], parameters_of(attack)
    ours = _OURS | {trait.bound: "it is the parameter 'eps'", trait.steps: "it is the parameter 'steps'"}
    refused = {**ours, **trait.fixed}
    free = {name: default for name, default in own.items() if name not in refused}
    for name in options:
        if name in refused:
            raise ValueError(f"option {name!r} of {attack} cannot be set: {refused[name]}")
        if name not in free:
            raise ValueError(f"{attack!r} has no option {name!r}{suggestion(name, free)}")
    return {name: _value(attack, name, value, free[name]) for name, value in options.items()}


def _value(attack: str, name: str, value: Any, default: Any) -> Any:
    """The value in the type of the default; a real number may be written as a fraction."""
    where = f"option {name!r} of {attack}"
    if isinstance(default, float) or name in _REAL:
        try:
            return float(Fraction(value) if isinstance(value, str) else value + 0.0)
        except (TypeError, ValueError, ZeroDivisionError):
            raise ValueError(f'{where} is a number or a fraction such as "2/255", got {value!r}') from None
    if isinstance(default, bool | int | str) and type(value) is not type(default):
        raise ValueError(f"{where} takes {type(default).__name__}, got {value!r}")
    return value
