"""One component under test: built as core builds it, called as core calls it, and watched meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from magdr_core.components.batch import Condition, VectorCondition
from magdr_core.components.objective import build_objective
from magdr_core.components.protocols import FitData, Setting
from magdr_core.components.regions import regions_of
from magdr_core.components.rng import SampleRng
from magdr_core.components.trial import Trial
from magdr_core.errors import MagdrError
from magdr_core.functional import in_pieces
from magdr_core.hosting.manager import Entry
from magdr_core.testing.inputs import Inputs, faces_of, make_inputs
from magdr_core.testing.watching import Network, WatchedCall, edit, find_networks, global_generators
from magdr_core.testing.world import World


class Subject:
    """A component with one setting of its parameters.

    Args:
        entry: the registered component.
        world: builds it, and has what it needs.
        params: instead of its defaults; needs by label.
        tolerance: by how much results may depend on the batch.

    Attributes:
        memo: what rules keep for each other.
    """

    def __init__(self, entry: Entry, world: World, params: Mapping[str, Any], *, tolerance: float) -> None:
        self.entry, self.spec = entry, entry.spec
        self.kind = world.host.kind(entry.kind)
        self.world, self.params, self.tolerance = world, params, tolerance
        self.memo: dict[str, Any] = {}
        self._seen: dict[str, WatchedCall] = {}

    @property
    def trial(self) -> Trial:
        """How components of the kind are called; only rules of kinds that have none do without."""
        assert self.kind.trial is not None
        return self.kind.trial

    @cached_property
    def guarded(self) -> Any:
        return self.world.build(self.entry, self.params)

    @property
    def device(self) -> torch.device:
        return self.world.device

    @property
    def toy_generator(self) -> Any:
        return self.world.generator

    def variant(self, **params: Any) -> Subject:
        """The same component with other parameters."""
        return Subject(self.entry, self.world, {**self.params, **params}, tolerance=self.tolerance)

    def rebuilt(self) -> Any:
        """Another instance of the same."""
        return self.world.build(self.entry, self.params)

    def settings(self) -> Sequence[Setting]:
        """Every setting of a component with a grid."""
        return self.world.settings(self.entry, self.params)

    def fit_data(self) -> FitData:
        return self.world.fit_data

    @property
    def component(self) -> Any:
        return self.guarded.component

    @property
    def generator(self) -> Any:
        """The generator that conditions are for: the component itself if it is one."""
        return self.guarded if self.trial.own_conditions else self.toy_generator

    # -- calling ----------------------------------------------------------------------------------------

    def inputs(self, count: int, height: int = 0, width: int = 0, *, odd_ones: bool = False) -> Inputs:
        """Pictures on the device, by default of the size that the kind is mostly called with."""
        side = self.generator.size
        if not height and self.trial.any_size:
            height, width = 24, 32
        names = len(self.generator.condition_names)
        made = make_inputs(count, height or side, width or side, conditions=names, odd_ones=odd_ones)
        numbers = getattr(self.component, "dimension", 0)
        made = replace(made.to(self.device), regions=len(regions_of(self.component)), dimension=numbers)
        return self._with_own_conditions(made) if self.trial.own_conditions else made

    def _with_own_conditions(self, made: Inputs) -> Inputs:
        """A generator that takes no vectors is asked for conditions. If it fails, a rule says so."""
        if self.memo.get("takes vectors"):
            return made
        faces = faces_of(made, self.generator.condition_names)
        try:
            drawn = self.guarded.call(self.component.draw, faces, self.rng(made))
        except MagdrError:
            drawn = made.conditions
        own = isinstance(drawn, Condition) and type(drawn) is not VectorCondition and len(drawn) > 0
        self.memo["takes vectors"] = not own
        if own and len(drawn) != len(made):
            drawn = drawn[[0]].repeat(len(made))
        return replace(made, conditions=drawn) if own else made

    @cached_property
    def batch(self) -> Inputs:
        return self.inputs(self.trial.pictures)

    def seen(self, name: str, inputs: Callable[[], Inputs], **options: Any) -> WatchedCall:
        """The call of that name, made once."""
        if name not in self._seen:
            self._seen[name] = self.call(inputs(), **options)
        return self._seen[name]

    @property
    def first(self) -> WatchedCall:
        """The call that most rules look at."""
        return self.seen("first", lambda: self.batch)

    def call(
        self, inputs: Inputs, *, world: int = 0, channels_last: bool = False, pieces: bool = False
    ) -> WatchedCall:
        """Call the component on a copy of `inputs`, without gradients, and note what it does besides.

        Args:
            world: seeds the global generators, which it must not care for.
            channels_last: hand over images that lie in memory that way.
            pieces: call networks through `in_pieces`, as core does: the same bits in any batch.
        """

        def run(given: Inputs) -> Any:
            if pieces and self.trial.network:
                return in_pieces(lambda i: self.compute(given[_rows(given, i)]), given.images)
            return self.compute(given.channels_last() if channels_last else given)

        return self.watch(inputs, run, world=world)

    def watch(
        self, inputs: Inputs, action: Callable[[Inputs], Any], *, world: int = 0, grad: bool = False
    ) -> WatchedCall:
        """`action` on a copy of `inputs`; afterwards networks and global generators are as before."""
        given, seen = inputs.copy(), WatchedCall(inputs)
        networks = [Network(name, m) for name, m in self.networks()]
        with torch.set_grad_enabled(grad), global_generators(world) as drew:
            try:
                seen.output = action(given)
            except KeyboardInterrupt:
                raise
            except BaseException as e:  # sys.exit() in a plugin must not end the suite
                seen.error = e
        seen.drew = drew
        kept = inputs.tensors()
        seen.edited = [
            line for name, t in given.tensors().items() if (line := edit(name, kept[name], t)) is not None
        ]
        seen.networks = [line for network in networks for line in network.restore()]
        return seen

    def compute(self, given: Inputs, *, component: Any = None) -> Any:
        """The kind's call with everything that core would hand over."""
        f = self.component if component is None else component
        rng = {"rng": self.rng(given)} if self.spec.stochastic else {}
        return self.trial.call(self, f, given, rng)

    def objective(self, given: Inputs) -> Any:
        """What an attack is to maximise on these pictures."""
        aim = self.guarded.objective or self.toy_generator.objective
        return build_objective(aim, self.toy_generator, given.images, given.conditions)

    def rng(self, given: Inputs) -> SampleRng:
        return SampleRng(0, f"conformance/{self.entry.name}", given.ids, device=self.device)

    def networks(self) -> Iterator[tuple[str, nn.Module]]:
        """Networks that the component could reach: its own and its module's, and the generator."""
        home = sys.modules.get(self.spec.build.__module__)
        held = [value for name, value in vars(home).items() if name != "__builtins__"] if home else []
        owned = find_networks([self.component, *held])
        for module in owned:
            yield "its network", module
        for module in find_networks([self.toy_generator]):
            if all(module is not other for other in owned):
                yield "the generator", module

    # -- judging ----------------------------------------------------------------------------------------

    def misshapen(self, seen: WatchedCall) -> str:
        """What is wrong with the form of the result, or nothing."""
        if seen.error is not None:
            return seen.failure
        shape, any_float = self.trial.shape(seen.inputs), self.trial.any_float
        return misshapen(seen.output, shape, seen.inputs.images, any_float=any_float)

    def ill_valued(self, seen: WatchedCall) -> str:
        """Form, finiteness and range of a result at once; what is wrong with it, or nothing."""
        return self.misshapen(seen) or not_finite(seen.output) or self.out_of_range(seen.output)

    def out_of_range(self, y: Tensor) -> str:
        """What is wrong with values of images `[B,3,H,W]` that are not in [0,1]; "" if nothing is."""
        if not self.trial.images or y.numel() == 0:
            return ""
        finite = y.detach()[torch.isfinite(y.detach())]
        if finite.numel() == 0:
            return ""
        low, high = (float(v) for v in finite.aminmax())
        if low < -1e-4 or high > 1 + 1e-4:
            return f"values in [{low:.4g}, {high:.4g}], expected [0, 1]"
        return ""


