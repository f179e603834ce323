"""Rules of single kinds: grids, gradients, eps balls, masks, distances, geometry, conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import Condition, VectorCondition
from magdr_core.components.protocols import Chosen, ImageMap
from magdr_core.components.regions import regions_of
from magdr_core.components.specs import MetricSpec
from magdr_core.errors import MagdrError, one_line
from magdr_core.functional import gaussian_blur, least_ssim, psnr, to_8bit
from magdr_core.testing.fitting import learn
from magdr_core.testing.inputs import faces_of
from magdr_core.testing.rules import SOUND, difference, rule
from magdr_core.testing.subject import Subject, misshapen, not_finite


@rule(
    "grid",
    "every setting of the grid builds and gives sound images",
    after=(*SOUND, "batch"),
)
def grid(s: Subject) -> Iterator[str]:
    try:
        settings = s.settings()
    except MagdrError as e:
        yield one_line(e)
        return
    for setting in settings:
        guarded: Any = setting.apply
        run = partial(s.compute, component=guarded.component)
        seen, alone = s.watch(s.batch, run), s.watch(s.batch[[2]], run)
        if wrong := s.ill_valued(seen) or s.ill_valued(alone):
            yield f"{setting.label()}: {wrong}"
            return
        if (moved := difference(alone.output[0], seen.output[2])) > s.tolerance:
            yield f"{setting.label()}: image 2 differs by {moved:.3g} alone and in a batch of {len(s.batch)}"
            return


@rule("masks", "masks are not negative and sum to 1 at each pixel", after=("output", "finite"))
def masks(s: Subject) -> Iterator[str]:
    for count, height, width in ((0, 0, 0), (1, 17, 23)):
        seen = s.call(s.inputs(count, height, width)) if count else s.first
        if s.ill_valued(seen):
            return  # other rules say so
        found: Tensor = seen.output
        if float(found.min()) < -1e-4:
            yield f"a mask has the value {float(found.min()):.4g}"
        total = found.sum(1)
        worst = total.flatten()[(total - 1).abs().argmax()]
        if abs(float(worst) - 1) > 1e-3:
            yield f"the masks of a pixel sum to {float(worst):.4g}"
            return


@rule(
    "distance",
    "0 for equal images and in empty regions, larger for different images",
    after=SOUND,
)
def distance(s: Subject) -> Iterator[str]:
    assert isinstance(s.spec, MetricSpec)
    to_distance = s.spec.to_distance or (lambda values: values)
    same = s.watch(s.batch, lambda given: s.compute(replace(given, others=given.images)))
    if same.error:
        yield f"on equal images: {same.failure}"
        return
    if wrong := not_finite(same.output):
        yield f"on equal images: {wrong}"
        return
    empty = float(s.first.output[:, -1].abs().max())
    if not s.spec.higher_is_better and empty > 1e-5:
        yield f"the value of an empty region is {empty:.4g}, expected 0"
    near, far = (to_distance(v)[:, :-1] for v in (same.output, s.first.output))
    if float(near.abs().max()) > 1e-4:
        yield f"the distance of an image to itself is {float(near.abs().max()):.4g}"
    if float(far.min()) <= float(near.max()):
        equal = f"of equal ones {float(near.max()):.4g}"
        yield f"the distance of two different images is {float(far.min()):.4g}, {equal}"


@rule(
    "ball",
    "no pixel moves by more than eps, for the default, 0 and 1; or images keep their PSNR or their SSIM",
    after=SOUND,
)
def ball(s: Subject) -> Iterator[str]:
    if s.guarded.norm != "linf":
        yield from _alike(s)
        return
    default = s.guarded.eps
    for eps in (default, 0.0, 1.0):
        if eps == default:
            subject = s
        else:
            try:
                subject = s.variant(eps=eps)
                learn(subject)
            except MagdrError:
                continue  # this eps is outside the parameter's declared limits
        seen = subject.first
        if wrong := subject.ill_valued(seen):
            yield f"eps = {eps:.4g}: {wrong}"
            return
        moved = difference(seen.output, s.batch.images)
        if moved > eps + 1e-5:
            yield f"a pixel moved by {moved:.4g}, eps is {eps:.4g}"
            return


def _alike(s: Subject) -> Iterator[str]:
    """What is wrong with the PSNR or the SSIM of an attack that says one, for the default and for stricter
    ones."""
    norm = s.guarded.norm
    default, measure, stricter, words, slack = {
        "psnr": (s.guarded.psnr, psnr, (48.0, 120.0), "a PSNR of {:.4g} dB", 1e-3),
        "ssim": (s.guarded.ssim, least_ssim, (0.99, 1.0), "an SSIM of {:.4g}", 1e-5),
    }[norm]
    for least in (default, *stricter):
        subject = s if least == default else s.variant(**{norm: least})
        try:
            learn(subject)
        except MagdrError:
            continue  # this bound is outside the parameter's declared limits
        seen = subject.first
        if wrong := subject.ill_valued(seen):
            yield f"{norm} = {least:g}: {wrong}"
            return
        kept = float(measure(s.batch.images, to_8bit(seen.output)).min())
        if kept < least - slack:
            yield f"an image in 8 bits has {words.format(kept)}, at least {least:g} is asked for"
            return


@rule("checkpoints", "what one run has after some steps", after=SOUND)
def checkpoints(s: Subject) -> Iterator[str]:
    if not hasattr(s.component, "checkpoints"):
        return
    wanted = [1, 2]

    def run(given: Any) -> Any:
        extra = {"rng": s.rng(given)} if s.spec.stochastic else {}
        return s.component.checkpoints(given.images, s.objective(given), wanted, **extra)

    seen = s.watch(s.batch, run)
    if seen.error:
        yield f"checkpoints {seen.failure}"
    elif not isinstance(seen.output, list | tuple) or len(seen.output) != len(wanted):
        yield f"checkpoints for steps {wanted} returned {_size(seen.output)}"
    else:
        for x_hat in seen.output:
            wrong = misshapen(x_hat, tuple(s.batch.images.shape), s.batch.images)
            moved = 0.0 if wrong else difference(x_hat, s.batch.images)
            if wrong or moved > s.guarded.limit + 1e-5:
                yield f"checkpoint: {wrong or f'a pixel moved by {moved:.4g}, eps is {s.guarded.eps:.4g}'}"
                return


@rule(
    "undo",
    "geometry is undone: `undo(f(x))` is x again, but for the borders",
    after=(*SOUND, "inputs"),
)
def undo(s: Subject) -> Iterator[str]:
    if not hasattr(s.component, "undo"):
        return
    # Grain does not survive two interpolations, and need not.
    smooth = replace(s.batch, images=gaussian_blur(s.batch.images, 2.0))
    x, there = smooth.images, s.call(smooth)
    seen = s.watch(smooth, lambda given: s.component.undo(s.compute(given)))
    if wrong := s.ill_valued(there) or s.ill_valued(seen):
        yield f"undo: {wrong}"
        return
    inside = (..., slice(6, -6), slice(6, -6))
    moved = float((there.output - x)[inside].abs().mean())
    left = float((seen.output - x)[inside].abs().mean())
    if left > max(0.5 * moved, 1e-3):
        yield f"undo leaves a mean difference of {left:.4g} inside; without it, it is {moved:.4g}"


@rule("own output", "`output(x, c, G)` gives sound images, the same in any batch", after=SOUND)
def own_output(s: Subject) -> Iterator[str]:
    follows = hasattr(s.component, "output_on")
    if not follows and not hasattr(s.component, "output"):
        return

    def run(given: Any) -> Any:
        extra = {"rng": s.rng(given)} if s.spec.stochastic else {}
        if follows:
            x, c = given.images, given.conditions
            restored = s.component(x, c, s.toy_generator, **extra)
            return s.component.output_on(restored, x, c, s.toy_generator, **extra)
        return s.component.output(given.images, given.conditions, s.toy_generator, **extra)

    seen, alone = s.watch(s.batch, run), s.watch(s.batch[[0]], run)
    for one in (seen, alone):
        if wrong := s.ill_valued(one):
            yield f"output: {wrong}"
            return
    for line in [*seen.edited, *seen.networks]:
        yield f"output {line}"
    if seen.drew:
        yield f"output draws from {' and '.join(seen.drew)} global generator"
    elif (moved := difference(alone.output[0], seen.output[0])) > max(s.tolerance, 1e-6):
        yield f"output: image 0 differs by {moved:.3g} alone and in a batch of {len(s.batch)}"


@rule("choice", "a gate leaves alone what is under it, and plans give what is restored", after=SOUND)
def choice(s: Subject) -> Iterator[str]:
    seen, given = s.guarded.choosing, s.batch.copy()

    def extra() -> dict[str, Any]:
        return {"rng": s.rng(given)} if s.spec.stochastic else {}

    try:
        if seen.gated:
            under = seen.evidence(given.images, given.conditions, s.toy_generator, **extra()) <= seen.gate
            changed = (s.first.output != given.images).flatten(1).any(1)
            for i in torch.nonzero(under & changed).flatten().tolist():
                yield f"changes image {i}, whose evidence is not above the gate"
                return
        if seen.chooses:
            told = seen.run(given.images, given.conditions, s.toy_generator, **extra())
            if (moved := difference(told.restored, s.first.output)) > max(s.tolerance, 1e-6):
                yield f"run restores another image than the call, by {moved:.3g}"
            yield from _misplanned(told, seen.maps, given.images)
    except MagdrError as e:
        yield one_line(e)


def _misplanned(told: Chosen, maps: Mapping[str, ImageMap], x: Tensor) -> Iterator[str]:
    """The first image whose plan does not give what was restored, up to the rounding to 8 bits."""
    for i, plan in enumerate(told.plans):
        if not all(name in maps for name in plan):
            continue  # a composite, which no chain of maps gives
        made = x[i : i + 1]
        for name in plan:
            made = maps[name](made)
        if (moved := difference(made[0], told.restored[i])) > 0.5 / 255 + 1e-4:
            yield f"the plan of image {i}, {list(plan)}, gives another image than restored, by {moved:.3g}"
            return


@rule("conditions", "size, condition names, target regions and drawn conditions")
def conditions(s: Subject) -> Iterator[str]:
    G, n, names = s.component, len(s.batch), tuple(s.component.condition_names)
    if not isinstance(G.size, int) or G.size < 1:
        yield f"size is {G.size!r}, expected pixels"
    if len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
        yield f"condition_names are {names!r}, expected different texts"
    c = s.batch.conditions
    target = G.edited(c)
    wanted = (n, len(regions_of(G)))
    if not isinstance(target, Tensor) or target.dtype != torch.bool or target.shape != wanted:
        given = (
            f"{target.dtype} {tuple(target.shape)}" if isinstance(target, Tensor) else type(target).__name__
        )
        yield f"edited returns {given}, expected torch.bool {wanted}"
    faces = faces_of(s.batch, names)
    drawn = s.watch(s.batch, lambda given: G.draw(faces, s.rng(given)))
    if isinstance(drawn.error, MagdrError):
        return  # it needs to know more about faces than any dataset has to tell
    if drawn.error is not None:
        yield f"draw {drawn.failure}"
    elif not isinstance(drawn.output, Condition) or not _fits(drawn.output, n, names):
        yield f"draw returns {_size(drawn.output)}, expected a Condition [{n},{len(names)}]"
    else:
        changed = drawn.output.changed if isinstance(drawn.output, VectorCondition) else None
        if changed is not None and names and not bool(changed.any(1).all()):
            yield f"draw gives image {int(changed.any(1).logical_not().nonzero()[0])} no change"
        if drawn.drew:
            yield f"draw draws from {' and '.join(drawn.drew)} global generator"
        alone = G.draw(faces[:1], s.rng(s.batch[[0]]))
        if bool(alone.differs(drawn.output[:1])):
            yield "draw gives an image another condition alone than in a batch"


@rule("features", "features and classes, where the component has them", after=("output",))
def features(s: Subject) -> Iterator[str]:
    x, c = s.batch.images, s.batch.conditions
    if hasattr(s.component, "features"):
        seen = s.watch(s.batch, lambda given: s.component.features(given.images, given.conditions))
        maps = seen.output if isinstance(seen.output, list | tuple) else []
        sound = all(isinstance(m, Tensor) and m.ndim == 4 and m.shape[0] == len(x) for m in maps)
        if seen.error or not maps or not sound:
            yield f"features: {seen.failure or f'returns {_size(seen.output)}, expected a list of [B,C,h,w]'}"
    if hasattr(s.component, "classes"):
        seen = s.watch(s.batch, lambda given: s.component.classes(given.conditions))
        found = seen.output if isinstance(seen.output, list | tuple) else []
        sound = all(isinstance(one, type(c)) and len(one) == len(c) for one in found)
        sound = sound and all(_fits(one, len(c), tuple(s.guarded.condition_names)) for one in found)
        if seen.error or not found or not sound:
            given = seen.failure or f"returns {_size(seen.output)}, expected Conditions like its argument"
            yield f"classes: {given}"


@rule(
    "identities",
    "vectors of length 1 that tell faces apart, of faces of any size",
    after=("output", "finite"),
)
def identities(s: Subject) -> Iterator[str]:
    for name in ("size", "dimension"):
        value = getattr(s.component, name, None)
        if not isinstance(value, int) or value < 1:
            yield f"{name} is {value!r}, expected a whole number from 1"
            return
    for count, height, width in ((0, 0, 0), (2, 17, 23)):
        seen = s.call(s.inputs(count, height, width)) if count else s.first
        if s.ill_valued(seen):
            return  # other rules say so
        lengths = seen.output.detach().square().sum(1).sqrt()
        worst = float(lengths[(lengths - 1).abs().argmax()])
        if abs(worst - 1) > 1e-3:
            yield f"a vector of faces {seen.inputs.shape} has the length {worst:.4g}, expected 1"
            return
    if difference(s.first.output[1:], s.first.output[:-1]) == 0:
        yield "all faces have the same vector"


def _fits(c: Condition, n: int, names: tuple[str, ...]) -> bool:
    """Whether there are `n` rows, and in a vector an entry for each name."""
    return len(c) == n and (not isinstance(c, VectorCondition) or c.values.shape[1] == len(names))


def _size(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


RULES = (grid, masks, distance, ball, checkpoints, undo, own_output, choice, conditions, features, identities)
