"""The shipped weights: whole, as their cards say, and good enough for a benchmark to mean something.

The figures on the cards are measured on 500 faces by `magdr train`; here a few faces show that the files are
the right ones and do what the cards say. The bounds are the cards' figures with room for the small sample.
"""

import pytest
import torch

from magdr_core.components.objective import build_objective
from magdr_core.components.weights import file_sha256, read_card, weights_folder
from magdr_core.functional import merge_classes
from magdr_core.registry.read import packaged_registry
from magdr_core.runtime.samples import draw_samples
from magdr_core.toolkit import Toolkit
from magdr_core.train.editing import change_map
from magdr_core.train.parsing import GATED, iou_counts, part_ious

WEIGHTS = sorted(weights_folder("magdr_plugins").glob("*.safetensors"))
FACES = 32


@pytest.fixture(scope="module")
def toolkit():
    return Toolkit.from_registry(packaged_registry(), device="cpu")


@pytest.fixture(scope="module")
def samples(toolkit):
    split = toolkit.build("dataset", "faces").split("test")
    return draw_samples(split, toolkit.generator("editing"), first=500, count=FACES, seed=0)[0]


@pytest.fixture(scope="module")
def few(samples):
    return samples[:16]


@pytest.fixture(scope="module")
def pgd(toolkit):
    """A short run of the registry's PGD."""
    return toolkit.sibling("attack", "pgd", eps=6 / 255, steps=12)


@pytest.fixture(scope="module")
def disrupted(toolkit, few, pgd):
    """What is aimed at, and inputs on which the editor fails."""
    objective = build_objective("untargeted", toolkit.generator("editing"), few.images, few.conditions)
    return objective, pgd(few.images, objective, rng=toolkit.rng("test", few.ids))


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda p: p.stem)
def test_every_weight_file_has_a_card_with_its_checksum(path):
    card = read_card(path)
    assert card["sha256"] == file_sha256(path)
    data = " --data FOLDER" if "portraits" in card["training"] else ""
    assert card["command"] == f"magdr train {path.stem}{data}"
    assert not data or card["training"]["terms"]
    assert card["quality"]
    assert path.stat().st_size < 5_000_000


def test_the_editor_edits_the_target_region(toolkit, samples):
    split = toolkit.build("dataset", "faces").split("test")
    G = toolkit.generator("editing")
    indices = list(range(500, 500 + FACES))
    changes = dict(zip(G.condition_names, samples.conditions.values.unbind(1), strict=True))
    target = split.edited(indices, changes)
    with torch.no_grad():
        y = G(samples.images, samples.conditions)
    region = change_map(samples.images, target)
    made = ((y - target).square() * region).sum()
    copied = ((samples.images - target).square() * region).sum()
    assert made / copied < 0.1
    assert -10 * (y - target).square().mean().log10() > 29


def test_the_editor_can_be_disrupted_but_not_by_noise(toolkit, few, disrupted):
    objective, attacked = disrupted
    noisy = toolkit.build("attack", "noise")(few.images, objective, rng=toolkit.rng("test", few.ids))
    assert objective.evaluate(attacked)[1].median() > 0.03
    assert objective.evaluate(noisy)[1].median() < 0.005


def shipped(toolkit, name, **params):
    return toolkit.sibling("generator", "stargan", weights=f"builtin:{name}", **params)


def test_what_disrupts_the_surrogate_disrupts_the_editor_but_less(toolkit, few, pgd, disrupted):
    """Perturbations transfer between two networks that were trained for the same task."""
    defended, attacked = disrupted
    surrogate = shipped(toolkit, "stargan-surrogate64", width=24, blocks=3)
    known = build_objective("untargeted", surrogate, few.images, few.conditions)
    other = pgd(few.images, known, rng=toolkit.rng("test", few.ids))
    noisy = toolkit.build("attack", "noise")(few.images, defended, rng=toolkit.rng("test", few.ids))
    noise, transferred, own = (defended.evaluate(x)[1].median() for x in (noisy, other, attacked))
    assert 2 * noise < transferred < own


