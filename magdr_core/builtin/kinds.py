"""The kinds of component that core knows: twelve, and the two of :mod:`magdr_core.builtin.forensic_kinds`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from magdr_core import guards
from magdr_core.builtin.forensic_kinds import FORENSIC_KINDS
from magdr_core.builtin.shipped import shipped
from magdr_core.components import protocols, specs
from magdr_core.components.kind import Kind
from magdr_core.components.objective import ObjectiveName
from magdr_core.components.trial import Trial
from magdr_core.guards.dataset import GuardedDataset
from magdr_core.hosting.hookspecs import hookimpl
from magdr_core.media import FaceFinder

MAGDR_API = 1


class RestorationTable(BaseModel):
    grid: dict[str, list[Any]] | None = None


class AttackTable(BaseModel):
    objective: ObjectiveName | None = None


class GeneratorTable(BaseModel):
    dataset: str = ""
    attacks: dict[str, str] = {}


# -- what the conformance suite has of a kind -----------------------------------------------------------


def _like_images(given: Any) -> tuple[int, ...]:
    return tuple(given.images.shape)


def _shape_of_masks(given: Any) -> tuple[int, ...]:
    n, _, height, width = given.images.shape
    return n, given.regions, height, width


def _call_on_images(subject: Any, f: Any, given: Any, rng: Mapping[str, Any]) -> Any:
    return f(given.images, **rng)


def _call_metric(subject: Any, f: Any, given: Any, rng: Mapping[str, Any]) -> Any:
    through = {"c": given.conditions, "G": subject.toy_generator} if subject.spec.conditional else {}
    return f(given.images, given.others, given.masks, **through)


def _call_attack(subject: Any, f: Any, given: Any, rng: Mapping[str, Any]) -> Any:
    return f(given.images, subject.objective(given), **rng)


def _call_with_generator(subject: Any, f: Any, given: Any, rng: Mapping[str, Any]) -> Any:
    return f(given.images, given.conditions, subject.toy_generator, **rng)


# -- core's wrappers ------------------------------------------------------------------------------------


def _grid_of_restoration(spec: Any, instance: Any) -> Mapping[str, Sequence[Any]]:
    """The table's grid, else the spec's without what the table's parameters fix."""
    if instance.grid is not None:
        return dict(instance.grid)
    return {name: values for name, values in spec.grid.items() if name not in instance.params}


def _guarded_metric(resolved: Any, component: Any, where: str) -> guards.GuardedMetric:
    spec = resolved.entry.spec
    return guards.GuardedMetric(
        component,
        where,
        higher_is_better=spec.higher_is_better,
        to_distance=spec.to_distance,
        conditional=spec.conditional,
    )


def _guarded_generator(resolved: Any, component: Any, where: str) -> guards.GuardedGenerator:
    spec = resolved.entry.spec
    return guards.GuardedGenerator(
        component,
        where,
        stochastic=spec.stochastic,
        objective=getattr(component, "objective", None) or spec.objective,
        stream=resolved.entry.name,
    )


def _guarded_attack(resolved: Any, component: Any, where: str) -> guards.GuardedAttack:
    spec = resolved.entry.spec
    return guards.GuardedAttack(
        component,
        where,
        eps=spec.strength(resolved.params),
        psnr=float(resolved.params["psnr"]) if spec.norm == "psnr" else None,
        ssim=float(resolved.params["ssim"]) if spec.norm == "ssim" else None,
        objective=resolved.instance.objective,
        stochastic=spec.stochastic,
    )


def _guarded_by(guard: type[guards.Guard]) -> Callable[[Any, Any, str], guards.Guard]:
    """A wrapper that has to know no more than whether a component is stochastic."""

    def guarded(resolved: Any, component: Any, where: str) -> guards.Guard:
        return guard(component, where, stochastic=resolved.entry.spec.stochastic)

    return guarded


# -- the kinds -----------------------------------------------------------------------------------------

