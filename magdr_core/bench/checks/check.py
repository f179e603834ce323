"""What the sanity checks conclude from per-image values, and why. Nothing here runs an attack.

The questions are those of Carlini et al., On Evaluating Adversarial Robustness, arXiv 1902.06705 (section 5),
and of Athalye, Carlini, Wagner, Obfuscated Gradients Give a False Sense of Security, ICML 2018 (section 3.1).
Intervals resample images, not identities: they ask how an attack behaves on these images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from magdr_core.components.fingerprints import digest
from magdr_core.measures.intervals import interval
from magdr_core.measures.statistics import MEAN
from magdr_core.measures.thresholds import Array
from magdr_core.results.checked import Verdict

STANDS_FOR = "checks"
"""In the evidence of a check that takes the place of several: how many."""

LEAST = 4
"""Images without which nothing is concluded: an interval over fewer says next to nothing."""

MOST = 0.95
"""Share of images that counts as everything: of an unbounded attack, of a planted weakness."""

MATERIAL = 0.10
"""More effort must not gain more than this share of what the attack had."""

FLOOR = 1e-4
"""Output MSE ([-1,1] units) below which a difference is nobody's concern; the success line is .05."""

BLIND = 0.99
"""An image whose gradient has so large a share of zeros gives an attack no direction."""

DISAGREEMENT = 0.3
"""Median of |slope - gradient| / (|slope| + |gradient|) above which a gradient is not the function's own."""


@dataclass(frozen=True)
class SanityCheck:
    """One conclusion.

    Attributes:
        name: of the check, the same in every run.
        verdict: `warn` says that more effort would have done more; `skipped`, that the question applies and
            has no answer, because the check was not run or had nothing to look at; `inapplicable`, that the
            question does not arise.
        said: one line for readers.
        evidence: the figures behind it, JSON-able.
    """

    name: str
    verdict: Verdict
    said: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"evidence": {k: _plain(v) for k, v in self.evidence.items()}}


def unanswered(name: str, *values: Array) -> SanityCheck | None:
    """The check that says why nothing can be concluded from these values; None if something can.

    Every conclusion asks this first. Without it too few images, or values that are no numbers, would pass: a
    comparison with NaN is false, and nothing fails on no images.

    Args:
        values: of the same images, `[n]` each.
    """
    n = min(map(len, values))
    if n != max(map(len, values)):
        return SanityCheck(
            name, "skipped", f"values of {n} and {max(map(len, values))} images cannot be compared"
        )
    if n < LEAST:
        return SanityCheck(
            name, "skipped", f"{n} image{'s' * (n != 1)}; nothing is said about fewer than {LEAST}", {"n": n}
        )
    odd = int((~np.isfinite(np.stack([np.asarray(v, dtype=float) for v in values]))).any(0).sum())
    if odd:
        return SanityCheck(
            name, "skipped", f"no finite number on {odd} of {n} images", {"n": n, "not finite": odd}
        )
    return None


def if_seen(check: SanityCheck, seen: bool) -> SanityCheck:
    """A passed comparison counts only if the attack was seen to get something at all, somewhere."""
    if seen or check.verdict != "pass":
        return check
    said = f"{check.said}; but the attack got nothing from any image, at no strength, so this says nothing"
    return SanityCheck(check.name, "skipped", said, check.evidence)


def nothing_at_zero(moved: Array, name: str = "eps-0") -> SanityCheck:
    """An attack of strength 0 changes no pixel.

    Args:
        moved: `[n]`, the largest change of a pixel of each image.
    """
    if (nothing := unanswered(name, moved)) is not None:
        return nothing
    worst = float(moved.max())
    if worst == 0:
        return SanityCheck(name, "pass", "at eps 0 no pixel moved", {"largest move": worst})
    return SanityCheck(name, "fail", f"at eps 0 a pixel moved by {worst:.4f}", {"largest move": worst})


def everything_at_one(reached: Array, *, doubt: str = "", name: str = "eps-1") -> SanityCheck:
    """An attack that may change everything gets everything; one that does not is not believed when it gets
    little with less.

    Args:
        reached: `[n]`, whether (or how often) each image was disrupted.
        doubt: why missing the aim says something of the attack alone; then it only warns.
    """
    if (nothing := unanswered(name, reached)) is not None:
        return nothing
    share = float(reached.mean())
    evidence = {"reached": share, "n": len(reached)}
    said = f"at eps 1 the attack reached its aim on {share:.0%} of {len(reached)} images"
    if share >= MOST:
        return SanityCheck(name, "pass", said, evidence)
    if doubt:
        return SanityCheck(name, "warn", f"{said}: {doubt}", evidence)
    return SanityCheck(name, "fail", f"{said}: it is too weak, or its gradients are hidden", evidence)


def paired(a: Array, b: Array, about: str) -> dict[str, float]:
    """Mean of `b - a` with its 95% interval, and both means, of at least two images."""
    gain = (b - a).astype(np.float64)
    mean, low, high = interval(MEAN, [gain], np.arange(len(a)), int(digest([about, len(a)]), 16))
    return {"before": float(a.mean()), "after": float(b.mean()), "gain": mean, "low": low, "high": high}


