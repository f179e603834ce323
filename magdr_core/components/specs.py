"""What a plugin declares about a component. Hooks return these; nothing here computes.

A spec is frozen. Its parameter schema is the signature of `build`; `needs` names the other components that
core injects into `build` by parameter name, so that no plugin imports another.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import BaseModel
from torch import Tensor

from magdr_core.components.meanings import meanings_of, sentence
from magdr_core.components.params import factory_parameters, schema_of

Gradient = Literal["exact", "straight-through", "none"]

Norm = Literal["linf", "psnr", "ssim"]
"""What an attack's bound is a bound of."""

SSIM_C2 = 0.03**2
"""The constant that keeps SSIM finite where nothing varies, for images in [0,1] (Wang et al. 2004)."""

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Need:
    """A component that core injects.

    Attributes:
        kind: the kind's singular name, as in a registry table.
        depth: 0 for one component, 1 for a list of them, 2 for a list of lists (Rec-Net's layers).
        family: inject a :class:`~magdr_core.components.protocols.Family` (every setting of the spec's grid)
            instead of one component.
        calibrated: a detector that is injected with its threshold, so that it can decide.
        optional: where neither the table nor `[magdr]` names one, or the table says `[]` or `""`, None is
            injected (else the registry's first of the kind is).
        later: an optional need that came after results were kept. Where it is None the component's identity
            does not mention it, so that those results and calibrations are found still.
    """

    kind: str
    depth: int = 0
    family: bool = False
    calibrated: bool = False
    optional: bool = False
    later: bool = False


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    """Common fields of every kind.

    Attributes:
        name: lower-case words joined by hyphens; a registry says `use = "name"` or `use = "plugin/name"`.
        build: factory with keyword-only, annotated, defaulted parameters; returns the live component. The
            component's class is one, if its `__init__` is written so.
        version: raised whenever outputs can change; part of every result's key.
        summary: one line; the first line of the docstring of `build` if left empty.
        cite: paper or repository of the method.
        tags: free words to filter by.
        requires: importable names that `build` needs; if one is missing the component is listed as
            unavailable and `extra` is named as the remedy.
        extra: what to `pip install` for `requires`.
        needs: injected components by parameter name of `build`.
        device: "any", or "cpu" for a component that leaves the toolkit's device.
        stochastic: the component takes a keyword argument `rng` (a `SampleRng`) in its call.
    """

    kind: ClassVar[str] = ""
    name: str
    build: Callable[..., Any]
    version: int = 1
    summary: str = ""
    cite: str = ""
    tags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    extra: str = ""
    needs: Mapping[str, Need] = field(default_factory=dict)
    device: Literal["any", "cpu"] = "any"
    stochastic: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r}: use lower-case letters, digits and single hyphens")
        if not callable(self.build):
            raise TypeError(f"{self.name}: build must be a factory, got {type(self.build).__name__}")
        if not self.summary:
            object.__setattr__(self, "summary", _first_line(self.build))
        object.__setattr__(self, "tags", tuple(self.tags))
        object.__setattr__(self, "requires", tuple(self.requires))
        unknown = set(self.needs) - set(self.parameters)
        if unknown:
            raise TypeError(f"{self.name}: needs {sorted(unknown)} are not parameters of build")

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """Those of `build`, with what core injects."""
        return factory_parameters(self.build, self.needs)

    @functools.cached_property
    def schema(self) -> type[BaseModel]:
        return schema_of(self.build, frozenset(self.needs), f"{self.kind} {self.name}")

    @functools.cached_property
    def meanings(self) -> Mapping[str, str]:
        """What each parameter and each need means, in the words of `Field(description=...)` or else of the
        docstring's `Args:`; what nobody tells is not in it."""
        told = meanings_of(self.build)
        told |= {n: f.description for n, f in self.schema.model_fields.items() if f.description}
        return {n: sentence(told[n]) for n in (*self.schema.model_fields, *self.needs) if told.get(n)}

    @property
    def missing(self) -> list[str]:
        """The names in `requires` that cannot be imported here."""
        return [name for name in self.requires if not _importable(name)]


