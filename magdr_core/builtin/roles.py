"""The roles that core brings."""

from __future__ import annotations

from magdr_core.components.role import Role
from magdr_core.hosting.hookspecs import hookimpl

MAGDR_API = 1


@hookimpl
def magdr_roles() -> list[Role]:
    from magdr_core.bench.roles import ROLES
    from magdr_core.forensics.role import ForensicRole

    return [*ROLES.values(), ForensicRole()]