KINDS = (
    Kind(
        name="metric",
        plural="metrics",
        spec=specs.MetricSpec,
        protocol=protocols.Metric,
        guard=_guarded_metric,
        call="(a, b, masks) -> [B,N]",
        summary="Distances D_i and criteria: one value per image and region.",
        trial=Trial(
            call=_call_metric,
            shape=lambda given: tuple(given.masks.shape[:2]),
            any_float=True,
            any_size=True,
            gradient=lambda spec: "exact" if spec.differentiable else "none",
            moved="others",
        ),
        **shipped("metric", "distance"),
    ),
    Kind(
        name="augmentation",
        plural="augmentations",
        spec=specs.AugmentationSpec,
        protocol=protocols.ImageMap,
        guard=_guarded_by(guards.GuardedImageMap),
        call="(x) -> x'",
        summary="Image processings f_k of the consistency detector, with `undo` for geometric ones.",
        trial=Trial(call=_call_on_images, shape=_like_images, images=True, any_size=True),
        **shipped("augmentation", "undo"),
    ),
    Kind(
        name="restoration",
        plural="restorations",
        spec=specs.RestorationSpec,
        protocol=protocols.ImageMap,
        guard=_guarded_by(guards.GuardedImageMap),
        call="(x) -> x'",
        summary="Members of Rec-Net's layers B_i, with a stage and a grid of settings.",
        table=RestorationTable,
        grid=_grid_of_restoration,
        trial=Trial(
            call=_call_on_images,
            shape=_like_images,
            images=True,
            any_size=True,
            gradient=lambda spec: spec.gradient,
        ),
        **shipped("restoration", "grid"),
    ),
    Kind(
        name="generator",
        plural="generators",
        spec=specs.GeneratorSpec,
        protocol=protocols.Generator,
        guard=_guarded_generator,
        call="(x, c) -> y",
        summary="Generators G, with their target regions `edited(c)`.",
        table=GeneratorTable,
        identity=lambda spec, instance: {"objective": spec.objective},
        trial=Trial(
            call=lambda subject, G, given, rng: G(given.images, given.conditions, **rng),
            shape=_like_images,
            images=True,
            network=True,
            own_conditions=True,
            gradient=lambda spec: "exact",
            pictures=3,
        ),
        **shipped("generator", "conditions", "features"),
    ),
    Kind(
        name="parser",
        plural="parsers",
        spec=specs.ParserSpec,
        protocol=protocols.Parser,
        guard=_guarded_by(guards.GuardedParser),
        call="(x) -> [B,N,H,W]",
        summary="Face parsers: soft masks over `PARTS` that sum to 1 at each pixel.",
        trial=Trial(call=_call_on_images, shape=_shape_of_masks, any_size=True, network=True),
        **shipped("parser", "masks"),
    ),
    Kind(
        name="attack",
        plural="attacks",
        spec=specs.AttackSpec,
        protocol=protocols.Attack,
        guard=_guarded_attack,
        call="(x, objective) -> x_hat",
        summary="Disruptors, with |x_hat - x| <= eps everywhere, or a PSNR or an SSIM that images keep.",
        table=AttackTable,
        identity=lambda spec, instance: {"objective": instance.objective or "of the generator"},
        trial=Trial(call=_call_attack, shape=_like_images, images=True, learns=True),
        **shipped("attack", "ball", "checkpoints"),
    ),
    Kind(
        name="detector",
        plural="detectors",
        spec=specs.DetectorSpec,
        protocol=protocols.Detector,
        guard=_guarded_by(guards.GuardedDetector),
        call="(x, c, G) -> [B]",
        summary="Detectors; higher is more suspicious, core owns the thresholds.",
        trial=Trial(
            call=_call_with_generator,
            shape=lambda given: (len(given.images),),
            any_float=True,
            learns=True,
            gradient=lambda spec: spec.gradient,
        ),
        **shipped("detector"),
    ),
    Kind(
        name="defense",
        plural="defenses",
        spec=specs.DefenseSpec,
        protocol=protocols.Defense,
        guard=_guarded_by(guards.GuardedDefense),
        call="(x, c, G) -> x'",
        summary="Reconstructors, with an optional `output(x, c, G) -> y`.",
        trial=Trial(
            call=_call_with_generator,
            shape=_like_images,
            images=True,
            learns=True,
            gradient=lambda spec: spec.gradient,
        ),
        **shipped("defense", "own output", "choice"),
    ),
    Kind(
        name="dataset",
        plural="datasets",
        spec=specs.DatasetSpec,
        protocol=protocols.Dataset,
        guard=_guarded_by(GuardedDataset),
        call="split(name) -> split",
        summary="Datasets: splits are sized and give batches with stable ids; `fingerprint()` names them.",
        **shipped("dataset", "splits", "images", "ids", "stable", "disjoint", "facts"),
    ),
    *FORENSIC_KINDS,
    Kind(
        name="finder",
        plural="finders",
        spec=specs.FinderSpec,
        protocol=FaceFinder,
        guard=_guarded_by(guards.GuardedFinder),
        call="(picture) -> [FoundFace, ...]",
        summary="Finders of the faces in one's own pictures and clips.",
        **shipped("finder", "found", "kept", "alike", "nothing"),
    ),
    Kind(
        name="channel",
        plural="channels",
        spec=specs.ChannelSpec,
        protocol=protocols.ImageMap,
        guard=_guarded_by(guards.GuardedChannel),
        call="(x) -> x'",
        summary="What published pictures go through on their way: resizing, codecs, chains of both.",
        trial=Trial(call=_call_on_images, shape=_like_images, images=True, any_size=True),
        **shipped("channel"),
    ),
    Kind(
        name="identity_encoder",
        plural="identity_encoders",
        spec=specs.IdentityEncoderSpec,
        protocol=protocols.IdentityEncoder,
        guard=_guarded_by(guards.GuardedIdentityEncoder),
        call="(x) -> [B,D]",
        summary="Identity encoders: who is shown, as vectors of length 1.",
        trial=Trial(
            call=_call_on_images,
            shape=lambda given: (len(given.images), given.dimension),
            any_size=True,
            network=True,
            gradient=lambda spec: spec.gradient,
        ),
        **shipped("identity_encoder", "identities"),
    ),
)


@hookimpl
def magdr_kinds() -> list[Kind]:
    return list(KINDS)
