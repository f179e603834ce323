"""Rules of forgeries and of forensic models."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from magdr_core.errors import MagdrError, one_line
from magdr_core.testing.forensic_inputs import donors_of, known_faces
from magdr_core.testing.rules import SOUND, difference, rule
from magdr_core.testing.subject import Subject, misshapen, not_finite


@rule(
    "forged",
    "8-bit pictures, masks of 0 and 1 that are not empty, and nothing changed where nothing is forged",
    after=SOUND,
)
def forged(s: Subject) -> Iterator[str]:
    many = s.inputs(12, odd_ones=True)
    spec: Any = s.spec
    for given in (s.batch, many[range(len(many))], s.inputs(2, 48, 40)):
        source = known_faces(given)
        donors = donors_of(given) if spec.donor else source[:0]
        try:
            s.guarded(source, donors, s.rng(given))
        except MagdrError as e:
            yield one_line(e).removeprefix(f"{s.guarded.where}: ")
            return


@rule("located", "`locate(x)` gives `[B,1,H,W]` in [0,1], the same in any batch", after=SOUND)
def located(s: Subject) -> Iterator[str]:
    locate = getattr(s.component, "locate", None)
    if locate is None:
        return

    def run(given: Any) -> Any:
        return locate(given.images)

    seen = s.watch(s.batch, run)
    n, _, height, width = s.batch.images.shape
    check = partial(misshapen, shape=(n, 1, height, width), like=s.batch.images, any_float=True)
    if wrong := seen.failure if seen.error else check(seen.output) or not_finite(seen.output):
        yield f"locate: {wrong}"
        return
    low, high = (float(v) for v in seen.output.aminmax())
    if low < 0 or high > 1:
        yield f"locate: values in [{low:.4g}, {high:.4g}], expected [0, 1]"
    for line in [*seen.edited, *seen.networks]:
        yield f"locate {line}"
    alone = s.watch(s.batch[[n - 1]], run)
    if alone.error or (moved := difference(alone.output[0], seen.output[-1])) > max(s.tolerance, 1e-5):
        yield f"locate: image {n - 1} differs alone and in a batch of {n}" + (
            f" ({alone.failure})" if alone.error else f", by {moved:.3g}"
        )


RULES = (forged, located)
