"""What attacks maximise: Eq. 1 (untargeted disruption) and Eq. 2 (towards a target image).

Losses are mean squared errors in [-1,1] units, as in the public disruption code, so that the success line
of .05 means the same here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.components.protocols import Generator, ImageMap
from magdr_core.isolation.copies import private, tensors_in

ObjectiveName = Literal["untargeted", "towards-input", "towards-black"]

SUCCESS = 0.05
"""Output MSE in [-1,1] units above which an untargeted attack counts as successful (Ruiz et al. 2020)."""

TARGET_SHARE = 0.5
"""A targeted attack counts as successful where the output's squared error to the target is less than this
share of the clean output's. A fixed distance would be next to no attack on some tasks: undisturbed, a
replaced face is .07 from its input on [-1,1], and an attack that stops at .05 has done little."""


def symmetric_mse(a: Tensor, b: Tensor) -> Tensor:
    """MSE of two `[B,3,H,W]` images in [0,1], in [-1,1] units: `[B]`."""
    return 4.0 * (a - b).square().flatten(1).mean(1)


def with_gradient(loss: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """(loss `[B]`, its gradient with respect to `x`, `[B,3,H,W]`), both without a graph; one pass."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        value = loss(x)
        (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient


class DisruptionObjective:
    """`L(x) = MSE(G(x,c), r)` with r = G(x0,c) (Eq. 1), or `-MSE(G(x,c), r_t)` for a target (Eq. 2).

    Args:
        generator: G.
        clean: `[B,3,H,W]`, the clean images x0.
        condition: the condition c that the attacker knows.
        target: `[B,3,H,W]` image r_t, or None for Eq. 1.
        reference: r, where it is there already.
    """

    def __init__(
        self,
        generator: Generator | _Through,
        clean: Tensor,
        condition: Condition,
        target: Tensor | None = None,
        reference: Tensor | None = None,
    ) -> None:
        self.generator = generator
        self.clean = clean
        self.condition = condition
        self.target = target
        with torch.no_grad():
            self.reference = generator(clean, condition) if reference is None else reference

    def tensors(self) -> Iterator[Tensor]:
        """Those that `private_copy` copies, in order: images `[B,3,H,W]`, and the condition's `[B,C]`."""
        yield from tensors_in((self.clean, self.condition, self.target, self.reference))

    def private_copy(self) -> DisruptionObjective:
        """The same aim for an attack to keep: its tensors are copies, its generator is a handle."""
        clean, condition, target, reference = private(
            (self.clean, self.condition, self.target, self.reference)
        )
        return DisruptionObjective(private(self.generator), clean, condition, target, reference)

    def _loss(self, y: Tensor) -> Tensor:
        if self.target is None:
            return symmetric_mse(y, self.reference)
        return -symmetric_mse(y, self.target)

    def __call__(self, x: Tensor) -> Tensor:
        return self._loss(self.generator(x, self.condition))

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(loss `[B]`, its gradient with respect to `x`, `[B,3,H,W]`), both without a graph; one pass."""
        return with_gradient(self, x)

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For `x` `[B,3,H,W]` (loss `[B]`, disruption `[B]`, feasible bool `[B]`), without gradients.

        The disruption is the output MSE on [-1,1] to the clean output; every image is feasible.
        """
        y = self.generator(x, self.condition)
        feasible = torch.ones(len(x), dtype=torch.bool, device=x.device)
        return self._loss(y), symmetric_mse(y, self.reference), feasible

    @torch.no_grad()
    def reached(self, y: Tensor) -> Tensor:
        """bool `[B]`: which outputs `[B,3,H,W]` count as disrupted (Eq. 1) or as the target (Eq. 2)."""
        return self._loss(y) > self.success

    @property
    def success(self) -> Tensor:
        """The loss above which an attack counts as successful, `[B]`."""
        if self.target is None:
            return torch.full((len(self.clean),), SUCCESS, device=self.clean.device)
        return -TARGET_SHARE * symmetric_mse(self.reference, self.target)

    def goal(self, tau: float) -> float:
        """The loss from which on the objective is reached: an output MSE of `tau` ([-1,1] units) away from
        the clean output (Eq. 1), or within `tau` of the target (Eq. 2)."""
        return tau if self.target is None else -tau

    def preprocessed(self, f: ImageMap) -> DisruptionObjective:
        """The same aim for the output on processed inputs, `L(G(f(x),c), r)`, with f's geometry undone."""
        undo: ImageMap = getattr(f, "undo", _as_it_is)
        return self._through(_Through(self.generator, f, undo))

    def postprocessed(self, f: ImageMap) -> DisruptionObjective:
        """The same aim for the processed output, `L(f(G(x,c)), f(r))`: Eq. 3 as printed."""
        with torch.no_grad():
            reference = f(self.reference)
            target = None if self.target is None else f(self.target)
        through = _Through(self.generator, _as_it_is, f)
        return DisruptionObjective(through, self.clean, self.condition, target, reference)

    def classes(self, *, first_reference: bool = False) -> list[DisruptionObjective]:
        """The same aim for every condition that these faces could be given.

        Args:
            first_reference: compare every class with the clean output of the first one, as the public
                disruption code does, and not with its own.

        Raises:
            ComponentError: the generator takes conditions and does not list them.
        """
        generator: Any = self.generator  # core's wrapper, which says what is wrong
        conditions = generator.classes(self.condition)
        one = DisruptionObjective(self.generator, self.clean, conditions[0], self.target)
        shared = one.reference if first_reference else None
        rest = [
            DisruptionObjective(self.generator, self.clean, c, self.target, shared) for c in conditions[1:]
        ]
        return [one, *rest]

    def encoded(self, layer: int = -1, *, away: bool = True) -> LatentObjective:
        """The aim of moving one of the generator's `features` instead of its output, see
        :class:`LatentObjective`.

        Raises:
            ComponentError: the generator has no such layer.
        """
        return LatentObjective(self, layer, away=away)

    def _through(self, generator: _Through) -> DisruptionObjective:
        return DisruptionObjective(generator, self.clean, self.condition, self.target, self.reference)

    def select(self, idx: Tensor) -> DisruptionObjective:
        """The objective of some of the images: `idx` is `[n]` indices or `[B]` booleans."""
        target = None if self.target is None else self.target[idx]
        return DisruptionObjective(
            self.generator, self.clean[idx], self.condition[idx], target, self.reference[idx]
        )


class LatentObjective:
    """`L(x) = |E(x) - E(x0)|^2 / |E(x0)|^2` for what a generator's encoder E makes of an image, or
    `-|E(x)|^2 / |E(x0)|^2`: nothing is left to decode.

    What attacks on latent editors ascend (PhotoGuard, Salman et al., ICML 2023, the encoder attack); of an
    encoder that is not told the condition it disturbs every edit at once.

    Args:
        output: the aim for the output, which says what was disrupted.
        layer: of the generator's `features`, finest first.
        away: away from the clean image's code; else towards zero.
        reference: `[B,C,h,w]`, E(x0), where it is there already.

    Raises:
        ComponentError: the generator has no such layer.
    """

    def __init__(
        self, output: DisruptionObjective, layer: int, *, away: bool = True, reference: Tensor | None = None
    ) -> None:
        self.output, self.layer, self.away = output, layer, away
        with torch.no_grad():
            self.reference = self._code(output.clean) if reference is None else reference

    def tensors(self) -> Iterator[Tensor]:
        """Those that `private_copy` copies: images `[B,3,H,W]`, conditions `[B,C]`, codes `[B,C,h,w]`."""
        yield from tensors_in((self.output, self.reference))

    def private_copy(self) -> LatentObjective:
        """The same aim for an attack to keep."""
        output, reference = private((self.output, self.reference))
        return LatentObjective(output, self.layer, away=self.away, reference=reference)

    def _code(self, x: Tensor) -> Tensor:
        generator: Any = self.output.generator  # core's wrapper, which says what is wrong
        found: Tensor = generator.features(x, self.output.condition, self.layer)
        return found

    def __call__(self, x: Tensor) -> Tensor:
        """`[B]` of `[B,3,H,W]`, differentiable."""
        code, scale = self._code(x), _energy(self.reference).clamp_min(_NO_ENERGY)
        if not self.away:
            return -_energy(code) / scale
        return _energy(code - self.reference) / scale

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(loss `[B]`, its gradient `[B,3,H,W]`), both without a graph."""
        return with_gradient(self, x)

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For `x` `[B,3,H,W]` (loss `[B]`, disruption of the output `[B]`, feasible bool `[B]`)."""
        _, disruption, feasible = self.output.evaluate(x)
        return self(x), disruption, feasible

    def goal(self, tau: float) -> float:
        """Infinite: no distance of codes says that the output has moved by so much."""
        return math.inf

    def select(self, idx: Tensor) -> LatentObjective:
        """The same of some of the images: `idx` is `[n]` indices or `[B]` booleans."""
        return LatentObjective(
            self.output.select(idx), self.layer, away=self.away, reference=self.reference[idx]
        )

    def preprocessed(self, f: ImageMap) -> LatentObjective:
        """The same aim for the code of processed inputs."""
        return self._with(self.output.preprocessed(f))

    def postprocessed(self, f: ImageMap) -> LatentObjective:
        """The same: codes do not see what is done to outputs, apart from the disruption that is told."""
        return self._with(self.output.postprocessed(f))

    def encoded(self, layer: int = -1, *, away: bool = True) -> LatentObjective:
        return self.output.encoded(layer, away=away)

    def classes(self, *, first_reference: bool = False) -> list[LatentObjective]:
        """The same aim for every condition; the code of each is compared with its own clean one.

        Raises:
            ComponentError: the generator takes conditions and does not list them.
        """
        outputs = self.output.classes(first_reference=first_reference)
        return [LatentObjective(one, self.layer, away=self.away) for one in outputs]

    def _with(self, output: DisruptionObjective) -> LatentObjective:
        return LatentObjective(output, self.layer, away=self.away, reference=self.reference)


_NO_ENERGY = 1e-12
"""Of a code that is all zeros: whatever moves it counts."""


def _energy(code: Tensor) -> Tensor:
    """Mean square of `[B,C,h,w]` codes, `[B]`."""
    return code.square().flatten(1).mean(1)


class _Through:
    """A generator between two image maps; all that an objective asks of one."""

    def __init__(self, generator: Any, before: ImageMap, after: ImageMap) -> None:
        self.generator, self.before, self.after = generator, before, after

    def __call__(self, x: Tensor, c: Condition) -> Tensor:
        return self.after(self.generator(self.before(x), c))

    def features(self, x: Tensor, c: Condition, layer: int) -> Tensor:
        """`[B,C,h,w]` of what is made of the images before the generator sees them."""
        found: Tensor = self.generator.features(self.before(x), c, layer)
        return found

    def private_copy(self) -> _Through:
        return _Through(private(self.generator), self.before, self.after)


def _as_it_is(x: Tensor) -> Tensor:
    return x


def build_objective(
    kind: ObjectiveName,
    generator: Generator,
    clean: Tensor,
    condition: Condition,
    reference: Tensor | None = None,
) -> DisruptionObjective:
    """What an attack maximises: `untargeted` (Eq. 1), `towards-input` (Eq. 2, the paper's choice for face
    replacement: the swap does not happen) or `towards-black`.

    Args:
        generator: G, of a toolkit, say.
        clean: `[B,3,H,W]` in [0,1].
        condition: of B rows.
        reference: `[B,3,H,W]`, the generator's output on `clean` where it is there already.
    """
    target = {"untargeted": None, "towards-input": clean, "towards-black": torch.zeros_like(clean)}[kind]
    return DisruptionObjective(generator, clean, condition, target, reference)
