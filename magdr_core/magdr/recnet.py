"""Algorithm 1: Rec-Net, a greedy search over layers of restorations, per image and (if wanted) per region.

The search knows nothing about generators: it is given `score(images, rows) -> [M,R]`, where `rows` says
which image of the batch each candidate belongs to and R is 1 (whole image) or the number of regions. Lower
is better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.protocols import Family, ImageMap
from magdr_core.functional import clamp_inclusive, constant

Score = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class LayerResult:
    """What one layer did to a batch.

    Attributes:
        images: `[B,3,H,W]`, the composite of the chosen candidates.
        scores: `[B,R]`, of the chosen candidate of each region (before compositing).
        choices: per image and region, the label of the choice, or "" where the image was kept.
    """

    images: Tensor
    scores: Tensor
    choices: list[list[str]]


@dataclass(frozen=True)
class RecNet:
    """The layers B_i, with what pre-training found.

    Attributes:
        layers: families (categories) of settings, layer after layer.
        best: for each layer and family, the index q(k) of its best setting on the training images; the
            middle of the grid before pre-training.
        order: the order in which the layers run.
        top: categories that are searched in full.
        keep: whether leaving the image as it is competes in every layer.
        min_gain: how far the score must fall for a layer to be taken.
    """

    layers: tuple[tuple[Family, ...], ...]
    best: tuple[tuple[int, ...], ...] = ()
    order: tuple[int, ...] = ()
    top: int = 3
    keep: bool = True
    min_gain: float = 0.0

    def settled(self) -> RecNet:
        """With middle settings and the printed order where nothing was pre-trained."""
        best = self.best or tuple(tuple(len(f.settings) // 2 for f in layer) for layer in self.layers)
        return replace(self, best=best, order=self.order or tuple(range(len(self.layers))))

    @property
    def steps(self) -> Mapping[str, ImageMap]:
        """Every setting of the grid, by the name that choices have."""
        families = [family for layer in self.layers for family in layer]
        return {_name(f, p): setting.apply for f in families for p, setting in enumerate(f.settings)}

    def search(self, x: Tensor, masks: Tensor, score: Score) -> tuple[Tensor, Tensor, list[list[list[str]]]]:
        """Run every layer on a batch.

        Args:
            x: `[B,3,H,W]`.
            masks: `[B,R,H,W]` that sum to 1: one plane of ones for a choice per image, or the regions.
            score: see the module's text.

        Returns:
            (images `[B,3,H,W]`, scores `[B,R]`, per image the choices of each layer and region).
        """
        net = self.settled()
        rows = torch.arange(len(x), device=x.device)
        scores = score(x, rows)
        plans: list[list[list[str]]] = [[] for _ in range(len(x))]
        for i in net.order:
            result = net.layer(i, x, masks, scores, score)
            x, scores = result.images, result.scores
            for plan, choice in zip(plans, result.choices, strict=True):
                plan.append(choice)
        return x, scores, plans

    def layer(self, i: int, x: Tensor, masks: Tensor, scores: Tensor, score: Score) -> LayerResult:
        """One layer: screen each category by its best setting, search the top ones in full, take the best.

        Args:
            i: which layer.
            x: `[B,3,H,W]` in [0,1].
            masks: `[B,R,H,W]`, what each region takes of the composite.
            scores: `[B,R]`, of `x`.
            score: `(images [M,3,H,W], rows [M]) -> [M,R]`, lower is better.
        """
        families, best = self.layers[i], self.best[i]
        rows = torch.arange(len(x), device=x.device)
        # Lines 7 and 8: Q_i scores every category by its pre-trained setting.
        screened = [family.settings[q].apply(x) for family, q in zip(families, best, strict=True)]
        category = _score_all(screened, [rows] * len(families), score)
        best_score, best_image, best_name = _start(x, scores, masks, keep=self.keep, gain=self.min_gain)
        order = torch.stack(category).argsort(0)[: self.top]  # [top,B,R], the best categories
        for k, family in enumerate(families):
            chosen = (order == k).any(0)  # [B,R]
            members = torch.nonzero(chosen.any(1)).flatten()
            if not len(members):
                continue
            # Lines 9 and 10: all settings of the three categories; the best single one wins.
            others = [p for p in range(len(family.settings)) if p != best[k]]
            images = {p: family.settings[p].apply(x[members]) for p in others}
            values = _score_all(list(images.values()), [members] * len(others), score)
            images[best[k]] = screened[k][members]
            by_setting = dict(zip(others, values, strict=True)) | {best[k]: category[k][members]}
            for p in sorted(images):
                value = torch.where(chosen[members], by_setting[p], torch.inf)
                wins = value < best_score[members]
                if not wins.any():
                    continue
                best_score[members] = torch.where(wins, value, best_score[members])
                blend = wins[:, :, None, None, None]
                best_image[members] = torch.where(blend, images[p][:, None], best_image[members])
                name = _name(family, p)
                for b, r in torch.nonzero(wins).tolist():
                    best_name[int(members[b])][r] = name
        kept = constant([[not name for name in names] for names in best_name], x.device, torch.bool)
        best_score = torch.where(kept, scores, best_score)
        return LayerResult(clamp_inclusive((best_image * masks[:, :, None]).sum(1)), best_score, best_name)

    def pretrain(
        self,
        x: Tensor,
        masks: Tensor,
        score: Score,
        orders: Sequence[tuple[int, ...]] | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> RecNet:
        """Lines 1 to 5: for each layer and category the setting with the lowest mean score, then the order.

        Settings are judged on the images as they are, each layer by itself; then the orders compete on the
        whole search.

        Args:
            x: training images, `[B,3,H,W]`.
            orders: orders of the layers to compare; just the printed one if None.
        """
        rows = torch.arange(len(x), device=x.device)
        total = sum(len(f.settings) for layer in self.layers for f in layer)
        done, best = 0, []
        for layer in self.layers:
            chosen = []
            for family in layer:
                means = []
                for setting in family.settings:
                    means.append(float(score(setting.apply(x), rows).double().mean()))
                    done += 1
                    progress(done, total)
                chosen.append(min(range(len(means)), key=means.__getitem__))
            best.append(tuple(chosen))
        net = replace(self, best=tuple(best), order=tuple(range(len(self.layers))))
        if not orders or len(orders) < 2:
            return net
        candidates = [replace(net, order=tuple(order)) for order in orders]
        means = [float(c.search(x, masks, score)[1].double().mean()) for c in candidates]
        return candidates[min(range(len(means)), key=means.__getitem__)]

    def state(self) -> Mapping[str, Any]:
        """What pre-training found, by label, so that a changed registry cannot be misread."""
        net = self.settled()
        return {
            "best": [
                {f.label: dict(f.settings[q].params) for f, q in zip(layer, best, strict=True)}
                for layer, best in zip(net.layers, net.best, strict=True)
            ],
            "order": list(net.order),
        }

    def with_state(self, state: Mapping[str, Any]) -> RecNet:
        """Raises ValueError if the state is of another grid."""
        best = []
        for layer, chosen in zip(self.layers, state["best"], strict=True):
            row = []
            for family in layer:
                settings = [dict(s.params) for s in family.settings]
                row.append(settings.index(chosen[family.label]))
            best.append(tuple(row))
        return replace(self, best=tuple(best), order=tuple(state["order"]))


def _name(family: Family, p: int) -> str:
    setting = family.settings[p]
    return f"{family.label}({setting.label()})" if setting.params else family.label


def _score_all(images: list[Tensor], rows: list[Tensor], score: Score) -> list[Tensor]:
    """Score several candidate sets in one call, so that the generator sees large batches."""
    if not images:
        return []
    values = score(torch.cat(images), torch.cat(rows))
    return list(values.split([len(r) for r in rows]))


def _start(
    x: Tensor, scores: Tensor, masks: Tensor, *, keep: bool, gain: float
) -> tuple[Tensor, Tensor, list[list[str]]]:
    """The bar that candidates must clear: the image itself less the required gain, or nothing."""
    B, R = scores.shape
    bar = scores - gain if keep else torch.full_like(scores, torch.inf)
    return bar.clone(), x[:, None].expand(-1, R, -1, -1, -1).clone(), [[""] * R for _ in range(B)]