def _rows(given: Inputs, idx: slice | list[int]) -> Sequence[int]:
    return range(len(given))[idx] if isinstance(idx, slice) else idx


def misshapen(y: Any, shape: tuple[int, ...], like: Tensor, *, any_float: bool = False) -> str:
    """What is wrong with the form of a result, or nothing.

    Args:
        shape: that it should have.
        like: `[B,3,H,W]`, on the device that it should be on, and of its type unless it may be `any_float`.
    """
    if not isinstance(y, Tensor):
        return f"returns a {type(y).__name__}, expected a tensor"
    if tuple(y.shape) != shape:
        return f"returns shape {tuple(y.shape)}, expected {shape}"
    if y.device != like.device:
        return f"returns a tensor on {y.device}, expected {like.device}"
    if not y.is_floating_point() or not (any_float or y.dtype == like.dtype):
        return f"returns {y.dtype}, expected {'a float type' if any_float else like.dtype}"
    return ""


def not_finite(y: Tensor) -> str:
    """Where a tensor of any shape holds values that are not finite, the first place; "" if nowhere."""
    wrong = ~torch.isfinite(y.detach())
    if not bool(wrong.any()):
        return ""
    at = [int(i) for i in wrong.nonzero()[0]]
    return (
        f"returns {float(y[tuple(at)])} at {at}; {int(wrong.sum())} of {wrong.numel()} values are not finite"
    )
