"""A role: what a component is asked in a benchmark, and which figures follow from its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from magdr_core.components.batch import Samples
from magdr_core.components.cells import PlannedCell, Portion, UnderAttack
from magdr_core.components.figure import Figure
from magdr_core.components.scenario import Scenario, configured
from magdr_core.components.slice import Measured, Slice
from magdr_core.components.task_run import Planning, Rng, TaskRun

ORACLE = "oracle"
"""The defense that is shown the clean output and takes the best candidate of Rec-Net's grid (Eq. 8)."""

PictureName = tuple[str, str, str, str]
"""(task, attack, component, side) of pictures in a report."""


class Role:
    """What is measured of the components that a profile lists under `plural`.

    A role has no state: one instance serves all tasks, and other processes have their own. What is to be kept
    between the cells of a task goes into :meth:`TaskRun.cached`.

    Attributes:
        name: unique.
        rows: as in the column `role` of results.csv; `name` if empty.
        reserved: labels of those rows that are this role's alone.
        plural: the profile's key with labels; empty of a role that stands beside another one.
        kind: of its components' registry tables.
        figures: every metric that its rows have.
        schema: raised where its cells hold other values than before.
        grows: what is measured of an image depends on that image alone, so that a run of more images measures
            only those that are new; see :meth:`combined`.
        always_learns: calibrating it always takes attacked faces; what learns now and then does not say.
        attackable: an attack can be aimed at its components: :meth:`defended`, :meth:`attacked_values`.
        checks_beside: generator passes per image that sanity checks take beside the component's own.
    """

    name: ClassVar[str] = ""
    rows: ClassVar[str] = ""
    reserved: ClassVar[tuple[str, ...]] = ()
    plural: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    figures: ClassVar[tuple[Figure, ...]] = ()
    schema: ClassVar[int] = 1
    grows: ClassVar[bool] = False
    always_learns: ClassVar[bool] = False
    attackable: ClassVar[bool] = False
    checks_beside: ClassVar[float] = 0.0

    # -- planning ---------------------------------------------------------------------------------------

    def listed(self, profile: Any) -> tuple[str, ...]:
        """The labels that a profile lists.

        Raises:
            ValueError: a key of a plugin's role is no list of labels.
        """
        if not self.plural:
            return ()
        if self.plural in type(profile).model_fields:
            labels: tuple[str, ...] = getattr(profile, self.plural)
        else:
            labels = configured(profile.extra.get(self.plural, ()), None)
        return labels

    def check(self, plan: Planning) -> None:
        """Raises RegistryError if what the profile lists cannot be had."""
        for label in self.listed(plan.profile):
            plan.check(self.kind_of(plan.toolkit, label), label)

    def labels(self, plan: Planning, part: Slice) -> Sequence[str]:
        """The components that have a cell on a slice."""
        return self.lined_up(self.listed(plan.profile))

    def lined_up(self, labels: Sequence[str]) -> Sequence[str]:
        """The labels with whatever stands beside them in every table."""
        return labels

    def applies_to(self, scenario: Scenario) -> bool:
        """Whether its components are run on a scenario's images."""
        return scenario.main

    def kind_of(self, toolkit: Any, label: str) -> str:
        """The kind of the component that a label means."""
        return self.kind

    def undefended(self, label: str) -> bool:
        """Whether a row is of no defense at all."""
        return False

    def fits(self, plan: Planning, label: str) -> Sequence[tuple[str, str]]:
        """(role, label) of what has to be calibrated before a cell of this component is computed."""
        return ()

    # -- components -------------------------------------------------------------------------------------

    def component(self, run: TaskRun, cell: PlannedCell) -> Any:
        """A cell's component, calibrated. Raises MagdrError if it cannot be had."""
        return run.toolkit.build(self.kind_of(run.toolkit, cell.component), cell.component)

    def identity(self, run: TaskRun, cell: PlannedCell) -> Any:
        """What a cell's component is, as JSON for keys; no labels."""
        return run.toolkit.resolve(self.kind_of(run.toolkit, cell.component), cell.component).identity

    def calibration(self, run: TaskRun, label: str) -> str | None:
        """A hash of the calibration that a component uses; None if it has none."""
        return None

    def depends_on(self, run: TaskRun, cell: PlannedCell) -> Mapping[str, Any]:
        """What a cell's values depend on besides component and images, as JSON."""
        return {}

    def processed(self, profile: Any) -> tuple[str, ...]:
        """Augmentations over which a further variant of each row is averaged."""
        return ()

    def wants_masks(self, run: TaskRun, label: str) -> bool:
        """Whether a component is given exact masks."""
        return False

    def is_baseline(self, run: TaskRun, label: str, component: Any) -> bool:
        """Whether a component is one to beat."""
        return False

    # -- measuring --------------------------------------------------------------------------------------

    def measure(self, run: TaskRun, cell: PlannedCell, seen: Samples, component: Any, rng: Rng) -> Measured:
        """What a component does on the images of a slice.

        Args:
            seen: the images with their conditions, with exact masks if it wants them.
            rng: the component's random draws for a batch.
        """
        raise NotImplementedError

    def kept(self, run: TaskRun, cell: PlannedCell, stored: Mapping[str, Any]) -> Mapping[str, int]:
        """The pictures that a stored cell has to have, by name, and how many images each is of."""
        return {}

    def combinable(self, ids: Sequence[str], portions: Sequence[Sequence[str]]) -> bool:
        """Whether portions with these ids have all that a cell with those ids needs."""
        return True

    def combined(self, ids: Sequence[str], portions: Sequence[Portion]) -> Measured:
        """One cell's result from those of its portions, which have no image in common.

        Args:
            ids: of all images, in the order of the cell.
        """
        values: dict[str, list[float]] = {}
        for name in portions[0].values:
            by_id = {i: v for p in portions for i, v in zip(p.ids, p.values[name], strict=True)}
            values[name] = [by_id[i] for i in ids]
        return Measured(values, portions[-1].extra)

    def brief(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the list of cells in a run folder says of a finished cell besides its facts."""
        return {}

    def report_pictures(
        self, store: Any, data: Mapping[str, Any], shown: int
    ) -> Mapping[PictureName, Tensor]:
        """The first `shown` pictures of a cell, `[n,3,H,W]` in [0,1], for the report; of the first seed
        only."""
        return {}

    def worst_pictures(self, store: Any, data: Mapping[str, Any]) -> Mapping[PictureName, Tensor]:
        """Pictures of a cell's worst images, `[n,3,H,W]` in [0,1], for the report."""
        return {}

    # -- attacks that know the component ----------------------------------------------------------------

    def defended(self, run: TaskRun, cell: PlannedCell, component: Any, behind: str) -> UnderAttack:
        """What an attack that knows everything is aimed at.

        Args:
            behind: label of a detector that may stand before the component; empty for none.
        """
        raise NotImplementedError

    def attacked_values(
        self, run: TaskRun, mode: str, seen: Samples, defended: UnderAttack, rng: Rng
    ) -> Mapping[str, list[float]]:
        """Per-sample values on the images that a mode of the attack found; the pool's under an empty name."""
        raise NotImplementedError

    def attacked_extra(self, run: TaskRun, component: Any) -> Mapping[str, Any]:
        """What is kept beside them."""
        return {}

    # -- sanity checks ----------------------------------------------------------------------------------

    def checked(self, label: str) -> bool:
        """Whether sanity checks attack a component."""
        return False

    def victim(self, run: TaskRun, label: str) -> Mapping[str, Any]:
        """`defense=` or `detector=` of a checks' victim."""
        raise NotImplementedError

    def bare(self, run: TaskRun, label: str) -> Any:
        """The component itself, without core's wrapper; None if it has none of its own."""
        return None

    def nature(self, run: TaskRun, label: str, gradient: str) -> Any:
        """What an attack on it costs depends on: see :data:`magdr_core.bench.checks.engine.Nature`."""
        raise NotImplementedError


def role_of(roles: Mapping[str, Role], rows: str, component: str) -> Role:
    """The role that computes a cell.

    Args:
        rows: the column `role`.
        component: the column `component`.

    Raises:
        KeyError: there is none.
    """
    for role in roles.values():
        if component in role.reserved and rows == (role.rows or role.name):
            return role
    return roles[rows]