def not_weaker(name: str, less: Array, more: Array, what: str) -> SanityCheck:
    """With more of something the attack does not get less, beyond noise.

    Args:
        less, more: `[n]`, what the attack got from each image.
        what: the comparison in words, such as "eps 6/255 against 3/255".
    """
    if (nothing := unanswered(name, less, more)) is not None:
        return nothing
    found = paired(less, more, name)
    slack = max(FLOOR, 0.02 * found["before"])
    said = f"{what}: {found['after']:.4g} against {found['before']:.4g}"
    if found["high"] < -slack:
        return SanityCheck(name, "fail", f"{said}; more effort got less", found)
    return SanityCheck(name, "pass", said, found)


def not_beaten(name: str, own: Array, other: Array, what: str, *, blind: bool = False) -> SanityCheck:
    """An attack that knows more is not beaten, beyond noise, by one that knows less.

    Args:
        own: `[n]`, of the attack that knows more.
        other: `[n]`, of the one that knows less.
        blind: there was no gradient to follow; then being beaten says something of the attack alone.
    """
    if (nothing := unanswered(name, own, other)) is not None:
        return nothing
    found = paired(own, other, name)
    slack = max(FLOOR, 0.02 * found["before"])
    said = f"{what}: {found['before']:.4g} against {found['after']:.4g}"
    if found["low"] <= slack:
        return SanityCheck(name, "pass", said, found)
    if blind:
        return SanityCheck(name, "warn", f"{said}; going around a missing gradient is too weak here", found)
    return SanityCheck(name, "fail", f"{said}; who knew less got more, so the gradients mislead", found)


def converged(name: str, before: Array, after: Array, what: str) -> SanityCheck:
    """More of the same effort does not gain materially: the interval's lower end is at most `MATERIAL`."""
    if (nothing := unanswered(name, before, after)) is not None:
        return nothing
    found = paired(before, after, name)
    limit = max(FLOOR, MATERIAL * found["before"])
    said = f"{what}: {found['after']:.4g} after {found['before']:.4g}"
    if found["low"] > limit:
        share = found["gain"] / max(found["before"], FLOOR)
        return SanityCheck(name, "warn", f"{said}, {share:+.0%}: not converged", found)
    return SanityCheck(name, "pass", said, found)


def gradients(
    declared: str,
    zeros: Array,
    broken: Array,
    disagreement: Array | None,
    ahead: Array | None = None,
    name: str = "gradient",
) -> SanityCheck:
    """The declared gradient is there and, where it is called exact, is the function's own.

    Args:
        declared: exact, straight-through or none.
        zeros: `[n]`, share of exact zeros in each image's gradient.
        broken: `[n]` bool, whether it has NaN or infinite entries.
        disagreement: `[n]`, of the gradient with slopes of the function, where it was measured.
        ahead: `[n]`, how much more a step along a stand-in's gradient gets than it must, in any unit.
    """
    if (nothing := unanswered(name, zeros, broken)) is not None:
        return nothing
    if disagreement is not None:  # a slope that is no number agrees with nothing
        disagreement = np.where(np.isfinite(disagreement), disagreement, 1.0)
    blind = float(((zeros >= BLIND) | broken).mean())
    evidence: dict[str, Any] = {
        "declared": declared,
        "zero share": float(np.where(broken, 1.0, zeros).mean()),
        "NaN share": float(broken.mean()),
        "images without direction": blind,
    }
    if disagreement is not None:
        evidence["disagreement with slopes"] = float(np.median(disagreement))
    if blind > 1 - MOST:
        said = f"declared {declared}, but {blind:.0%} of the images have no usable gradient"
        return SanityCheck(name, "fail", said, evidence)
    if disagreement is not None and float(np.median(disagreement)) > DISAGREEMENT:
        off = evidence["disagreement with slopes"]
        said = f"declared {declared}, but the gradient is off the measured slope by {off:.0%}"
        return SanityCheck(name, "fail", said, evidence)
    if ahead is not None:
        found = paired(np.zeros(len(ahead)), np.nan_to_num(ahead, nan=-1.0), name)
        evidence |= {"step ahead": found["gain"], "low": found["low"], "high": found["high"]}
        if found["low"] <= 0:
            said = f"declared {declared}, but a step along it gets no more than a random one, or not half of"
            return SanityCheck(name, "warn", f"{said} what a step that ignores the defense gets", evidence)
    told = "attacked as if it were not there (BPDA)" if declared == "none" else "usable on the images seen"
    return SanityCheck(name, "pass", f"declared {declared}; {told}", evidence)


def planted_broken(name: str, broken: Array, vulnerable: Array) -> SanityCheck:
    """A weakness put there on purpose is found.

    Args:
        broken: `[n]`, whether (or how often) the attack reached its aim through the planted component.
        vulnerable: `[n]` bool, whether the same effort reaches it where nothing is in the way.
    """
    if (nothing := unanswered(name, broken, vulnerable)) is not None:
        return nothing
    cases = int(vulnerable.sum())
    if cases < max(1, len(vulnerable) // 2):
        said = f"only {cases} of {len(vulnerable)} images can be disrupted at all at this strength"
        return SanityCheck(name, "skipped", said, {"cases": cases, "n": len(vulnerable)})
    share = float(broken[vulnerable].mean())
    evidence = {"broken": share, "cases": cases, "n": len(vulnerable)}
    said = f"broken in {share:.0%} of {cases} cases"
    if share >= MOST:
        return SanityCheck(name, "pass", said, evidence)
    return SanityCheck(name, "fail", f"{said}: the attack misses a weakness that is there", evidence)


def _plain(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
