"""The shapes of live components. Nothing inherits from these; any object of the right shape will do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from magdr_core.components.batch import Batch, Condition, Samples
from magdr_core.components.rng import SampleRng
from magdr_core.short_repr import one_line_repr


class Metric(Protocol):
    """A conditional one (`MetricSpec.conditional`) is also given `c` and `G`, by keyword."""

    def __call__(self, a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
        """`a`, `b` `[B,3,H,W]`, `masks` `[B,N,H,W]` -> `[B,N]`; 0 where a region is empty."""


class ImageMap(Protocol):
    """An augmentation f_k or a restoration. A geometric augmentation also has `undo(y) -> y'`, which maps
    the generator's output back into the frame of the input. One that does something else to a clip than to
    each of its frames, as codecs do, also has `clip(x) -> x'` for the frames of one, `[n,3,H,W]` in their
    order; as a quality of clips it is called so, unless it is stochastic."""

    def __call__(self, x: Tensor) -> Tensor:
        """Images `[B,3,H,W]` in [0,1] to images of the same shape and range."""


@dataclass(frozen=True)
class Setting:
    """One parameter setting of a restoration."""

    params: Mapping[str, Any]
    apply: ImageMap

    def label(self) -> str:
        return ",".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in self.params.items())


@dataclass(frozen=True)
class Family:
    """A restoration with every setting of its grid: a *category* of Algorithm 1."""

    label: str
    settings: tuple[Setting, ...]


@runtime_checkable
class Generator(Protocol):
    """G(x, c). Networks are frozen by core: no parameter takes a gradient, norms use instance statistics.

    Attributes:
        size: native side in pixels.
        condition_names: C names, in the order of `VectorCondition.values`; for other conditions what they are
            called. Empty: it is told nothing.
        passes: images that went through; core's wrapper counts them, no component has to.
    """

    size: int
    passes: int
    condition_names: tuple[str, ...]

    def __call__(self, x: Tensor, c: Condition) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> `[B,3,H,W]` in [0,1], differentiable in x."""

    def edited(self, c: Condition) -> Tensor:
        """The target region M_c: bool `[B,N]` over `PARTS`, or over the :class:`Regions` that the generator
        declares as its attribute `regions`."""

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        """One condition per image that really changes something."""

    # Optional: `classes(c) -> [Condition, ...]`, every condition that the faces of `c` could be given, for
    # attacks that do not know which one it will be. `additive = True`: it only adds, and a value of 0 leaves
    # as it is what a picture shows. `whole_target = True`: its conditions are attributes, 0 or 1, of which it
    # is told all; told those of the picture itself it changes next to nothing. `with_source(c, source)`, the
    # same conditions with what other pictures `[B,3,h,w]` show, a person or a style: a `CodedCondition`;
    # `needs_source = True` where there is no output without. `with_text(c, texts)`, conditions by texts.


class FeatureSource(Protocol):
    """A generator as a conditional criterion is given it: core picks the layer, counts the pass and bounds
    the memory. The component itself has `features(x, c) -> [[B,C,h,w], ...]`, finest first."""

    def features(self, x: Tensor, c: Condition, layer: int) -> Tensor:
        """`[B,C,h,w]`; ComponentError if the generator has no such layer."""


class Parser(Protocol):
    def __call__(self, x: Tensor) -> Tensor:
        """`[B,3,H,W]` -> soft masks `[B,N,H,W]` over `PARTS`, or over the :class:`Regions` that the parser
        declares as its attribute `regions`; sum 1 at each pixel."""


class IdentityEncoder(Protocol):
    """Attributes:
    size: side in pixels that pictures are brought to inside.
    dimension: D, how many numbers an identity has.
    """

    size: int
    dimension: int

    def __call__(self, x: Tensor) -> Tensor:
        """Faces `[B,3,H,W]` of any size -> `[B,D]`, each of length 1; the scalar product of two is the
        cosine of their angle, larger for the same person."""


