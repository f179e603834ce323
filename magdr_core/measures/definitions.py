"""Every figure of the roles attack, detector and defense: the one place that says what a metric is.

Figures of other roles come from the plugins that bring the roles; a run's manifest lists them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from magdr_core.components.figure import ADJUSTED_P, Figure, Threshold

DISRUPTION = "squared, [-1,1]"
SQUARED_LEVELS = "squared, 0-255"
LEVELS_PER_UNIT = 127.5
"""A pixel's range is 2 on [-1,1] and 255 in levels."""

SCORES = ("score", "clean:score")
FLAGS = ("flagged", "clean:flagged")

FORWARDS = "forwards"
"""The one figure of a whole cell."""

_REFERENCES = ("noise", "noise-l2", "benign")
"""Images that those of attacks are looked at beside."""

_NOT_ATTACKED = ("clean", *_REFERENCES)
"""Images of which nobody can say whether the attack was found."""

SUCCESSFUL = "undefended:success"
"""Which images an attack succeeds on where nothing defends, as in the paper's tables."""

_SHARE = Threshold(0.02)
_SMALL = Threshold(0.01)
_SQUARED = Threshold(1.0, 0.1)
_DISRUPTS = Threshold(0.005, 0.1)
_LET_PASS = Threshold(0.001, 0.1)


def _attacks() -> Iterator[Figure]:
    """An attack that disrupts more is the better attack."""
    error = Figure(
        name="mse_o",
        role="attack",
        unit=DISRUPTION,
        digits=4,
        threshold=_DISRUPTS,
        needs=("mse_o",),
        summary="mean squared error of the output on the attacked image and on the clean one",
    )
    yield error
    yield _median(error)
    inside = _inside(error)
    yield inside
    yield _median(inside)
    yield Figure(
        name="success",
        role="attack",
        threshold=_SHARE,
        needs=("success",),
        statistic="share",
        summary="share of images over .05, or, of a targeted attack, less than half as far from its target",
    )
    touched = replace(
        error,
        name="mse_o_changed",
        needs=("mse_o_changed",),
        summary="the same over the pixels that the clean edit changes; 0 where it changes none",
    )
    yield touched
    yield _median(touched)
    for name, summary in (
        ("target", "share of images over .05 inside the region that is edited"),
        ("changed", "share of images over .05 over the pixels that the clean edit changes (CMUA's rule)"),
    ):
        yield Figure(
            name=f"success_{name}",
            role="attack",
            threshold=_SHARE,
            needs=(f"mse_o_{name}",),
            statistic="success",
            summary=summary,
        )
    alike = Figure(
        name="identity_o",
        role="attack",
        better="lower",
        threshold=_SMALL,
        needs=("identity_o",),
        summary="cosine of who the outputs on the attacked and on the clean image show, to the most lenient "
        "encoder",
    )
    yield alike
    yield _median(alike)
    yield Figure(
        name="success_identity",
        role="attack",
        threshold=_SHARE,
        needs=("success_identity",),
        statistic="share",
        summary="share of images whose output shows somebody else than the clean output, to every encoder",
    )
    yield Figure(
        name="psnr_i",
        role="attack",
        unit="dB",
        digits=2,
        threshold=Threshold(0.5),
        needs=("psnr_i",),
        summary="PSNR of the attacked image, at most 100: what the attack is seen by",
    )
    yield replace(
        error,
        name="mse_aim",
        better="lower",
        needs=("mse_aim",),
        summary="of a targeted attack: mean squared error of the output and the image that it aims at",
    )
    yield Figure(
        name="disruption_kept",
        role="attack",
        threshold=_SHARE,
        needs=("mse_o", "direct:mse_o"),
        statistic="ratio",
        summary="output error behind a channel, as a share of that without it, the channel's own included",
    )
    yield Figure(
        name="perturbation_kept",
        role="attack",
        threshold=_SHARE,
        needs=("mse_o_perturbation", "direct:mse_o"),
        statistic="ratio",
        summary="output error behind a channel against clean pictures behind it, in the same share",
    )
    yield Figure(
        name="disruption_of_channel",
        role="attack",
        better="neither",
        threshold=_SHARE,
        needs=("mse_o_channel", "direct:mse_o"),
        statistic="ratio",
        summary="what the channel does to the output on clean pictures by itself, in the same share",
    )


def _decisions() -> Iterator[Figure]:
    """Of attacked and clean images at an operating point."""

    def decision(name: str, summary: str) -> Figure:
        return Figure(
            name=name,
            role="detector",
            threshold=_SHARE,
            needs=FLAGS,
            statistic=name,
            summary=summary,
            points=True,
            modes=False,
            off=_NOT_ATTACKED,
        )

    yield decision("precision", "share of what is flagged that was attacked")
    recall = decision("recall", "share of attacked images that are flagged")
    yield replace(recall, needs=("flagged",), statistic="share", modes=True)
    f1 = decision("f1", "harmonic mean of precision and recall")
    yield f1
    yield _successful(f1)
    yield decision("precision_weighted", "of both classes, weighted by their sizes")
    yield decision("recall_weighted", "of both classes, weighted by their sizes")
    yield decision("f1_weighted", "of both classes, weighted by their sizes")
    yield decision("accuracy", "share of attacked and clean images that are judged rightly")


