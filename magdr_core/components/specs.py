"""What a plugin declares about a component of each kind. Hooks return these; nothing here computes.

A spec is frozen. Its parameter schema is the signature of `build`; `needs` names the other components that
core injects into `build` by parameter name, so that no plugin imports another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor

from magdr_core.components.component_spec import ComponentSpec as ComponentSpec
from magdr_core.components.component_spec import Need as Need
from magdr_core.components.stateless import stateless as stateless

Gradient = Literal["exact", "straight-through", "none"]

Norm = Literal["linf", "psnr", "ssim"]
"""What an attack's bound is a bound of."""

SSIM_C2 = 0.03**2
"""The constant that keeps SSIM finite where nothing varies, for images in [0,1] (Wang et al. 2004)."""


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