class Objective(Protocol):
    """What an attack maximises; core builds it (Eq. 1, Eq. 2)."""

    def __call__(self, x: Tensor) -> Tensor:
        """Differentiable loss to ascend, `[B]`."""

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(loss `[B]`, gradient `[B,3,H,W]`) without touching any parameter's gradient."""

    def evaluate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(loss `[B]`, disruption `[B]`: output MSE in [-1,1] units, feasible `[B]` bool)."""

    def goal(self, tau: float) -> float:
        """The loss from which on an attack has succeeded, for an output MSE of `tau` in [-1,1] units."""

    def select(self, idx: Tensor) -> Objective:
        """The objective of a subset of the images: `idx` is `[n]` indices or `[B]` booleans."""

    def preprocessed(self, f: ImageMap | Callable[[Tensor], Tensor]) -> Objective:
        """The same aim for outputs on `f(x)`, `[B,3,H,W]` -> same, with f's geometry undone."""

    def postprocessed(self, f: ImageMap) -> Objective:
        """The same aim for `f` of the output, against `f` of the clean one (Eq. 3 as printed)."""

    def encoded(self, layer: int = -1, *, away: bool = True) -> Objective:
        """The aim of moving what the generator's encoder makes of the image, one of its `features`, away from
        what it was, or to zero. ComponentError if the generator has no such layer."""

    def classes(self, *, first_reference: bool = False) -> Sequence[Objective]:
        """The same aim for every condition that these faces could be given; each has its own clean output
        to get away from unless `first_reference`. ComponentError if the generator does not list them."""


class Attack(Protocol):
    """An attack that improves step by step may also have `checkpoints(x, objective, steps) -> [x_hat, ...]`:
    what one run has after each of some numbers of steps. Sweeps over the steps need it. `step_size`, where it
    is there, goes into threat cards: the (first) step in [0,1] units."""

    def __call__(self, x: Tensor, objective: Objective) -> Tensor:
        """Attacked images `[B,3,H,W]` of clean ones, both in [0,1], within the eps ball around them."""


class Detector(Protocol):
    """One that asks for `G(x,c)` may also have `with_output(x, c, G, y) -> [B]`: the same score where that
    output `y` is there already, which saves its pass."""

    def __call__(self, x: Tensor, c: Condition, G: Generator) -> Tensor:
        """`[B]`, higher is more suspicious."""


@dataclass(frozen=True, eq=False)
class CalibratedDetector:
    """A detector with its thresholds, which core sets on calibration data.

    Attributes:
        detector: the guarded component.
        thresholds: by operating point: `fpr` (the wanted false-positive rate on clean faces) and `f1` (the
            best F1 at equal numbers of clean and attacked faces).
    """

    detector: Detector
    thresholds: Mapping[str, float]

    __repr__ = one_line_repr

    @property
    def threshold(self) -> float:
        """The operating point that decisions use: a score above it is flagged."""
        return self.thresholds["fpr"]


class Defense(Protocol):
    def __call__(self, x: Tensor, c: Condition, G: Generator) -> Tensor:
        """`[B,3,H,W]`, the restored input."""


@dataclass(frozen=True, eq=False)
class Choice:
    """One round of a defense that chooses among candidates.

    Attributes:
        scores: `[B,n]`, of the candidates in their order, lower is better; infinite where a candidate was not
            looked at, and in the rows of images that took no part.
        plans: per image the names of what this round applied, in order; empty where it left the image alone.
        active: bool `[B]`, the images that took part; all of them if None.
        after: `[B]`, of the round's image in units of :attr:`Chosen.score`, lower is better; infinite where
            an image took no part. None where a round is never taken back.
    """

    scores: Tensor
    plans: Sequence[Sequence[str]]
    active: Tensor | None = None
    after: Tensor | None = None

    __repr__ = one_line_repr


@dataclass(frozen=True, eq=False)
class Chosen:
    """What :meth:`Choosing.run` returns, or any object with these attributes.

    Attributes:
        restored: `[B,3,H,W]`, what the defense returns.
        plans: per image the names of the candidates (or steps) that were applied to it, in order; empty
            where it is as it came. A name that neither `candidates` nor `steps` holds is allowed: what it did
            is then not followed, but added as a constant.
        score: `[B]`, of the received image, by which its rounds are compared; None where they are not.
        choices: the rounds, where there are scores to tell.
    """

    restored: Tensor
    plans: Sequence[Sequence[str]]
    score: Tensor | None = None
    choices: Sequence[Choice] = ()

    __repr__ = one_line_repr


@runtime_checkable
class Gated(Protocol):
    """A defense that leaves an image alone unless it is suspicious. Attacks that know the defense then also
    look for images that stay under its gate.

    Attributes:
        gate: the suspicion above which it acts.
        evidence: `(x, c, G) -> [B]`, the suspicion, higher is more suspicious: a detector, or a method like
            one. Of a stochastic defense it takes `rng`.
    """

    @property
    def gate(self) -> float: ...

    @property
    def evidence(self) -> Detector: ...