def _detectors() -> Iterator[Figure]:
    ranked = Figure(
        name="auroc",
        role="detector",
        threshold=_SMALL,
        needs=SCORES,
        statistic="auroc",
        summary="attacked images against clean ones",
        modes=False,
        off=_NOT_ATTACKED,
    )
    yield ranked
    yield replace(
        ranked,
        name="auroc_noise",
        needs=("score", "noise:score"),
        summary="attacked images against random noise of the same bound",
    )
    yield replace(
        ranked,
        name="auroc_noise_l2",
        needs=("score", "noise-l2:score"),
        summary="attacked images against random noise with the L2 norm of their perturbations",
    )
    yield _successful(ranked)
    for percent in (1, 5):
        name, summary = f"tpr_at_{percent}fpr", f"share found at {percent}% false alarms of the run's own"
        yield replace(ranked, name=name, threshold=_SHARE, statistic=name, summary=summary)
    yield replace(
        ranked,
        name="f1_of_all",
        better="neither",
        threshold=_SHARE,
        statistic="f1_of_all",
        summary="F1 of flagging every image, attacked or clean; an F1 that is no higher says nothing",
    )
    alarms = Figure(
        name="fpr_clean",
        role="detector",
        better="lower",
        threshold=_SMALL,
        needs=("flagged",),
        statistic="share",
        summary="share of clean images over the threshold",
        points=True,
        modes=False,
        on=("clean",),
    )
    yield alarms
    yield replace(
        alarms,
        name="fpr_benign",
        summary="share of clean images over the threshold after a harmless edit",
        points=False,
        on=("benign",),
    )
    yield Figure(
        name="mse_o",
        role="detector",
        unit=DISRUPTION,
        digits=4,
        better="neither",
        threshold=_LET_PASS,
        needs=("disruption",),
        summary="disruption by an attack that knows the detector, flagged or not",
    )
    yield Figure(
        name="mse_o_undetected",
        role="detector",
        unit=DISRUPTION,
        digits=4,
        better="lower",
        threshold=_LET_PASS,
        needs=("disruption", "flagged"),
        statistic="mean_undetected",
        summary="disruption that gets past the detector; flagged images count as 0",
    )
    yield Figure(
        name="success_undetected",
        role="detector",
        better="lower",
        threshold=_SHARE,
        needs=("disruption", "flagged"),
        statistic="success_undetected",
        summary="share of images that are over .05 and not flagged",
    )
    yield Figure(
        name="kept_at_95_evasion",
        role="detector",
        better="lower",
        threshold=_SHARE,
        needs=("disruption", "flagged", "strongest/disruption", "clean:flagged"),
        statistic="kept_at_95_evasion",
        summary="disruption that evades 95% of the time, as a share of the strongest undefended one",
        modes=False,
    )
    yield Figure(
        name="kept_targeted",
        role="detector",
        better="lower",
        threshold=_SHARE,
        needs=("targeted/progress", "targeted/flagged", "strongest/progress", "clean:flagged"),
        statistic="kept_at_95_evasion",
        summary="the same of how much nearer outputs come to a target: the attack's own, or the input",
        modes=False,
    )
    yield replace(_forwards("detector"), off=_REFERENCES)


