"""An editor of photographs: StarGAN's network with an attention mask, told only what to add.

The mask is GANimation's (Pumarola et al., ECCV 2018): a share of the input and the rest of a colour image.
Here it is stretched and cut, as Louizos et al. (ICLR 2018, arXiv 1712.01312) do for gates, so that it reaches
0 and 1 exactly: what an edit does not concern is the input's pixel, to the last bit. Everything else has the
state-dict keys of StarGAN, and a StarGAN's weights load: its output is blended half and half with the input.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from magdr_core.api import (
    Batch,
    Condition,
    GeneratorSpec,
    SampleRng,
    Weights,
    hookimpl,
    load_state,
)
from magdr_core.functional import clamp_inclusive, constant

from ._backbone import STALE_KEYS, Blocks, Size, Width, head, made_with, stages, with_condition
from .stargan import HAIR_COLOURS, Attributes, StarGAN

MAGDR_API = 1

STRETCH = 0.1
"""How far the mask is stretched beyond 0 and 1 before it is cut."""


class PhotoEditor(StarGAN):
    """Adds attributes to a face. An entry of the condition counts where it is changed, and only if it is not
    0, which means "leave as it is". What a picture shows already is not asked for again, and nothing is taken
    away: `--set Blond_Hair` adds, `--has Smiling` beside it is of no account, `--has Smiling --set Smiling=0`
    is refused.

    Args:
        attributes, width, blocks, size: as of :class:`.stargan.StarGAN`.
    """

    additive = True
    whole_target = False
    cut_from = math.log((1 + STRETCH) / STRETCH)
    """The logit from which on the mask is exactly 1; below its negative it is 0."""

    def __init__(self, attributes: tuple[str, ...], *, width: int, blocks: int, size: int) -> None:
        super().__init__(attributes, width=width, blocks=blocks, size=size)
        self.attention = head(width, 1)

    def requested(self, c: Condition) -> Condition:
        """The condition as the network sees it: values where they are changed, else 0."""
        return Condition(c.values * c.changed, c.changed)

    def _planes(self, x: Tensor, c: Condition) -> Tensor:
        return with_condition(x, self.requested(c), "the photo editor")

    def logits(self, x: Tensor, c: Condition) -> tuple[Tensor, Tensor]:
        """(colour image `[B,3,H,W]` in [0,1], logits of the attention mask `[B,1,H,W]`)."""
        y = self._planes(x, c)
        for layer in self.main[:-2]:
            y = layer(y)
        # In full precision, also where a trainer has the layers compute in half of it.
        return (self.main[-2:](y).to(x) + 1) / 2, self.attention(y).to(x)

    def heads(self, x: Tensor, c: Condition) -> tuple[Tensor, Tensor]:
        """(colour image `[B,3,H,W]` in [0,1], attention mask `[B,1,H,W]` in [0,1]).

        Where the attention is 1, the output is the input's pixel; where it is 0, the colour image's.
        """
        colour, logits = self.logits(x, c)
        return colour, cut(logits)

    @staticmethod
    def blended(x: Tensor, colour: Tensor, logits: Tensor) -> Tensor:
        """The output `[B,3,H,W]` in [0,1] of an input and of what `logits` gives for it."""
        attention = cut(logits)
        return attention * x + (1 - attention) * colour

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        return self.blended(x, *self.logits(x, c))

    def features(self, x: Tensor, c: Condition) -> list[Tensor]:
        """Activations of the first two stages and of the last residual block (sides H, H/2 and H/4), then
        what the heads say: the colour image `[B,3,H,W]` and the attention mask `[B,1,H,W]`, both in [0,1]."""
        return [*stages(self.main[:-2], self._planes(x, c))[0], *self.heads(x, c)]

    def edited(self, c: Condition) -> Tensor:
        """Bool `[B,N]`: the parts of what is added; a hair colour that makes room counts with the new one."""
        return super().edited(self._added(c))

    @staticmethod
    def _added(c: Condition) -> Condition:
        return Condition(c.values, c.changed & (c.values > 0))

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        """One thing to add per image: a hair colour that it does not have, or an attribute that it does not
        show; each is equally likely. What is not known of a picture counts as not shown. A picture that is
        `Bald` gets no hair colour, unless there is nothing else to add."""
        missing = torch.zeros(len(batch), device=batch.images.device)
        source = torch.stack([batch.attributes.get(n, missing) for n in self.condition_names], 1)
        hair = constant([name in HAIR_COLOURS for name in self.condition_names], source.device)
        bald = batch.attributes.get("Bald", missing)[:, None] > 0.5
        wish = rng.uniform(source.shape[1])
        # Last choices rather than none: who has it all gets what they have, marked as changed.
        wish = wish - (hair & bald).float() - 2 * (source > 0.5)
        entry = torch.zeros_like(wish, dtype=torch.bool).scatter(1, wish.argmax(1, keepdim=True), True)
        recoloured = (entry & hair).any(1, keepdim=True) & hair  # hair has one colour
        values = torch.where(entry, 1.0, torch.where(recoloured, 0.0, source))
        return Condition(values, (values != source) | entry)

    def classes(self, c: Condition) -> list[Condition]:
        """Each attribute added alone to the same faces; what a face shows already is left as it is."""
        source = torch.where(c.changed, (c.values == 0).to(c.values), c.values)
        hair = constant([name in HAIR_COLOURS for name in self.condition_names], source.device)
        found = []
        for i, name in enumerate(self.condition_names):
            entry = torch.arange(source.shape[1], device=source.device) == i
            room = hair if name in HAIR_COLOURS else torch.zeros_like(hair)  # hair has one colour
            values = torch.where(entry, 1.0, torch.where(room, 0.0, source))
            found.append(Condition(values, values != source))
        return found


def cut(logits: Tensor) -> Tensor:
    """The attention mask of its logits, any shape -> same in [0,1]; 0 and 1 are reached."""
    return clamp_inclusive((1 + 2 * STRETCH) * torch.sigmoid(logits) - STRETCH)


def with_attention(state: dict[str, Tensor]) -> Mapping[str, Tensor]:
    """The state dict of a StarGAN as one of the photo editor: the mask is one half everywhere."""
    key, first = "attention.weight", state.get("main.0.weight")
    if key in state or first is None:
        return state
    return {**state, key: first.new_zeros(1, first.shape[0], 7, 7)}


def photo_editor(
    *,
    weights: Weights = "builtin:photo-editor64",
    attributes: Attributes = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Smiling", "Eyeglasses"),
    width: Width = 32,
    blocks: Blocks = 4,
    size: Size = 64,
) -> PhotoEditor:
    """Editing of photographs (and drawn faces) that only adds and leaves all other pixels as they are.

    Args:
        weights: weight file, of this package's training.
        attributes: names of the attributes, one condition entry each, in the order of the training.
        width: channels after the first convolution, as in the weight file.
        blocks: residual blocks, as in the weight file.
        size: native side of the pictures, in pixels.
    """
    net = PhotoEditor(attributes, width=width, blocks=blocks, size=size)
    load_state(
        net,
        weights,
        stale=STALE_KEYS,
        adapt=with_attention,
        remedy=lambda state: made_with(state, "main.", len(attributes), width=width, blocks=blocks),
    )
    return net.eval()


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="photo-editor",
            build=photo_editor,
            cite="Choi et al., StarGAN, CVPR 2018 (arXiv 1711.09020); the mask: Pumarola et al., ECCV 2018",
            tags=("editing",),
        )
    ]