@runtime_checkable
class Choosing(Protocol):
    """A defense that picks among candidates, by scores that have no useful gradient. Attacks that know the
    defense go through the candidates that it picked, and through all that it could have picked, weighed by
    their scores; so they need to know them. One that has a gate too is also :class:`Gated`.

    Attributes:
        candidates: by name the image maps `[B,3,H,W] -> [B,3,H,W]` that it ranks, in the order of
            `Choice.scores`. The image itself, if it competes, is one named `""`.

    Optional: `steps`, by name further image maps that plans may hold (of a search without a fixed list of
    candidates, which has no `candidates` then).
    """

    @property
    def candidates(self) -> Mapping[str, ImageMap]: ...

    def run(self, x: Tensor, c: Condition, G: Generator) -> Chosen:
        """What `(x, c, G)` returns for `x` `[B,3,H,W]`, and how it came about; one that is stochastic takes
        `rng`."""


def _no_objective(samples: Samples) -> Objective:
    raise ValueError("only attacks that learn are given objectives")


def _no_other(generator: Generator) -> FitData:
    raise ValueError("only attacks that learn are given faces for other generators")


@dataclass(frozen=True, eq=False)
class FitData:
    """What `fit` may look at: calibration images that no test ever sees.

    Attributes:
        clean: clean samples to standardise on.
        attacked: by attack label, `(attacked, clean)` samples of other faces than those.
        held_out: like `attacked`, of yet other faces: for choices that must not be made on what was fitted.
            Empty for detectors, whose thresholds core chooses on those.
        harmless: by name, samples of the same faces as `attacked` that must not be flagged: random noise of
            the attacks' strengths (`noise@6`, in 255ths), and benign edits (`benign:LABEL`).
        progress: call it with (done, total) now and then.
        training: call it for `(attacked, clean)` samples of the train split by attack label; they are drawn
            and attacked then, which takes a while. For specs that say `supervised`.
        training_harmless: call it for what `harmless` is, of the faces of the train split.
        objective: call it for what an attack that learns shall maximise on some of `clean`, which are faces
            of the train split then; nothing else is offered to an attack.
        on: call it for the same with conditions and objectives of another generator, for an attack that
            learns on several: the faces are the same, in the same order.
    """

    clean: Samples
    attacked: Mapping[str, tuple[Samples, Samples]]
    held_out: Mapping[str, tuple[Samples, Samples]] = field(default_factory=dict)
    harmless: Mapping[str, Samples] = field(default_factory=dict)
    progress: Callable[[int, int], None] = lambda done, total: None
    training: Callable[[], Mapping[str, tuple[Samples, Samples]]] = dict
    training_harmless: Callable[[], Mapping[str, Samples]] = dict
    objective: Callable[[Samples], Objective] = _no_objective
    on: Callable[[Any], FitData] = _no_other

    __repr__ = one_line_repr


@runtime_checkable
class Fittable(Protocol):
    """A detector or defense that learns from calibration data, or an attack that learns from faces of the
    train split (a universal perturbation, say); core caches the state by key."""

    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        """A JSON-able state (tensors through `pack_tensors`); does not change the component."""

    def load(self, state: Mapping[str, Any]) -> None: ...


@runtime_checkable
class Adaptable(Fittable, Protocol):
    """A detector whose fitted state can be moved to clean images of another kind without attacking any."""

    def adapted(self, state: Mapping[str, Any], clean: Samples, G: Generator) -> Mapping[str, Any]:
        """The state for images like `clean`; what it has learned about attacks stays. Does not change the
        component, which has loaded `state`."""


@runtime_checkable
class FollowsThreshold(Fittable, Protocol):
    """A defense whose fitted state holds scores of its detector."""

    def moved(self, state: Mapping[str, Any], by: float) -> Mapping[str, Any]:
        """The state where the detector's threshold is higher by so much."""


@runtime_checkable
class Split(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        """The images with these indices; the same index gives the same image and id for ever."""


@runtime_checkable
class PairedSplit(Split, Protocol):
    """A split that can also draw the exact result of an edit."""

    def edited(self, indices: Sequence[int], changes: Mapping[str, Tensor]) -> Tensor:
        """The same pictures with these attributes set to `[B]` 0/1 values: `[B,3,H,W]`."""


class Dataset(Protocol):
    size: int

    def split(self, name: str) -> Split: ...

    def fingerprint(self) -> str: ...
