"""What a profile's tables of transfers, sweeps and adaptive attacks may say.

They are the settings of the scenarios of these names (:mod:`magdr_core.bench.scenarios`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Whatever is listed twice would be computed, counted and averaged twice."""
    twice = next((v for v in values if values.count(v) > 1), None) if len(set(values)) < len(values) else None
    if twice is not None:
        raise ValueError(f"{twice!r} is listed twice")
    return values


Labels = Annotated[tuple[str, ...], AfterValidator(once)]
"""Labels of components, each once."""


class Transfer(BaseModel):
    """An attack by somebody who lacks something of the defended task.

    `surrogate` is the generator that perturbations are made on instead (a `[generator.LABEL]` table with the
    same conditions); with `condition = "unknown"` they are made for another condition than the defender's,
    with `condition = "surrogate"` for one that the surrogate draws for the face, which may take other
    conditions. `generators` are the tasks that it applies to, all of the profile if empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    attack: str
    surrogate: str = ""
    condition: Literal["known", "unknown", "surrogate"] = "known"
    generators: Labels = ()

    @model_validator(mode="after")
    def _lacks_something(self) -> Transfer:
        if not self.surrogate and self.condition == "known":
            raise ValueError('say surrogate = "LABEL" or condition = "unknown"')
        if not self.surrogate and self.condition == "surrogate":
            raise ValueError('condition = "surrogate" needs surrogate = "LABEL"')
        return self


class Sweep(BaseModel):
    """Detectors on checkpoints of one long run of each attack, after so many steps (the paper's Figure 3).

    Of the tasks `generators` (all of the profile if empty), on the first `samples` of its images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    attacks: Annotated[Labels, Field(min_length=1)]
    steps: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    generators: Labels = ()
    samples: Annotated[int, Field(ge=1)] | None = None


class Adaptive(BaseModel):
    """Attacks that know the whole pipeline: each of `attacks` once more, aimed at each detector and defense.

    `others` are attacks whose images join the pool (the paper's Eq. 3). `behind` puts a detector before each
    defense too: what it flags has failed. `steps` and `restarts` are of each mode, `queries` of the random
    search, `penalties` the weights of the trade-off curve. With `precision = "bfloat16"` gradients are of a
    generator in half precision, which is quicker; whatever is found is judged in full precision all the same.
    `channels`, some of the profile's, are those that everything is attacked behind once more, by an attacker
    who knows the channel and searches through it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    attacks: Annotated[Labels, Field(min_length=1)]
    detectors: Labels = ()
    defenses: Labels = ()
    others: Labels = ()
    behind: str = ""
    channels: Labels = ()
    steps: Annotated[int, Field(ge=1)] = 150
    restarts: Annotated[int, Field(ge=1)] = 1
    penalties: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = (0.1, 0.3, 1.0, 3.0)
    queries: Annotated[int, Field(ge=0)] = 100
    precision: Literal["float32", "bfloat16"] = "float32"