def _first_line(build: Callable[..., Any]) -> str:
    doc = (getattr(build, "__doc__", None) or "").strip()
    # A dataclass without a docstring is given its signature for one.
    own = not doc.startswith(f"{getattr(build, '__name__', '')}(")
    return doc.splitlines()[0].strip() if doc and own else ""


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # the parent of a dotted name is missing, or a module without spec
        return name in sys.modules


@dataclass(frozen=True, kw_only=True)
class MetricSpec(ComponentSpec):
    """A criterion D_i: `(a, b, masks) -> [B,N]`, one value per region.

    `to_distance` turns values into non-negative distances (larger is more different); it must be monotone.
    A `conditional` criterion sees images through the generator: `(a, b, masks, c=c, G=G) -> [B,N]`.
    """

    kind: ClassVar[str] = "metric"
    higher_is_better: bool = False
    to_distance: Callable[[Tensor], Tensor] | None = None
    differentiable: bool = True
    conditional: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.higher_is_better and self.to_distance is None:
            raise TypeError(f"metric {self.name}: a similarity needs to_distance")


@dataclass(frozen=True, kw_only=True)
class AugmentationSpec(ComponentSpec):
    """An image processing f_k of the consistency detector: `(x) -> x'`, with `undo` for geometric ones."""

    kind: ClassVar[str] = "augmentation"


@dataclass(frozen=True, kw_only=True)
class RestorationSpec(ComponentSpec):
    """A member of a Rec-Net layer: `(x) -> x'`.

    `grid` maps parameter names to the settings that Rec-Net may choose from (their product).
    """

    kind: ClassVar[str] = "restoration"
    stage: str = ""
    grid: Mapping[str, list[Any]] = field(default_factory=dict)
    gradient: Gradient = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = set(self.grid) - set(self.parameters)
        if unknown:
            raise TypeError(f"{self.name}: grid names {sorted(unknown)} are not parameters of build")


@dataclass(frozen=True, kw_only=True)
class ChannelSpec(ComponentSpec):
    """What a picture goes through between whoever publishes it and whoever finds it: `(x) -> x'`.

    It is given 8-bit images and gives 8-bit images of the same shape (core rounds); it is the same map for
    every picture, or one that is drawn by the picture's own stream (`stochastic=True`).
    """

    kind: ClassVar[str] = "channel"


@dataclass(frozen=True, kw_only=True)
class GeneratorSpec(ComponentSpec):
    """An image-to-image generator G; see :class:`~magdr_core.components.protocols.Generator`.

    `objective` is what disrupting its task means, for attacks whose table does not say: Eq. 1, or Eq. 2
    towards the input image (the paper's choice for face replacement: no swap happens). A component with an
    attribute of this name, which its parameters decide, says it itself.
    """

    kind: ClassVar[str] = "generator"
    objective: Literal["untargeted", "towards-input", "towards-black"] = "untargeted"


@dataclass(frozen=True, kw_only=True)
class ParserSpec(ComponentSpec):
    """A face parser: `(x) -> [B,N,H,W]` soft masks that sum to 1, over `PARTS` or its own `regions`."""

    kind: ClassVar[str] = "parser"


