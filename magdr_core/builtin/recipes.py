"""How the shipped networks are trained."""

from __future__ import annotations

from magdr_core.components.recipe import Recipe
from magdr_core.hosting.hookspecs import hookimpl

MAGDR_API = 1


@hookimpl
def magdr_recipes() -> list[Recipe]:
    from magdr_core.train.recipes import RECIPES

    return list(RECIPES.values())
