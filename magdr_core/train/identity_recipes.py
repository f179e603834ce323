"""The recipe of the identity encoder of drawn faces."""

from __future__ import annotations

from magdr_core.components.recipe import Recipe

IDENTITY_RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="identity-faces64",
            kind="identity_encoder",
            use="identity-net",
            trainer="magdr_core.train.identifying:IdentityTrainer",
            params={"width": 16, "dimension": 64},
            steps=1200,
            pool=6144,
            batch=64,
            lr=2e-3,
            settings={"scale": 24.0, "margin": 0.3, "edited": 0.4, "noisy": 0.25},
            tested=800,
        ),
    )
}
"""By name."""
