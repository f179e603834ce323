"""Regions belong to the parser: MagDR's detector works over whatever a parser says that its masks are of."""

from __future__ import annotations

import pytest
import torch

from magdr_core.api import Condition, ParserSpec, Regions
from magdr_core.components.regions import FACE_PARTS, regions_of
from magdr_core.errors import ComponentError
from magdr_core.functional import PARTS, part_index
from magdr_core.guards import GuardedGenerator
from magdr_core.guards.parser import GuardedParser
from magdr_core.magdr.evidence import Evidence, Probe
from magdr_core.magdr.standardise import target_names
from tests.magdr.test_target_region import Criterion

BANDS = Regions(
    ("top", "middle", "bottom"),
    parts={
        "top": ("hair", "hat", "background"),
        "middle": ("brows", "eyes", "glasses", "nose", "ears", "skin"),
        "bottom": ("mouth", "neck", "cloth"),
    },
)


class Bands:
    """The picture in three bands, one above the other."""

    regions = BANDS

    def __call__(self, x):
        """`[B,3,H,W] -> [B,3,H,W]` masks."""
        row = torch.arange(x.shape[2], device=x.device) * 3 // x.shape[2]
        masks = torch.stack([row == i for i in range(3)]).to(x.dtype)
        return masks[None, :, :, None].expand(len(x), -1, -1, x.shape[3]).clone()


class Parted:
    """The same bands as three of the twelve parts; the others are nowhere."""

    def __call__(self, x):
        masks = x.new_zeros(len(x), len(PARTS), *x.shape[2:])
        masks[:, [part_index(part) for part in ("hair", "eyes", "mouth")]] = Bands()(x)
        return masks


class Painter:
    """Paints over the picture, and says that it edits some parts, or regions of its own."""

    size, condition_names = 16, ("Smiling",)

    def __init__(self, edits, regions=None):
        self.edits = edits
        if regions is not None:
            self.regions = regions

    def __call__(self, x, c):
        return (x * 0.7 + 0.2 * c.values[:, :1, None, None]).clamp(0, 1)

    def edited(self, c):
        names = regions_of(self).names
        return torch.tensor([name in self.edits for name in names]).expand(len(c), -1).clone()


def seen(n=3):
    x = torch.rand(n, 3, 18, 18, generator=torch.Generator().manual_seed(1))
    return x, Condition(torch.ones(n, 1), torch.ones(n, 1, dtype=torch.bool))


def test_a_parser_s_own_regions_are_measured_as_the_same_parts_are():
    x, c = seen()
    G = GuardedGenerator(Painter(("mouth",)), "generator painter")
    own, _ = Probe(GuardedParser(Bands(), "parser bands"), [Criterion()], []).measure(x, c, G)
    parts, _ = Probe(GuardedParser(Parted(), "parser parted"), [Criterion()], []).measure(x, c, G)
    columns = [part_index(part) for part in ("hair", "eyes", "mouth")]
    assert own.names == ("top", "middle", "bottom")
    assert torch.equal(own.distortion, parts.distortion[:, :, columns])
    assert torch.equal(own.others, parts.others[:, columns])
    assert own.others.tolist() == [[True, True, False]] * 3
    assert own.target.tolist() == [[False, False, True]] * 3
    assert Evidence.cat([own, own]).names == own.names
    assert target_names(own.target, own.names) == ["bottom"] * 3


def test_a_generator_may_say_its_target_over_the_parser_s_regions():
    x, c = seen()
    G = GuardedGenerator(Painter(("bottom",), BANDS), "generator painter")
    assert G.edited(c).tolist() == [[False, False, True]] * 3
    found, _ = Probe(Bands(), [Criterion()], []).measure(x, c, G)
    assert found.target.tolist() == [[False, False, True]] * 3


