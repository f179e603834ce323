"""What `magdr train NAME` does: a recipe per shipped weight file, and for what is too costly to ship."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magdr_core.components.recipe import Recipe
from magdr_core.train.forensic_recipes import FORENSIC_RECIPES
from magdr_core.train.identity_recipes import IDENTITY_RECIPES
from magdr_core.train.photo_recipes import PAIRED, PHOTO_RECIPES
from magdr_core.train.translating_recipes import TRANSLATING_RECIPES

__all__ = ["RECIPES", "Recipe"]

NETWORK: Mapping[str, Any] = {"width": 32, "blocks": 4, "size": 64}

SMOOTH = 0.4
"""Share of smooth perturbations among the attacked images that purifiers learn from."""

TWIN: Mapping[str, Any] = {
    "kind": "generator",
    "trainer": "magdr_core.train.twin:TwinTrainer",
    "params": NETWORK,
    "batch": 8,
    "settings": {"eps_from": 4 / 255, "eps_to": 8 / 255, "attack_steps": 2.0},
}
"""What the twins of the three generators have in common."""

_SHIPPED = (
    Recipe(
        name="stargan-faces64",
        kind="generator",
        use="stargan",
        trainer="magdr_core.train.editing:EditingTrainer",
        params=NETWORK,
        # Without grain: a network that is trained on noise learns to ignore it, attacks included.
        dataset={"size": 64, "grain": 0.0},
        steps=6000,
        pool=16384,
        settings=PAIRED,
    ),
    # What an attacker trains who knows the task and not the network: smaller, with other initial weights, on
    # half of the editor's images.
    Recipe(
        name="stargan-surrogate64",
        kind="generator",
        use="stargan",
        trainer="magdr_core.train.editing:EditingTrainer",
        params={"width": 24, "blocks": 3, "size": 64},
        dataset={"size": 64, "grain": 0.0},
        steps=3000,
        pool=8192,
        seed=1,
        settings=PAIRED,
    ),
    # The shipped editor made harder to disrupt: two long steps instead of ten short ones, away from the exact
    # result of the edit instead of mid-grey, in the editor's inputs alone.
    Recipe(
        name="stargan-hardened64",
        kind="generator",
        use="stargan",
        trainer="magdr_core.train.adversarial:AdversarialEditingTrainer",
        start="builtin:stargan-faces64",
        params=NETWORK,
        dataset={"size": 64, "grain": 0.0},
        steps=1200,
        pool=8192,
        lr=7e-4,
        settings={
            **PAIRED,
            "attack_eps": 0.025,
            "attack_step": 0.01875,
            "attack_steps": 2.0,
            "attack_critic": 0.0,
            "attack_from_result": 1.0,
        },
    ),
    # Not shipped: about 20 times the work of the first. Strengths are the published .05, .01 of [-1,1].
    Recipe(
        name="stargan-adversarial64",
        kind="generator",
        use="stargan",
        trainer="magdr_core.train.adversarial:AdversarialEditingTrainer",
        params=NETWORK,
        dataset={"size": 64, "grain": 0.0},
        steps=6000,
        pool=16384,
        settings={
            **PAIRED,
            "attack_eps": 0.025,
            "attack_step": 0.005,
            "attack_steps": 10.0,
            "attack_critic": 1.0,
            "attack_from_result": 0.0,
        },
    ),
    Recipe(
        name="cyclegan-faces64",
        kind="generator",
        use="cyclegan",
        trainer="magdr_core.train.replacement:ReplacementTrainer",
        params=NETWORK,
        dataset={"size": 64, "grain": 0.0, "identity": "A"},
        steps=2400,
        pool=4096,
        settings={
            **PAIRED,
            "identity": 0.25,
        },
    ),
    Recipe(
        name="ganimation-faces64",
        kind="generator",
        use="ganimation",
        trainer="magdr_core.train.reenactment:ReenactmentTrainer",
        params=NETWORK,
        dataset={"size": 64, "grain": 0.0},
        steps=5000,
        batch=8,
        pool=16384,
        settings={
            **PAIRED,
            "attention": 0.3,
            "colour": 1.0,
        },
    ),
    # Second networks, whose difference from the first tells that the first was disrupted.
    Recipe(
        name="twin-editing64",
        use="stargan",
        start="builtin:stargan-hardened64",
        lr=4e-4,
        steps=6000,
        pool=8192,
        **TWIN,
    ),
    Recipe(
        name="twin-replacement64",
        use="cyclegan",
        start="builtin:cyclegan-faces64",
        dataset={"size": 64, "identity": "A"},
        lr=7e-4,
        steps=5000,
        pool=6144,
        **TWIN,
    ),
    Recipe(
        name="twin-reenactment64",
        use="ganimation",
        start="builtin:ganimation-faces64",
        lr=7e-4,
        steps=3000,
        pool=4096,
        **TWIN,
    ),
    # Low-rank patches of the shipped editor: a fraction of its weights, and of the work.
    Recipe(
        name="lora-editing64",
        kind="generator",
        use="lora-patch",
        trainer="magdr_core.train.patching:PatchingTrainer",
        params={"generator": "victim", "rank": 8},
        victim={"use": "stargan"},
        steps=160,
        batch=8,
        pool=512,
        lr=3e-3,
        settings={"eps_from": 4 / 255, "eps_to": 8 / 255, "attack_steps": 3.0, "attack_step": 0.5},
        tested=64,
    ),
    Recipe(
        name="parser-faces64",
        kind="parser",
        use="unet",
        trainer="magdr_core.train.parsing:ParsingTrainer",
        params={"width": 16},
        steps=1400,
        pool=4608,
        lr=2e-3,
        settings={"attacked": 0.3, "noisy": 0.3},
    ),
    Recipe(
        name="bisenet-faces64",
        kind="parser",
        use="bisenet",
        trainer="magdr_core.train.parsing:ParsingTrainer",
        params={"width": 16, "working_size": 256},
        steps=1400,
        pool=6144,
        lr=2e-3,
        settings={"attacked": 0.3, "noisy": 0.3, "muon": 0.02},
    ),
    Recipe(
        name="purifier-faces64",
        kind="restoration",
        use="purifier",
        trainer="magdr_core.train.purifying:PurifyingTrainer",
        params={"width": 16},
        steps=2400,
        pool=2048,
        lr=1e-3,
        settings={"eq8": 0.0, "eq8_from": 1.0, "smooth": SMOOTH},
        tested=128,
    ),
    Recipe(
        name="purifier-editing64",
        kind="restoration",
        use="purifier",
        trainer="magdr_core.train.purifying:PurifyingTrainer",
        params={"width": 16},
        steps=2400,
        pool=2048,
        lr=1e-3,
        settings={"eq8": 1.0, "eq8_from": 0.4, "smooth": SMOOTH},
        tested=128,
    ),
    # On attacks that know it, which the two above never met.
    Recipe(
        name="purifier-hardened64",
        kind="restoration",
        use="purifier",
        trainer="magdr_core.train.hardened_purifying:HardenedPurifyingTrainer",
        params={"width": 16},
        start="builtin:purifier-editing64",
        victim={"use": "stargan"},
        steps=1600,
        batch=8,
        pool=4096,
        lr=1e-3,
        settings={"eps_from": 4 / 255, "eps_to": 8 / 255, "attack_steps": 2.0, "attack_step": 0.75},
        tested=64,
    ),
    Recipe(
        name="diffusion-faces64",
        kind="restoration",
        use="edm",
        trainer="magdr_core.train.diffusing:DiffusingTrainer",
        params={"width": 36},
        steps=8000,
        pool=4096,
        lr=1e-3,
        settings={"sigma_from": 0.02, "sigma_to": 0.5, "crop": 32},
        tested=500,
    ),
    # Not shipped: goes on from what recovers masked bands of faces, with masks over the whole picture.
    Recipe(
        name="masked-faces64",
        kind="restoration",
        use="masked-autoencoder",
        trainer="magdr_core.train.recovering:RecoveringTrainer",
        start="builtin:recovery64",
        params={"width": 16},
        steps=3000,
        pool=4096,
        lr=7e-4,
        settings={"spread": 0.01},
    ),
    Recipe(
        name="edsr-faces64",
        kind="restoration",
        use="super-resolution",
        trainer="magdr_core.train.enlarging:EnlargingTrainer",
        params={"features": 32, "blocks": 4},
        # Twice the size that it enlarges.
        dataset={"size": 128},
        steps=1500,
        batch=8,
        pool=2048,
        lr=1e-3,
        settings={"crop": 32},
        tested=256,
    ),
)

RECIPES: dict[str, Recipe] = {
    **{recipe.name: recipe for recipe in _SHIPPED},
    **PHOTO_RECIPES,
    **TRANSLATING_RECIPES,
    **FORENSIC_RECIPES,
    **IDENTITY_RECIPES,
}
"""By name."""