@dataclass(frozen=True, kw_only=True)
class AttackSpec(ComponentSpec):
    """A disruptor: `(x, objective) -> x_hat` within a bound that core checks.

    With `norm = "linf"` no channel of a pixel moves by more than the parameter `eps` of `build`; with
    `norm = "psnr"` the whole image keeps the PSNR of the parameter `psnr`, in dB, and with `norm = "ssim"`
    the structural similarity of the parameter `ssim`; single pixels may then move by anything (colour spaces
    other than RGB, say).

    A component with `fit(data, G) -> state` and `load(state)` is fitted by core on faces of the train split.
    `learns_on` names the need, a list of generators, that it learns on where it is filled; what it learns is
    then the same whatever generator is attacked.
    """

    kind: ClassVar[str] = "attack"
    norm: Norm = "linf"
    learns_on: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        bound = "eps" if self.norm == "linf" else self.norm
        if bound not in self.parameters:
            raise TypeError(f"attack {self.name}: build needs a parameter {bound}")
        if self.learns_on:
            need = self.needs.get(self.learns_on)
            if need is None or need.kind != "generator" or need.depth != 1:
                raise TypeError(
                    f"attack {self.name}: learns_on = {self.learns_on!r} is no need of a list of generators"
                )

    def strength(self, params: Mapping[str, Any]) -> float:
        """How strong the attack is with these parameters, in [0,1] units: its L-infinity bound, or the root
        mean square of what a PSNR lets it change, or of the noise that takes a picture of one colour to its
        SSIM (a textured one lets more; 1 where the bound is 0)."""
        if self.norm == "ssim":
            # Noise of variance v on a flat picture: C2 / (v + C2), and 1 is the most that a pixel can move.
            least = float(params["ssim"])
            return min(1.0, (SSIM_C2 * (1 / least - 1)) ** 0.5) if least > 0 else 1.0
        return float(params["eps"]) if self.norm == "linf" else 10.0 ** (-float(params["psnr"]) / 20)


@dataclass(frozen=True, kw_only=True)
class DetectorSpec(ComponentSpec):
    """A detector: `(x, c, G) -> [B]`, higher is more suspicious. Core owns the thresholds.

    A component with `fit(data, G) -> state` and `load(state)` is fitted by core on calibration data; a
    `supervised` one is offered attacked faces of the train split too (`FitData.training`).
    """

    kind: ClassVar[str] = "detector"
    supervised: bool = False
    gradient: Gradient = "none"


@dataclass(frozen=True, kw_only=True)
class DefenseSpec(ComponentSpec):
    """A reconstructor: `(x, c, G) -> x'`; an optional `output(x, c, G) -> y` replaces `G(T(x), c)`.

    Fitted like a detector.
    """

    kind: ClassVar[str] = "defense"
    supervised: bool = False
    gradient: Gradient = "none"


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(ComponentSpec):
    """A dataset; see :class:`~magdr_core.components.protocols.Dataset`."""

    kind: ClassVar[str] = "dataset"


@dataclass(frozen=True)
class TrainedOn:
    """What a forensic model has seen, as far as somebody knows; by it a benchmark marks rows seen or unseen.

    Attributes:
        families: names of forgeries.
        qualities: names of what their pictures went through: an augmentation or a restoration.
        dataset: fingerprint of the dataset of their real pictures (`Dataset.fingerprint()`); empty: that of
            whoever asks.
    """

    families: tuple[str, ...] = ()
    qualities: tuple[str, ...] = ()
    dataset: str = ""


ForgeryGroup = Literal["generators", "blends", "local", "whole"]
"""Families whose traces are alike. One that is unseen is unseen together with its relatives."""

MaskDefinition = Literal["blend", "changed", "region", "recorded"]
"""What a forged mask says: where a blend gives the forgery more than half of the weight, which pixels are
others, where the forger worked, whether or not anything changed there, or what the authors of a data set
published, if anything."""


@dataclass(frozen=True, kw_only=True)
class ForgerySpec(ComponentSpec):
    """A forgery family: `(batch, donors, rng) -> Forged`.

    `donor` asks for a face of another person for each picture; else `donors` is empty. `definition` says what
    its masks mean and `group` which families are its relatives. A `null` one is no forgery: the pipeline, or
    a harmless edit, after which a picture still counts as real; its masks are empty. `reach` is how far from
    its mask a forgery may change pixels if it does not say where (`Forged.alpha`).

    A component that is many families, by what it is told, says by which parameters: `named_by` tells them
    apart, each is called NAME:VALUE, and the value of `grouped_by` goes before `group`.
    """

    kind: ClassVar[str] = "forgery"
    donor: bool = False
    definition: MaskDefinition = "blend"
    group: ForgeryGroup = "blends"
    null: bool = False
    reach: int = 8
    named_by: str = ""
    grouped_by: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (self.named_by, self.grouped_by):
            if name and name not in self.parameters:
                raise TypeError(f"{self.name}: {name} is no parameter of build")