def test_a_generator_s_own_regions_are_found_among_the_parts():
    lower = Regions(("jaw", "above"), {"jaw": ("mouth", "neck"), "above": ("hair", "hat")})
    G = GuardedGenerator(Painter(("jaw",), lower), "generator painter")
    found = Probe(Parted(), [], []).target(seen()[1], G)
    inside = {part for part, on in zip(PARTS, found[0].tolist(), strict=True) if on}
    assert inside == {"mouth", "neck"}


def test_exact_masks_are_of_the_parts_whatever_the_parser_s():
    assert Probe(Bands(), [], [], oracle=True).regions is FACE_PARTS
    assert Probe(lambda x: x, [], []).regions is FACE_PARTS


def test_regions_that_do_not_meet_are_told():
    bare = Regions(("top", "middle", "bottom"))
    with pytest.raises(ValueError, match=r"regions \(top, middle, bottom\) have none for 'background'"):
        bare.target(torch.zeros(1, len(PARTS), dtype=torch.bool), FACE_PARTS)


@pytest.mark.parametrize(
    ("names", "parts", "told"),
    [
        ((), {}, "names of their own, got none"),
        (("a", "a"), {}, "names of their own, got a, a"),
        (("a",), {"b": ("hair",)}, "'b' is none of the regions a"),
        (("a",), {"a": ("wing",)}, "'wing' is none of the regions a"),
    ],
)
def test_wrong_regions_are_refused(names, parts, told):
    with pytest.raises(ValueError, match=told):
        Regions(names, parts)


def test_a_guard_holds_a_parser_to_its_regions():
    assert GuardedParser(Bands(), "parser bands").regions is BANDS
    assert GuardedParser(Parted(), "parser parted").regions is FACE_PARTS
    wrong = Bands()
    wrong.regions = Regions(("top", "rest"))
    with pytest.raises(
        ComponentError, match=r"parser bands: returned \(3, 3, 18, 18\), expected shape \(3, 2, 18"
    ):
        GuardedParser(wrong, "parser bands")(seen()[0])
    wrong.regions = ["top", "rest"]
    with pytest.raises(ComponentError, match="parser bands: regions is a list, expected Regions"):
        GuardedParser(wrong, "parser bands")
    G = GuardedGenerator(Painter((), Regions(("one",))), "generator painter")
    G.component.edited = lambda c: torch.zeros(len(c), len(PARTS), dtype=torch.bool)
    with pytest.raises(ComponentError, match=r"edited returned \(3, 12\), expected bool \[3,1\]"):
        G.edited(seen()[1])


REGISTRY = """
[dataset.faces]
use = "procedural-faces"
params = { size = 32 }
[generator.editing]
use = "stargan"
params = { weights = "random", width = 8, blocks = 1, size = 32, attributes = ["Black_Hair", "Smiling"] }
[parser.bands]
use = "acme/bands"
[attack.pgd]
params = { steps = 2 }
[detector.magdr]
[defense.magdr]
params = { detector = "magdr" }
[restoration.jpeg]
[magdr]
parser = "bands"
criteria = ["l1"]
augmentations = ["flip"]
candidate_augmentations = ["flip"]
layers = [["median"], ["jpeg"]]
[calibration]
fit = 60
clean = 40
attacked = 6
attacks = ["pgd"]
benign = []
"""


def test_magdr_detects_and_reconstructs_over_three_regions(toolkit_from, tmp_path):
    kit = toolkit_from(REGISTRY, plugins={"acme": [ParserSpec(name="bands", build=Bands)]})
    magdr = kit.magdr("editing", cache=tmp_path / "cache", photographs=False)
    faces = kit.build("dataset", "faces").split("test")[[0, 1, 2]].images
    outcome = magdr.defend(faces, edits={"Smiling": 1})
    assert outcome.regions.shape == (3, 3)
    assert outcome.region_names == BANDS.names
    told = outcome.verdicts[0].regions
    assert set(told) == {"top", "middle"}, "the mouth is in the target, below"
    assert outcome.covered.any(), "faces with this target were among the calibration's"
    hair = magdr.detect(faces, edits={"Black_Hair": 1})
    assert set(hair[0].regions) == {"middle", "bottom"}