def _defenses() -> Iterator[Figure]:
    errors, likeness = _SQUARED, _SMALL
    measures = {
        "mse": Figure(
            name="mse",
            role="defense",
            unit=SQUARED_LEVELS,
            better="lower",
            digits=1,
            threshold=errors,
            summary="mean squared error",
        ),
        "ssim": Figure(name="ssim", role="defense", threshold=likeness, summary="structural similarity"),
        "psnr": Figure(
            name="psnr",
            role="defense",
            unit="dB",
            digits=2,
            threshold=Threshold(0.5),
            summary="PSNR of each image, at most 100 for equal ones",
        ),
        "fsim": Figure(
            name="fsim",
            role="defense",
            threshold=likeness,
            summary="feature similarity (phase congruency and gradients)",
        ),
        "featsim": Figure(
            name="featsim",
            role="defense",
            threshold=likeness,
            summary="cosine of the face parser's pooled deep features",
        ),
    }
    for side in "io":
        for name, figure in measures.items():
            own = replace(figure, name=f"{name}_{side}", needs=(f"{name}_{side}",))
            yield own
            yield _median(own)
        yield replace(
            measures["psnr"],
            name=f"psnr_pooled_{side}",
            needs=(f"mse_{side}",),
            statistic="psnr_pooled",
            summary="PSNR of the pooled error; the mean of the images' own is another figure",
        )
        yield replace(
            measures["mse"],
            name=f"l2_table2_{side}",
            unit="levels times 4.433",
            needs=(f"mse_{side}",),
            statistic="l2_table2",
            summary="4.433 times the root of the pooled error: the unit of the paper's Table 2",
        )
    alike = Figure(
        name="identity_o",
        role="defense",
        threshold=likeness,
        needs=("identity_o",),
        summary="cosine of who the output and the clean output show, to the most lenient encoder",
    )
    yield alike
    yield _median(alike)
    error = replace(measures["mse"], name="mse_o", needs=("mse_o",))
    inside = _inside(error)
    yield inside
    yield _median(inside)
    yield replace(_successful(error), modes=False, off=_NOT_ATTACKED)
    # Of defenses behind a detector, under attacks that know both.
    flagged = Figure(
        name="flagged",
        role="defense",
        threshold=_SHARE,
        needs=("flagged",),
        statistic="share",
        summary="share of images that the detector before the defense flags",
    )
    let_pass = replace(
        measures["mse"],
        name="undetected_mse_o",
        needs=("undetected_mse_o",),
        summary="output error of what that detector lets pass; flagged images count as 0",
    )
    for figure in (flagged, let_pass):
        yield figure
        yield _median(figure)
    for name, needs, summary in (
        (
            "kept",
            ("mse_o", "strongest/disruption"),
            "output error under an attack that knows all, as a share of the strongest undefended one",
        ),
        (
            "kept_targeted",
            ("targeted/progress", "strongest/progress"),
            "the same of how much nearer outputs come to a target: the attack's own, or the input",
        ),
    ):
        yield Figure(
            name=name,
            role="defense",
            better="lower",
            threshold=_SHARE,
            needs=needs,
            statistic=name,
            summary=summary,
            modes=False,
        )
    yield replace(
        measures["mse"],
        name="mse_o_difference",
        needs=("mse_o", "baseline:mse_o"),
        statistic="mean_difference",
        summary="paired difference to the best baseline of the same table; below 0 is better",
    )
    yield Figure(
        name="mse_o_difference_p",
        role="defense",
        better="neither",
        threshold=_SMALL,
        needs=("mse_o", "baseline:mse_o"),
        statistic=ADJUSTED_P,
        summary="p of a sign-flip test of that difference, Holm-adjusted over the table",
    )
    yield _forwards("defense")


def _inside(figure: Figure) -> Figure:
    """An output's error inside the target alone."""
    name = f"{figure.name}_target"
    return replace(figure, name=name, needs=(name,), summary="the same over the region that is edited")


def _successful(figure: Figure) -> Figure:
    """The figure of those images alone that the attack succeeds on, beside the same faces when clean."""
    return replace(
        figure,
        name=f"{figure.name}_successful",
        among=SUCCESSFUL,
        summary=f"of images that the attack succeeds on: {figure.summary}",
    )


def _median(figure: Figure) -> Figure:
    return replace(
        figure, name=f"median_{figure.name}", statistic="median", summary=f"median: {figure.summary}"
    )


def _forwards(role: str) -> Figure:
    return Figure(
        name=FORWARDS,
        role=role,
        unit="passes per image",
        better="lower",
        digits=1,
        threshold=_SMALL,
        summary="generator passes per image, as the method asks for them",
    )


FIGURES: tuple[Figure, ...] = (*_attacks(), *_decisions(), *_detectors(), *_defenses())

DECISIONS = frozenset(figure.name for figure in _decisions())
"""A detector's figures that depend on its operating point."""


class Definitions:
    """Figures by role and name: those of the table above, and of the plugins' roles that a run has.

    Args:
        more: of other roles, or of a role of the table under other names.
    """

    def __init__(self, more: Iterable[Figure] = ()) -> None:
        self._found: dict[tuple[str, str], Figure] = {}
        for figure in (*FIGURES, *more):
            # What the table says of a figure holds, whatever a run folder says of it.
            self._found.setdefault((figure.role, figure.name), figure)

    def get(self, role: str, name: str) -> Figure | None:
        return self._found.get((role, name))

    def __getitem__(self, about: tuple[str, str]) -> Figure:
        """The figure of (role, name). Raises KeyError if there is none."""
        return self._found[about]

    def __iter__(self) -> Iterator[Figure]:
        return iter(self._found.values())

    def of(self, role: str) -> list[Figure]:
        """The figures of a role, in order of definition."""
        return [figure for figure in self if figure.role == role]

    def named(self, name: str) -> list[Figure]:
        """The figures of all roles with this name."""
        return [figure for figure in self if figure.name == name]

    @property
    def by_name(self) -> Mapping[str, list[Figure]]:
        """Figures by their names, of all roles."""
        return {figure.name: self.named(figure.name) for figure in self}


DEFINITIONS = Definitions()
"""The figures of attacks, detectors and defenses."""

ROLES = tuple(dict.fromkeys(figure.role for figure in FIGURES))
"""The roles that core measures and draws itself; others are shown in plain tables."""
