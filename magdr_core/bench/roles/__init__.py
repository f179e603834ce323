"""What components are asked in a benchmark: one module a role.

Nothing above this room asks for a role by name; it walks over all of them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from magdr_core.bench.roles.attack import AttackRole
from magdr_core.bench.roles.defense import DefenseRole
from magdr_core.bench.roles.detector import DetectorRole
from magdr_core.bench.roles.oracle import OracleRole
from magdr_core.components.role import Role

ROLES: Mapping[str, Role] = MappingProxyType(
    {role.name: role for role in (AttackRole(), DetectorRole(), DefenseRole(), OracleRole())}
)
"""The built-in ones, in the order of the tables."""
