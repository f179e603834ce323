"""Second opinions on an output: a twin of the generator, and the generator itself on a purified input.

A twin G' is a second network for the generator's task that was trained to stand still under attack
(`magdr train twin-editing64`). On clean and on noisy images the two agree; where G was disrupted they do not:
a consistency over models, beside the one over processings f_k. A purifier P asks the same of the input: is
G(P(x)) what G(x) is?

Either is the log RMS of a difference, in units of clean faces with the same edit, and then on one scale with
whatever else is known of an image. The largest of them is the score. A sum would let an attacker pay for one
with another: cleaner than clean here, worse there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from magdr_core.components.batch import Condition, Samples, VectorCondition
from magdr_core.components.protocols import FitData, Generator, ImageMap
from magdr_core.errors import CalibrationError
from magdr_core.functional import constant
from magdr_core.magdr.evidence import Probe
from magdr_core.magdr.standardise import MIN_COUNT, POOLED, moments, named, target_names

FLOOR = 1e-3
"""RMS below it, a quarter of an 8-bit level, is rounding."""

TAIL = {0.9: 1.2816, 0.95: 1.6449}
"""Quantiles that set a scale, and how many spreads above the mean they are of normal values. Further out are
outliers, which a few hundred faces are too few to measure."""

WORST_Z = 2.3263
"""Of normal values one in 100 lies further out."""

FURTHEST_Z = 2.0
"""The furthest of some hundred clean faces by the first score lies no further out, below any threshold."""

FOLDS = 4
"""Parts of the clean faces, each scored by what was fitted on the others."""

Array = np.ndarray[Any, Any]

Edit = tuple[str, ...]
"""Names of an edit from the narrowest on: its target region with the entries that it sets, its target region.
Black hair can be a matter of guesses where blond hair is none."""


class SecondOpinions:
    """Whom to ask beside the generator, and what their answers mean.

    Args:
        probe: knows the target regions.
        twins: guarded generators. Those that take the conditions of the generator at hand are its twins; a
            registry with several tasks lists the twins of all.
        purifier: a guarded restoration, or None.

    Attributes:
        state: fitted units and scales, JSON-able; empty where nobody is asked.
    """

    def __init__(
        self, probe: Probe, twins: Sequence[Generator] = (), purifier: ImageMap | None = None
    ) -> None:
        self.probe = probe
        self.twins = tuple(twins)
        self.purifier = purifier
        self.state: Mapping[str, Any] = {}

    def of(self, G: Generator) -> list[Generator]:
        """The twins of a generator.

        Raises:
            CalibrationError: one takes images of another size.
        """
        if not self.twins:
            return []
        named = tuple(G.condition_names)
        found = [t for t in self.twins if tuple(t.condition_names) == named]
        for twin in found:
            if twin.size != G.size:
                raise CalibrationError(f"a twin takes {twin.size} px, its generator {G.size} px")
        return found

    def names(self, G: Generator) -> list[str]:
        """What each opinion is called in a verdict: the component's label."""
        asked: list[Any] = [*self.of(G), *([] if self.purifier is None else [self.purifier])]
        return [getattr(one, "label", "") or f"opinion {i}" for i, one in enumerate(asked, 1)]

    def passes(self) -> int:
        """Images that went through twins so far."""
        return sum(twin.passes for twin in self.twins)

    # -- asking -----------------------------------------------------------------------------------------

    def ask(self, x: Tensor, c: Condition, G: Generator, y: Tensor) -> Tensor:
        """The log RMS of each opinion's difference from `y`, `[B,F]`; a pass each.

        Args:
            x: `[B,3,H,W]` in [0,1].
            y: `G(x,c)`, `[B,3,H,W]`.
        """
        others = [twin(x, c) for twin in self.of(G)]
        if self.purifier is not None:
            others.append(G(self.purifier(x), c))
        return log_rms(y, others)

    def __call__(self, x: Tensor, c: Condition, G: Generator, y: Tensor) -> Tensor:
        """Opinions in spreads of harmless images, `[B,F]`; arguments as for `ask`.

        Raises:
            CalibrationError: not fitted, or for another number of opinions.
        """
        logs = self.ask(x, c, G, y)
        wanted = len(self.state["scales"]) - 1 if self.state else 0
        if logs.shape[1] != wanted:
            raise CalibrationError(
                f"calibrated with {wanted} second opinions, asked for {logs.shape[1]}: run `magdr calibrate`"
            )
        return self._in_spreads(logs, c, G)

    def first(self, scores: Tensor) -> Tensor:
        """The score of the evidence that they are second to, `[B]`, in spreads of clean images."""
        return on_scales(self.state["scales"][:1], scores[:, None])[:, 0]

    def twin_output(self, x: Tensor, c: Condition, G: Generator, y: Tensor) -> tuple[Tensor, Tensor]:
        """What the twins make of images, `[B,3,H,W]` in [0,1], on average; and how far `y = G(x,c)` is from
        the one that it is furthest from, `[B]` in spreads of harmless images.

        Raises:
            CalibrationError: G has no twin, or none was calibrated.
        """
        others = [twin(x, c) for twin in self.of(G)]
        if not others or not self.state:
            raise CalibrationError("this detector has no twin of the generator, or none that is calibrated")
        return torch.stack(others).mean(0), self._in_spreads(log_rms(y, others), c, G).amax(1)

    def _in_spreads(self, logs: Tensor, c: Condition, G: Generator) -> Tensor:
        """The first n opinions, as measured `[B,n]`."""
        z = in_units(self.state["units"], logs, self.edits(c, G))
        return on_scales(self.state["scales"][1 : 1 + logs.shape[1]], z)

    def edits(self, c: Condition, G: Generator) -> list[Edit]:
        """What units an edit of each image may be measured in, by name."""
        target, parts = self.probe.target(c, G), self.probe.regions.names
        if not isinstance(c, VectorCondition):
            return [(region,) for region in target_names(target, parts)]
        entries, count = list(G.condition_names), len(parts)
        # One read for both: each makes a GPU wait.
        rows = torch.cat([target, c.changed & (c.values > 0.5)], 1).tolist()
        regions = [named(row[:count], parts) for row in rows]
        return [
            (f"{region}/{named(row[count:], entries)}", region)
            for region, row in zip(regions, rows, strict=True)
        ]

    # -- calibration ------------------------------------------------------------------------------------

    def fit(self, data: FitData, G: Generator, first: Tensor | None) -> Mapping[str, Any]:
        """Units and scales; :meth:`load` takes them.

        Units are those of clean faces, and so are the scales of twins, for which noise is like clean. The
        scale of a purifier's opinion is set by noise of the attacks' strengths and by benign edits, too:
        where it finds nothing to do its clean spread is next to nothing, and all noise would be an attack.

        Args:
            first: `[N]`, scores of clean images by the evidence that these are second to; None if there is
                none.

        Raises:
            ValueError: there is nobody to ask.
        """
        if not self.names(G):
            raise ValueError("evidence = 'opinions' needs `twins` of this generator, or an `opinion`")
        clean, edits = self._logs(data.clean, G), self.edits(data.clean.conditions, G)
        units = fit_units(clean, edits)
        # Clean faces are judged in units of others.
        kinds = [_unseen(clean, edits)]
        for samples in data.harmless.values():
            kinds.append(in_units(units, self._logs(samples, G), self.edits(samples.conditions, G)))
        z = [values.double().cpu().numpy() for values in kinds]
        twins = len(self.of(G))
        scales = [fit_scale([of[:, i] for of in (z[:1] if i < twins else z)]) for i in range(clean.shape[1])]
        own = [0.0, 1.0] if first is None else _modest(first.double().cpu().numpy())
        return {"units": units, "scales": [own, *scales]}

    def _logs(self, samples: Samples, G: Generator) -> Tensor:
        batches = samples.batches("learn")
        return torch.cat([self.ask(b.images, b.conditions, G, G(b.images, b.conditions)) for b in batches])

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Take what was fitted; None where nobody was asked, as for a task whose twin is not listed.

        Raises:
            CalibrationError: units and scales that do not belong together, or of opinions that nobody gives.
        """
        fault = CalibrationError("opinions: it was made for another composition")
        if state is None:
            if self.purifier is not None:
                raise fault
            self.state = {}
            return
        try:
            counts = {len(u[key]) for u in state["units"].values() for key in ("mean", "std")}
            count = len(state["scales"]) - 1
            fits = counts == {count} and POOLED in state["units"]
            fits = fits and all(len(scale) == 2 for scale in state["scales"])
        except (KeyError, TypeError, AttributeError):
            raise fault from None
        if not fits or not 1 <= count <= len(self.twins) + (self.purifier is not None):
            raise fault
        self.state = state


def log_rms(y: Tensor, others: Sequence[Tensor]) -> Tensor:
    """Log RMS of the differences of `y` from each of F others, `[B,3,H,W]` each: `[B,F]`."""
    squares = [(y - other).square().flatten(1).mean(1) for other in others]
    together = torch.stack(squares, 1) if squares else y.new_zeros(len(y), 0)
    return 0.5 * (together + FLOOR**2).log()


def fit_units(logs: Tensor, edits: Sequence[Edit]) -> Mapping[str, Any]:
    """Means and spreads of clean faces' opinions.

    Args:
        logs: `[N,F]`.
        edits: of the N faces.

    Returns:
        JSON-able: by each name of edits of which there are enough faces, and of all of them.
    """
    units = {}
    for name in [POOLED, *sorted({name for names in edits for name in names})]:
        members = [i for i, names in enumerate(edits) if name in (POOLED, *names)]
        if name != POOLED and len(members) < MIN_COUNT:
            continue
        values = logs[constant(members, logs.device)]
        mean, std, _ = moments(values, torch.ones_like(values, dtype=torch.bool))
        units[name] = {"mean": mean.tolist(), "std": std.tolist()}
    return units


def in_units(units: Mapping[str, Any], logs: Tensor, edits: Sequence[Edit]) -> Tensor:
    """The first n opinions `[B,n]` in spreads of clean faces with the same edit, as narrow as is known."""
    n = logs.shape[1]
    figures = [units[next((name for name in names if name in units), POOLED)] for names in edits]
    mean, std = (
        constant([f[key][:n] for f in figures], logs.device, logs.dtype).reshape(-1, n)
        for key in ("mean", "std")
    )
    return (logs - mean) / std


def folds(n: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Each part of n images, and the rest of them, as indices `[k]`; all of them twice where there are too
    few."""
    every = torch.arange(n, device=device)
    if n < 2 * MIN_COUNT:
        yield every, every
        return
    for k in range(FOLDS):
        part = every % FOLDS == k
        yield every[part], every[~part]


