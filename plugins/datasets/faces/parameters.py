"""What a drawn face is made of: bundles of per-face tensors, and the attributes they imply.

A picture is a pure function of a :class:`FaceParameters`. It keeps the look of what is *absent* as well
(the shape of the glasses of someone who wears none), so that an edit only flips a switch and leaves the
rest of the picture, noise included, as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from magdr_core.functional import constant

HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")

ATTRIBUTES: tuple[str, ...] = (
    *HAIR_COLOURS,
    "Smiling",
    "Eyeglasses",
    "Wearing_Hat",
    "Mouth_Slightly_Open",
    "Mustache",
    "Wearing_Earrings",
    "Wearing_Necklace",
    "Bangs",
    "Pale_Skin",
)

ACTION_UNITS: tuple[str, ...] = (
    "AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU09", "AU10", "AU12",
    "AU14", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26", "AU45",
)  # fmt: skip
AU_INDEX = {name: i for i, name in enumerate(ACTION_UNITS)}

SMILE_FROM = 0.4
"""AU12 from which a face counts as smiling (sampled faces stay clear of it on both sides)."""
OPEN_FROM = 0.27
"""Mouth aperture (see :func:`mouth_aperture`) from which a mouth counts as open."""


class Bundle:
    """Shared by the frozen dataclasses below: whatever is done to all of their tensors at once."""

    def select(self, idx: Tensor) -> Self:
        """The faces chosen by an index or boolean tensor."""
        return self._map(lambda t: t[idx])

    def to(self, device: torch.device | str) -> Self:
        """The same faces on another device."""
        return self._map(lambda t: t.to(device))

    def where(self, chosen: Tensor, other: Self) -> Self:
        """These faces where `chosen` `[B]` is true, those of `other` elsewhere."""
        mine = fields(self)  # type: ignore[arg-type]
        return type(self)(
            **{f.name: _pick(chosen, getattr(self, f.name), getattr(other, f.name)) for f in mine}
        )

    def _map(self, change: object) -> Self:
        assert callable(change)
        values = {}
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            values[f.name] = value._map(change) if isinstance(value, Bundle) else change(value)
        return type(self)(**values)


def _pick(chosen: Tensor, yes: Tensor | Bundle, no: Tensor | Bundle) -> Tensor | Bundle:
    if isinstance(yes, Bundle):
        assert isinstance(no, Bundle)
        return yes.where(chosen, no)
    assert isinstance(no, Tensor)
    return torch.where(chosen.reshape(-1, *[1] * (yes.dim() - 1)), yes, no)


@dataclass(frozen=True)
class Hair(Bundle):
    """Hair of a person; lengths in head units (half a head's height is 1, downwards positive)."""

    colour: Tensor  # [B] int64, index into HAIR_COLOURS
    shade: Tensor  # [B,2] in [0,1]: lightness and hue within the colour class
    brow_colour: Tensor  # [B] int64: brows and beard, which dyeing the hair does not change
    length: Tensor  # [B] where the sides end
    top: Tensor  # [B] thickness above the skull
    side: Tensor  # [B] thickness beside the head
    flare: Tensor  # [B] widening of long hair downwards
    hairline: Tensor  # [B] top of the forehead
    temples: Tensor  # [B] how far the temples recede
    part: Tensor  # [B] sideways position of the parting
    cover: Tensor  # [B] inner edge of the sides in head widths
    front_open: Tensor  # [B] in [0,1]: swept back (0) to a curtain from the parting (1)
    bangs: Tensor  # [B] 0/1
    bangs_drop: Tensor  # [B] lower end of the bangs
    bangs_tilt: Tensor  # [B] 0 for straight, else the slope of side-swept bangs
    wave: Tensor  # [B] in [0,1]
    curl: Tensor  # [B] in [0,1]
    bun: Tensor  # [B,3]: 0/1, sideways position, radius
    strands: Tensor  # [B] contrast of the strands
    noise: Tensor  # [B,2,32,32] in [-1,1], texture of strands and contour


@dataclass(frozen=True)
class Identity(Bundle):
    """Who it is: everything that stays when expression, pose, light and place change."""

    tone: Tensor  # [B] in [0,1], skin from light to dark
    tone_other: Tensor  # [B] the tone that an edit of Pale_Skin changes to
    undertone: Tensor  # [B] in [-1,1], rosy to olive
    head: Tensor  # [B,6] width, taper, jaw squareness, chin end, crown roundness, cheekbones
    ears: Tensor  # [B,2] size, standing out
    eyes: Tensor  # [B,5] half distance, half width, openness, tilt, height on the face
    fold: Tensor  # [B] in [0,1], strength of the lid's crease
    iris: Tensor  # [B,2] in [0,1]: hue, lightness
    makeup: Tensor  # [B,2] in [0,1]: eye shadow and lashes, lip colour strength
    brows: Tensor  # [B,5] height, half length, thickness, arch, tilt
    nose: Tensor  # [B,4] length, width at the wings, bridge relief, tip relief
    mouth: Tensor  # [B,5] height, half width, upper fullness, lower fullness, cupid's bow
    lips: Tensor  # [B,2] in [0,1]: hue and darkness
    age: Tensor  # [B] in [0,1], depth of the folds
    blush: Tensor  # [B] in [0,1]
    freckles: Tensor  # [B] in [0,1]
    beard: Tensor  # [B] 0/1 (the attribute Mustache)
    beard_style: Tensor  # [B,3] in [0,1]: moustache, chin, cheeks
    asymmetry: Tensor  # [B,4] in [-1,1]: brows, eyes, mouth, nose
    hair: Hair


@dataclass(frozen=True)
class Expression(Bundle):
    """Action units and where the eyes look."""

    action_units: Tensor  # [B,17] in [0,1], order of ACTION_UNITS
    gaze: Tensor  # [B,2] in [-1,1]


@dataclass(frozen=True)
class Pose(Bundle):
    """Where the head is and where it turns."""

    roll: Tensor  # [B] radians in the image plane
    yaw: Tensor  # [B] radians, positive looks to the right of the image
    pitch: Tensor  # [B] radians, positive looks down
    scale: Tensor  # [B] half a head's height, where half the image is 1
    offset: Tensor  # [B,2] centre of the head
    lean: Tensor  # [B,2] sideways offset of the shoulders, and their slope


@dataclass(frozen=True)
class Accessories(Bundle):
    """What the person wears; each with a 0/1 switch except the cloth."""

    glasses: Tensor  # [B] 0/1
    glasses_shape: Tensor  # [B,6] half width, half height, squareness, frame thickness, tint, droop
    glasses_colour: Tensor  # [B,3] in [0,1]
    hat: Tensor  # [B] 0/1
    hat_kind: Tensor  # [B] int64: 0 beanie, 1 cap, 2 brimmed
    hat_shape: Tensor  # [B,4] height, line, brim, tilt
    hat_colour: Tensor  # [B,2,3]
    earrings: Tensor  # [B] 0/1
    earring_shape: Tensor  # [B,2] kind in [0,1], size
    necklace: Tensor  # [B] 0/1
    jewel_colour: Tensor  # [B,3]
    neckline: Tensor  # [B,3] depth, pointedness, width
    cloth_kind: Tensor  # [B] int64: 0 plain, 1 stripes, 2 hoops, 3 checks, 4 jacket, 5 dots
    cloth_colour: Tensor  # [B,2,3]
    cloth_scale: Tensor  # [B,2] pattern frequency and phase


@dataclass(frozen=True)
class Surroundings(Bundle):
    """Light, background and camera."""

    light: Tensor  # [B,3] unit vector towards the light (right, down, to the viewer)
    key: Tensor  # [B] strength
    fill: Tensor  # [B] strength of the ambient light
    warmth: Tensor  # [B] in [-1,1], key light
    tint: Tensor  # [B,3] ambient light's colour around 1
    kind: Tensor  # [B] int64: 0 studio, 1 outdoors, 2 bokeh, 3 shelves, 4 window, 5 stripes, 6 tiles
    palette: Tensor  # [B,3,3] background colours
    clouds: Tensor  # [B,3,6,6] in [-1,1], smooth colour field
    shapes: Tensor  # [B,7,7]: x, y, size, aspect, hue, lightness, softness in [0,1] of each object
    pattern: Tensor  # [B,4] in [0,1]
    exposure: Tensor  # [B] gain
    vignette: Tensor  # [B]
    blur: Tensor  # [B] in [0,1]
    grain: Tensor  # [B] standard deviation of the sensor noise
    grain_key: Tensor  # [B] int64


@dataclass(frozen=True)
class FaceParameters(Bundle):
    """A batch of faces; `len()` is their number B."""

    identity: Identity
    expression: Expression
    pose: Pose
    accessories: Accessories
    surroundings: Surroundings

    def __len__(self) -> int:
        return self.pose.roll.shape[0]

    @property
    def device(self) -> torch.device:
        return self.pose.roll.device

    @property
    def action_units(self) -> Tensor:
        """`[B,17]` in [0,1], order of :data:`ACTION_UNITS`."""
        return self.expression.action_units

    def attributes(self) -> Tensor:
        """`[B, len(ATTRIBUTES)]` of 0/1, float32."""
        au, hair, worn = self.action_units, self.identity.hair, self.accessories
        columns = [hair.colour == i for i in range(len(HAIR_COLOURS))]
        columns += [
            au[:, AU_INDEX["AU12"]] >= SMILE_FROM,
            worn.glasses > 0.5,
            worn.hat > 0.5,
            mouth_aperture(au) >= OPEN_FROM,
            self.identity.beard > 0.5,
            worn.earrings > 0.5,
            worn.necklace > 0.5,
            hair.bangs > 0.5,
            self.identity.tone < PALE_BELOW,
        ]
        return torch.stack(columns, 1).to(torch.float32)


PALE_BELOW = 0.1
"""Skin tone under which skin counts as pale."""


def mouth_aperture(action_units: Tensor) -> Tensor:
    """How far the lips are apart, `[B]` in [0,1]; lips part with AU25, the jaw drops with AU26."""
    parted = action_units[:, AU_INDEX["AU25"]]
    dropped = action_units[:, AU_INDEX["AU26"]]
    return 0.45 * parted + 0.55 * dropped


def with_action_units(params: FaceParameters, action_units: Tensor) -> FaceParameters:
    """The same picture with other action units, `[B,17]` in [0,1]."""
    au = action_units.to(params.device, torch.float32)
    return replace(params, expression=replace(params.expression, action_units=au))


def with_identity(params: FaceParameters, other: FaceParameters) -> FaceParameters:
    """The picture of `params` with the person of `other`; pose, expression, clothes, light stay."""
    return replace(params, identity=other.identity)


def with_face(params: FaceParameters, other: FaceParameters) -> FaceParameters:
    """The face of `other` for the pictures of `params`, to be handed to `render` as `face`.

    Brows, eyes, nose, mouth, beard, make-up and skin are those of `other`; the outline of head and ears
    stays, so that every pixel outside the face can.
    """
    kept = replace(other.identity, head=params.identity.head, ears=params.identity.ears)
    return replace(params, identity=kept)


# What an edit puts on is always the same: were it drawn per face, the result could not be told from the
# picture, and no editor could be measured against it.
SMILE, REST = (0.9, 0.4, 0.5), (0.05, 0.05, 0.03)  # AU12, AU06, AU25
OPENED, CLOSED = (0.8, 0.45), (0.03, 0.02)  # AU25, AU26
SHADE = 0.5  # of a dyed hair
GLASSES_SHAPE, GLASSES_COLOUR = (0.24, 0.17, 0.5, 0.045, 0.3, 0.05), (0.07, 0.07, 0.08)


def edited(params: FaceParameters, names_and_values: Tensor) -> FaceParameters:
    """The same picture with other attributes, `[B, len(ATTRIBUTES)]` of 0/1.

    Only what differs from ``params.attributes()`` changes. Of the four hair colours the one that is
    wanted and was not there is taken; with none or several wanted the largest value decides. Added smiles,
    open mouths, glasses and dyes have one form.
    """
    wanted = names_and_values.to(params.device, torch.float32)
    differs = (wanted > 0.5) != (params.attributes() > 0.5)
    want = {name: wanted[:, i] > 0.5 for i, name in enumerate(ATTRIBUTES)}
    change = {name: differs[:, i] for i, name in enumerate(ATTRIBUTES)}

    person, worn = params.identity, params.accessories
    recolour = differs[:, : len(HAIR_COLOURS)].any(1)
    colour = torch.where(recolour, wanted[:, : len(HAIR_COLOURS)].argmax(1), person.hair.colour)
    shade = torch.where(recolour[:, None], SHADE, person.hair.shade)
    hair = replace(person.hair, colour=colour, shade=shade, bangs=want["Bangs"].float())
    pale = change["Pale_Skin"]
    person = replace(
        person,
        hair=hair,
        beard=want["Mustache"].float(),
        tone=torch.where(pale, person.tone_other, person.tone),
        tone_other=torch.where(pale, person.tone, person.tone_other),
    )
    new_glasses = (change["Eyeglasses"] & want["Eyeglasses"])[:, None]
    worn = replace(
        worn,
        glasses=want["Eyeglasses"].float(),
        glasses_shape=_fixed(new_glasses, GLASSES_SHAPE, worn.glasses_shape),
        glasses_colour=_fixed(new_glasses, GLASSES_COLOUR, worn.glasses_colour),
        hat=want["Wearing_Hat"].float(),
        earrings=want["Wearing_Earrings"].float(),
        necklace=want["Wearing_Necklace"].float(),
    )
    au = _edited_mouth(params.expression, want, change)
    return replace(
        params, identity=person, accessories=worn, expression=replace(params.expression, action_units=au)
    )


def _fixed(where: Tensor, values: tuple[float, ...], otherwise: Tensor) -> Tensor:
    return torch.where(where, constant(values, otherwise.device), otherwise)


def _edited_mouth(expression: Expression, want: dict[str, Tensor], change: dict[str, Tensor]) -> Tensor:
    """Action units after the edits of Smiling and Mouth_Slightly_Open."""
    au = {name: expression.action_units[:, i] for name, i in AU_INDEX.items()}
    for attribute, names, on, off in (
        ("Smiling", ("AU12", "AU06", "AU25"), SMILE, REST),
        ("Mouth_Slightly_Open", ("AU25", "AU26"), OPENED, CLOSED),
    ):
        for name, when_on, when_off in zip(names, on, off, strict=True):
            target = torch.where(want[attribute], when_on, when_off)
            # A mouth that is open for another reason stays open when its smile comes or goes.
            stays = (name == "AU25") & (attribute == "Smiling") & want["Mouth_Slightly_Open"]
            au[name] = torch.where(change[attribute] & ~stays, target, au[name])
    # The corners cannot be pulled up and down at once.
    pulled_up = change["Smiling"] & want["Smiling"]
    au["AU15"] = torch.where(pulled_up, torch.zeros_like(au["AU15"]), au["AU15"])
    return torch.stack([au[name] for name in ACTION_UNITS], 1)
