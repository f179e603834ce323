"""What core itself brings through the hooks that plugins have: kinds, roles, scenarios, commands, recipes.

Each module is a plugin module like any other; the host loads them before all others. They import little, and
whatever is heavy inside their functions: every start of `magdr` pays for them.
"""
