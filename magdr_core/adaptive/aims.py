"""The same pipeline attacked with several aims: what one aim finds may serve another one better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from magdr_core.adaptive.attack import OBLIVIOUS, AdaptiveAttack, Attacked, Found, Memory, judged, pooled
from magdr_core.adaptive.attempt import Ended
from magdr_core.adaptive.victim import Target


@dataclass(frozen=True, eq=False)
class AllAims:
    """The result on a batch.

    Attributes:
        modes: what each mode found, by name; that of an aim with a name comes first.
        pooled: by aim the best images of all modes, whatever these aimed at.
        which: by aim and image, the mode that it is from.
        reached: by aim how far its pool's images go, `[B]`, in the aim's own units.
        bad_gradients: see :class:`~magdr_core.adaptive.attack.Attacked`.
    """

    modes: Mapping[str, Found]
    pooled: Mapping[str, Found]
    which: Mapping[str, list[str]]
    reached: Mapping[str, Tensor]
    bad_gradients: Mapping[str, float]


def attack_all(
    attack: AdaptiveAttack,
    targets: Mapping[str, Target],
    others: Mapping[str, Mapping[str, Tensor]],
    memory: Memory,
    told: Callable[[int], None],
) -> AllAims:
    """Attack a batch with every aim; only the first one has a trade-off curve, and all starts and shapes.

    Args:
        targets: by aim the same pipeline; the first aim's name is empty.
        others: by aim further images, `[B,3,H,W]` by name, that join the pool and are started from.
        memory, told: see :class:`~magdr_core.adaptive.attack.AdaptiveAttack`.
    """
    modes: dict[str, Found] = {}
    bad: dict[str, float] = {}
    own: dict[str, Attacked] = {}
    first = next(iter(others.values()))
    for aim, target in targets.items():

        def kept(name: str, make: Callable[[], Ended], aim: str = aim) -> Ended:
            return memory(named(aim, name), make)

        found = attack(target, others[aim], thorough=not aim, memory=kept, told=told)
        own[aim] = found
        same = {OBLIVIOUS, *(n for n, x in others[aim].items() if x is first.get(n))} if aim else set()
        modes |= {named(aim, n): one for n, one in found.modes.items() if n not in same}
        bad |= {named(aim, name): share for name, share in found.bad_gradients.items()}
    pools: dict[str, Found] = {}
    which: dict[str, list[str]] = {}
    for aim, target in targets.items():
        # The best undetected image of a mode with a penalty is in the pool of its aim alone.
        every = {(named(a, n), ""): one.images for a, o in own.items() for n, one in o.modes.items()}
        every |= {("", a): o.pooled.images for a, o in own.items()}
        pools[aim], winners = pooled({key: judged(target, images) for key, images in every.items()})
        which[aim] = [name or named(of, own[of].which[i]) for i, (name, of) in enumerate(winners)]
    reached = {aim: pools[aim].verdict.gain * target.gain_unit for aim, target in targets.items()}
    return AllAims(modes, pools, which, reached, bad)


def named(aim: str, name: str) -> str:
    """A mode's name with that of its aim."""
    return f"{aim}, {name}" if aim else name