def test_the_hardened_editor_edits_like_the_shipped_one_and_is_disrupted_less(toolkit, few, pgd, disrupted):
    hardened, G = shipped(toolkit, "stargan-hardened64"), toolkit.generator("editing")
    with torch.no_grad():
        difference = (hardened(few.images, few.conditions) - G(few.images, few.conditions)).square().mean()
    assert -10 * difference.log10() > 25
    shipped_one, attacked = disrupted
    objective = build_objective("untargeted", hardened, few.images, few.conditions)
    hard = pgd(few.images, objective, rng=toolkit.rng("test", few.ids))
    assert objective.evaluate(hard)[1].mean() < 0.5 * shipped_one.evaluate(attacked)[1].mean()


@pytest.mark.parametrize(("task", "use"), [("editing", "stargan"), ("replacement", "cyclegan")])
def test_a_twin_agrees_on_clean_and_noisy_faces_and_stands_still_on_attacked_ones(toolkit, pgd, task, use):
    G = toolkit.generator(task)
    twin = toolkit.sibling("generator", use, weights=f"builtin:twin-{task}64")
    split = toolkit.build("dataset", toolkit.registry.dataset_of(task)).split("test")
    clean = draw_samples(split, G, first=500, count=8, seed=0)[0]
    x, c = clean.images, clean.conditions
    objective = build_objective("untargeted", G, x, c)
    attacked = pgd(x, objective, rng=toolkit.rng("test", clean.ids))
    noisy = toolkit.build("attack", "noise")(x, objective, rng=toolkit.rng("test", clean.ids))

    def rms(a, b):
        return (a - b).square().flatten(1).mean(1).sqrt().median()

    with torch.no_grad():
        gap, noisy_gap, attacked_gap = (rms(G(seen, c), twin(seen, c)) for seen in (x, noisy, attacked))
        moved, stood = rms(G(attacked, c), G(x, c)), rms(twin(attacked, c), twin(x, c))
    assert noisy_gap < 1.5 * gap
    assert attacked_gap > 2 * gap
    assert stood < 0.3 * moved


@pytest.mark.parametrize("seen", ["clean", "noisy"])
def test_the_parser_finds_the_parts(toolkit, samples, seen):
    split = toolkit.build("dataset", "faces").split("test")
    batch = split[list(range(500, 500 + FACES))]
    x = batch.images
    if seen == "noisy":
        x = (x + 6 / 255 * toolkit.rng("test", batch.ids).sign(*x.shape[1:])).clamp(0, 1)
    truth = merge_classes(batch.masks).argmax(1)
    ious = part_ious(iou_counts(toolkit.build("parser", "faces")(x).argmax(1), truth))
    assert sum(ious[p] for p in GATED) / len(GATED) > 0.7


@pytest.mark.parametrize(("label", "share"), [("purifier", 0.5), ("purifier-editing", 0.2)])
def test_the_purifiers_undo_disruption_and_leave_clean_pictures(toolkit, few, disrupted, label, share):
    purify = toolkit.build("restoration", label)
    objective, attacked = disrupted
    undefended = objective.evaluate(attacked)[1].mean()
    with torch.no_grad():
        assert objective.evaluate(purify(attacked))[1].mean() < share * undefended
        # At most 3 squared levels of 255, as outputs.
        assert objective.evaluate(purify(few.images))[1].mean() < 4 * 3 / 255**2


def test_magdr_says_that_an_image_is_unlike_its_calibration(toolkit, samples, tmp_path):
    magdr = toolkit.magdr("editing", cache=tmp_path)
    few = samples[:4]
    noise = torch.rand(few.images.shape, generator=torch.Generator().manual_seed(0))
    outcome = magdr.defend(torch.cat([few.images, noise]), few.conditions.repeat(2))
    assert outcome.covered[:4].all()
    assert not outcome.covered[4:].any()