@dataclass(frozen=True, kw_only=True)
class ForensicSpec(ComponentSpec):
    """A forensic model: `score(x) -> [B]`, higher is more likely forged; optional `locate(x) -> [B,1,H,W]`.

    A component with `fit(data) -> state` and `load(state)` is taught by core on forged faces of the train
    split, as its table says. `trained_on` is of one that comes with weights; a component's own attribute of
    that name goes before it.
    """

    kind: ClassVar[str] = "forensic"
    trained_on: TrainedOn = TrainedOn()
    gradient: Gradient = "none"


@dataclass(frozen=True, kw_only=True)
class FinderSpec(ComponentSpec):
    """A finder of faces: `(picture) -> [FoundFace, ...]`, the surest first, of a picture `[3,H,W]` uint8."""

    kind: ClassVar[str] = "finder"


@dataclass(frozen=True, kw_only=True)
class IdentityEncoderSpec(ComponentSpec):
    """Who is shown: `(x) -> [B,D]`, vectors of length 1 whose scalar products say how alike two faces are.

    Swapping generators take them for the person to be put in, and cloaks, metrics and success rules compare
    them. See :class:`~magdr_core.components.protocols.IdentityEncoder`.
    """

    kind: ClassVar[str] = "identity_encoder"
    gradient: Gradient = "exact"


SPECS: dict[str, type[ComponentSpec]] = {
    spec.kind: spec
    for spec in (
        MetricSpec,
        AugmentationSpec,
        RestorationSpec,
        GeneratorSpec,
        ParserSpec,
        AttackSpec,
        DetectorSpec,
        DefenseSpec,
        DatasetSpec,
        ForgerySpec,
        ForensicSpec,
        FinderSpec,
        ChannelSpec,
        IdentityEncoderSpec,
    )
}
"""Spec types of the kinds that core brings, by kind. All that core knows of these stands in
`magdr_core/builtin/kinds.py`; plugins bring further kinds (`PluginHost.kinds`)."""


def stateless(
    function: Callable[..., Tensor],
    *,
    undo: Callable[..., Tensor] | None = None,
    clip: Callable[..., Tensor] | None = None,
    soft: Callable[..., Tensor] | None = None,
) -> Callable[..., Any]:
    """Turn a plain function `f(x, ..., *, p=1)` into a factory whose parameters are its keyword-only ones.

    Args:
        function: the component's call, such as `[B,3,H,W] -> [B,3,H,W]` of an image map; see the protocol of
            its kind.
        undo: called with the same parameters, becomes the component's `undo` (`[B,3,H,W] -> same`).
        clip: so the component's `clip` (`[n,3,H,W] -> same`, the n frames of one clip).
        soft: so the component's `soft`, what a channel is differentiated as (`[B,3,H,W] -> same`).
    """
    signature = inspect.signature(function)
    keyword = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY and p.name != "rng"]
    names = {p.name for p in keyword}

    def build(**params: Any) -> _Bound:
        component = _Bound(functools.partial(function, **params))
        if undo is not None:
            component.undo = functools.partial(undo, **params)
        if clip is not None:
            component.clip = functools.partial(clip, **params)
        if soft is not None:
            component.soft = functools.partial(soft, **params)
        return component

    # `__wrapped__` makes `get_type_hints` resolve string annotations where the function was written.
    functools.update_wrapper(build, function)
    build.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    build.__annotations__ = {k: v for k, v in function.__annotations__.items() if k in names}
    return build


class _Bound:
    """A function with its parameters filled in, to which `undo`, `clip` and `soft` can be attached."""

    undo: Callable[..., Tensor]
    clip: Callable[..., Tensor]
    soft: Callable[..., Tensor]

    def __init__(self, call: Callable[..., Tensor]) -> None:
        self._call = call

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._call(*args, **kwargs)
