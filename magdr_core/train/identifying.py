"""Training of an identity encoder: the angle to one's own class is made smaller by a margin.

The loss is ArcFace's (Deng et al., CVPR 2019, arXiv 1801.07698, Eq. 3): softmax over scaled cosines to a
direction for each person of the training pictures, where the angle to the right one has a margin added.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.components.protocols import Dataset, PairedSplit
from magdr_core.components.rng import SampleRng
from magdr_core.functional import constant
from magdr_core.train.context import TESTED_FROM, TrainContext
from magdr_core.train.optimiser import NetOptimiser

EDITS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Eyeglasses", "Smiling")
"""What is changed on some of the training pictures: a person stays the same."""


class Persons(nn.Module):
    """A direction for each person of the training pictures, `rows` `[N,D]` of any length."""

    def __init__(self, count: int, dimension: int) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.rows = nn.Parameter(torch.randn(count, dimension, generator=g))


class IdentityTrainer:
    """The network gives directions `[B,D]` of pictures.

    `settings` hold `scale` and `margin` (radians) of the loss, `edited`, the share of edited pictures, and
    `noisy`, that of pictures with noise.
    """

    def __init__(self, context: TrainContext) -> None:
        self.context = context
        self.net = context.net
        people: Dataset = context.toolkit.build("dataset", "procedural-people")
        self.people = people
        kept = context.drawn_once(self._examples)
        self.images, self.edited, self.persons = kept["images"], kept["edited"], kept["persons"]
        count = int(self.persons.max()) + 1
        self.classes = Persons(count, self.net.dimension).to(context.device)
        self._net = NetOptimiser(nn.ModuleList([self.net, self.classes]), context.recipe.lr)
        self.modules: dict[str, nn.Module] = {"net": self.net, "classes": self.classes}
        self.optimisers = self._net.parts

    def _split(self, name: str) -> PairedSplit:
        split = self.people.split(name)
        assert isinstance(split, PairedSplit)
        return split

    def _examples(self) -> dict[str, Tensor]:
        """Pictures in 8 bits, as they are and edited, and the numbers of who is shown."""
        split = self._split("train")
        found: dict[str, list[Tensor]] = {"images": [], "edited": [], "persons": []}
        for indices in self.context.chunks(self.context.recipe.pool, 64):
            batch = split[indices]
            assert batch.identities is not None
            found["images"].append((batch.images * 255).round().byte())
            found["edited"].append((split.edited(indices, self._edits(batch.ids)) * 255).round().byte())
            found["persons"].append(batch.identities)
        kept = {name: torch.cat(tensors) for name, tensors in found.items()}
        return {**kept, "persons": kept["persons"].unique(return_inverse=True)[1]}

    def _edits(self, ids: tuple[str, ...]) -> dict[str, Tensor]:
        """One of the hair colours, or none; glasses and a smile or not."""
        rng = SampleRng(self.context.recipe.seed, "identity-edits", ids, device=self.context.device)
        colour = rng.integers(1, high=4)
        told = constant([0, 1, 2], colour.device) == colour
        return dict(
            zip(EDITS, torch.cat([told.float(), rng.integers(2, high=2).float()], 1).unbind(1), strict=True)
        )

    def step(self, i: int) -> dict[str, float]:
        recipe, device = self.context.recipe, self.context.device
        rng = SampleRng(recipe.seed, "identity-step", [str(i)], device=device)
        pick = rng.integers(recipe.batch, high=len(self.images))[0]
        chance = rng.uniform(3, recipe.batch)[0][..., None, None, None]
        x = torch.where(chance[0] < recipe.settings["edited"], self.edited[pick], self.images[pick])
        x = torch.where(chance[1] < 0.5, x.flip(3), x).float() / 255
        names = [f"{i}.{j}" for j in range(recipe.batch)]
        each = SampleRng(recipe.seed, "identity-noise", names, device=device)
        noise = each.uniform(1, 1, 1, high=0.06) * each.normal(*x.shape[1:])
        x = torch.where(chance[2] < recipe.settings["noisy"], (x + noise).clamp(0, 1), x)
        cosines = self.net(x) @ F.normalize(self.classes.rows).T
        loss, right = margin_loss(
            cosines, self.persons[pick], scale=recipe.settings["scale"], margin=recipe.settings["margin"]
        )
        self._net.step(loss)
        return {"loss": float(loss.detach()), "right": float(right)}

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """On persons that training never saw: how well pairs of pictures are told to be of one person or of
        two (`auroc`, `eer`), how often the most alike other picture is of the same person (`rank1`), and the
        mean cosine of a picture to the same one edited (`edited`) and to other persons (`others`)."""
        split = self._split("test")
        found: dict[str, list[Tensor]] = {"plain": [], "edited": [], "persons": []}
        for indices in self.context.chunks(self.context.recipe.tested, 50, TESTED_FROM):
            batch = split[indices]
            assert batch.identities is not None
            found["plain"].append(self.net(batch.images))
            found["edited"].append(self.net(split.edited(indices, self._edits(batch.ids))))
            found["persons"].append(batch.identities)
        kept = {name: torch.cat(tensors) for name, tensors in found.items()}
        told = verification(kept["plain"], kept["persons"])
        return {**told, "edited": float((kept["plain"] * kept["edited"]).sum(1).mean())}


def margin_loss(cosines: Tensor, right: Tensor, *, scale: float, margin: float) -> tuple[Tensor, Tensor]:
    """ArcFace's loss, and the share of pictures whose own class is nearest: `[]` each.

    Args:
        cosines: `[B,N]`, to the directions of N classes.
        right: `[B]` int64, the classes.
        scale, margin: s and m (radians) of Eq. 3.
    """
    own = cosines.gather(1, right[:, None])
    angle = own.clamp(-1 + 1e-6, 1 - 1e-6).arccos()
    # Beyond pi the cosine would rise again; there it goes on falling along a line, as published.
    moved = torch.where(
        angle + margin < torch.pi, (angle + margin).cos(), own - margin * torch.tensor(margin).sin()
    )
    logits = scale * cosines.scatter(1, right[:, None], moved)
    return F.cross_entropy(logits, right), (cosines.argmax(1) == right).float().mean()


def verification(vectors: Tensor, persons: Tensor) -> dict[str, float]:
    """How well directions `[n,D]` tell persons `[n]` apart, over all pairs of pictures.

    Returns:
        `auroc`: chance that a pair of one person is more alike than a pair of two; `eer`: the rate at which
        as many of the first are missed as of the second are taken for one; `rank1`; `others`: the mean cosine
        of two persons.
    """
    cosines, same = vectors @ vectors.T, persons[:, None] == persons
    pairs = torch.ones_like(same).triu(1)
    ones, twos = cosines[pairs & same].double(), cosines[pairs & ~same].double()
    ranks = torch.cat([ones, twos]).argsort().argsort().double() + 1
    wins = ranks[: len(ones)].sum() - len(ones) * (len(ones) + 1) / 2
    levels = ones.sort().values
    missed = torch.arange(len(levels), device=levels.device).double() / len(levels)
    taken = (twos[None] >= levels[:, None]).double().mean(1)
    nearest = cosines.clone().fill_diagonal_(-2).argmax(1)
    return {
        "auroc": float(wins / (len(ones) * len(twos))),
        "eer": float(torch.maximum(missed, taken).min()),
        "rank1": float((persons[nearest] == persons).float().mean()),
        "others": float(twos.mean()),
    }
