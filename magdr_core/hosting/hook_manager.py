"""pluggy's manager of hooks, which asks fewer of a module's names whether they are hooks."""

from __future__ import annotations

from types import FunctionType, MethodType, ModuleType
from typing import Any

import pluggy

from magdr_core.hosting.discovery import GROUP

_MARK = f"{GROUP}_impl"
"""What the marker of hooks leaves on a function."""


class HookManager(pluggy.PluginManager):
    """Registers the package's hundred modules in a fifth of the time: each toolkit does, for its own host."""

    def __init__(self) -> None:
        super().__init__(GROUP)

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        """The options of a plugin's hook; None where the name is no hook's, as most of a module's are not."""
        if type(plugin) is ModuleType and name in vars(plugin):
            found = vars(plugin)[name]
            if type(found) in (FunctionType, MethodType):
                if not hasattr(found, _MARK):
                    return None
            elif not hasattr(type(found), "__get__"):  # no routine, perhaps a stand-in that nobody may ask
                return None
        return super().parse_hookimpl_opts(plugin, name)