def _unseen(logs: Tensor, edits: Sequence[Edit]) -> Tensor:
    """Opinions of clean faces `[N,F]` in units of such that they had no part in."""
    z = []
    for part, rest in folds(len(logs), logs.device):
        units = fit_units(logs[rest], [edits[i] for i in rest.tolist()])
        z.append(in_units(units, logs[part], [edits[i] for i in part.tolist()]))
    return torch.cat(z)


def fit_scale(harmless: Sequence[Array]) -> list[float]:
    """A middle and a spread with which the upper tail is that of normal values.

    False alarms are a matter of tails alone, and those of different evidence differ: by the spread of all
    values, whichever has the heaviest tail would make most of the false alarms, and raise the threshold for
    the others.

    Args:
        harmless: scores `[N]` of each kind of harmless images, clean ones among them; the kind whose worst
            percent lies furthest out counts.
    """
    (low, low_z), (high, high_z) = TAIL.items()
    scales = []
    for values in harmless:
        above, further = np.quantile(values, [low, high]).tolist()
        spread = max((further - above) / (high_z - low_z), 1e-3)
        scales.append([above - low_z * spread, spread])
    return max(scales, key=lambda scale: scale[0] + WORST_Z * scale[1])


def _modest(values: Array) -> list[float]:
    """The scale of the first score, on which it makes the fewest of the false alarms.

    Those that it makes raise the threshold for the second opinions, which are what an attacker finds hard to
    evade: to an attack on the largest of both, a higher threshold of a twin is all that counts.
    """
    middle, spread = fit_scale([values])
    return [middle, max(spread, (float(values.max()) - middle) / FURTHEST_Z)]


def on_scales(scales: Sequence[Sequence[float]], scores: Tensor) -> Tensor:
    """Scores `[B,F]` in spreads of harmless images, by a middle and a spread for each."""
    figures = constant([list(scale) for scale in scales], scores.device, scores.dtype).reshape(-1, 2)
    return (scores - figures[:, 0]) / figures[:, 1]
