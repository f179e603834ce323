"""The conformance suite: every component of a plugin against every rule of its kind."""

from __future__ import annotations

import importlib.util
import unittest
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from magdr_core.errors import DataError, MagdrError, PluginError, WeightsError, one_line, suggestion
from magdr_core.plugins import BUILTIN, Entry, PluginHost
from magdr_core.testing import dataset_rules, fitting, gradient_rules, kind_rules, rules
from magdr_core.testing.rules import RULES, Rule
from magdr_core.testing.subject import Subject
from magdr_core.testing.world import World

__all__ = ["Check", "ConformanceError", "Finding", "conformance_checks"]

LOADS, BUILDS = "loads", "builds"
TOLERANCE = 1e-5

_ORDER = [m.__name__ for m in (fitting, rules, gradient_rules, kind_rules, dataset_rules)]
EVERY_RULE = sorted(RULES.values(), key=lambda rule: _ORDER.index(rule.check.__module__))
"""In the order of judging."""

Params = Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass(frozen=True)
class Finding:
    """One broken promise.

    Attributes:
        component: kind and name, or empty for the plugin as a whole.
        rule: the promise's name.
        message: what was seen, with the offending value.
        file: where the component is written.
    """

    plugin: str
    component: str
    rule: str
    message: str
    file: str

    def __str__(self) -> str:
        what = f"{self.component} " if self.component else ""
        return f"{Path(self.file).name or self.plugin}: {what}[{self.rule}] {self.message}"

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class ConformanceError(AssertionError):
    """A component broke a promise; the message is one line per finding."""


class Unchecked(unittest.SkipTest):
    """A component that cannot be judged here: it needs data or packages that are not at hand."""


class Check:
    """One component and one rule; calling it judges.

    Raises (when called):
        ConformanceError: the promise is broken.
        unittest.SkipTest: nothing to judge: data or packages are missing, or an earlier rule says it all.
    """

    def __init__(self, judged: _Judged, rule: str) -> None:
        self._judged, self.rule = judged, rule

    @property
    def component(self) -> str:
        """Kind and name; empty for a plugin as a whole."""
        return self._judged.component

    @property
    def plugin(self) -> str:
        return self._judged.plugin

    @property
    def file(self) -> str:
        return self._judged.file

    def __str__(self) -> str:
        return f"{self.component or self.plugin} [{self.rule}]"

    __repr__ = __str__

    def findings(self) -> list[Finding]:
        """What is wrong; empty if the promise holds. Raises unittest.SkipTest as a call does."""
        messages = self._judged.messages(self.rule)
        return [Finding(self.plugin, self.component, self.rule, m, self.file) for m in messages]

    def __call__(self) -> None:
        found = self.findings()
        if found:
            raise ConformanceError("\n".join(map(str, found)))


class _Judged:
    """What rules have said of one component so far."""

    component, plugin, file = "", "", ""

    def messages(self, name: str) -> list[str]:
        raise NotImplementedError


class _Broken(_Judged):
    """A plugin, or a module of one, that cannot be loaded."""

    def __init__(self, plugin: str, file: str, error: MagdrError | None) -> None:
        self.plugin, self.file, self.error = plugin, file, error

    def messages(self, name: str) -> list[str]:
        return [] if self.error is None else [one_line(self.error)]


class _Component(_Judged):
    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        entry = subject.entry
        self.component = f"{entry.kind} {entry.name}"
        self.plugin, self.file = entry.origin.plugin, entry.origin.file
        self._said: dict[str, list[str] | Unchecked] = {}

    def messages(self, name: str) -> list[str]:
        if name not in self._said:
            try:
                self._said[name] = self._judge(name)
            except Unchecked as e:
                self._said[name] = e
        said = self._said[name]
        if isinstance(said, Unchecked):
            raise said
        return said

    def _judge(self, name: str) -> list[str]:
        if name == BUILDS:
            return self._builds()
        for earlier in (BUILDS, *RULES[name].after):
            if earlier != BUILDS and self.subject.kind not in RULES[earlier].kinds:
                continue
            if self.messages(earlier):
                raise Unchecked(f"not judged: {self.component} does not hold to [{earlier}]")
        try:
            found = [message for message in RULES[name].check(self.subject) if message]
        except KeyboardInterrupt:
            raise
        except BaseException as e:  # a component that raises where no rule expects it
            found = [one_line(e)]
        return [" ".join(message.split()) for message in found]

    def _builds(self) -> list[str]:
        missing = self.subject.spec.missing
        if missing:
            extra = f" (pip install {self.subject.spec.extra!r})" if self.subject.spec.extra else ""
            raise Unchecked(f"needs {', '.join(missing)}{extra}")
        try:
            _ = self.subject.guarded
        except MagdrError as e:
            if any(isinstance(cause, DataError | WeightsError) for cause in _causes(e)):
                raise Unchecked(_reason(e)) from None
            return [_reason(e)]
        return []


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _reason(error: MagdrError) -> str:
    """The error without the place in a registry that nobody wrote."""
    inner = [e for e in _causes(error) if isinstance(e, MagdrError)]
    return one_line(inner[-1])


def rules_of(kind: str) -> list[Rule]:
    """The rules that concern a kind, in the order of judging."""
    return [rule for rule in EVERY_RULE if kind in rule.kinds]


def conformance_checks(
    plugin: str | Path,
    *,
    params: Params | None = None,
    tolerance: float = TOLERANCE,
    device: str = "cpu",
) -> list[Check]:
    """Every check of a plugin, to be called one by one or handed to `pytest.mark.parametrize`.

    Args:
        plugin: an installed plugin's name, a plugin file (`./acme_median.py`), or a dotted module.
        params: by (kind, name), parameters to use instead of the defaults: where a dataset's pictures
            are, say. Needs are named by label; `"toy"` is a small component of every kind.
        tolerance: by how much an image's result may depend on its batch.
        device: where components and pictures are.

    A plugin that cannot be loaded gives one check, which fails and says why.
    """
    target = locate(plugin)
    world = World(target.local, base=target.base, device=device)
    return checks_in(world, target, params=params, tolerance=tolerance)


def checks_in(
    world: World, target: Target, *, params: Params | None = None, tolerance: float = TOLERANCE
) -> list[Check]:
    """The checks of a plugin that is known to a world."""
    host, namespace = world.host, target.namespace
    file = _file_of(host, namespace, target.base)
    try:
        host.load(namespace)
    except PluginError as e:
        return [Check(_Broken(namespace, file, e), LOADS)]
    broken = [Check(_Broken(f.plugin, file, f.error), LOADS) for f in host.failures]
    entries = [e for e in host.entries() if e.origin.namespace == namespace and target.means(e)]
    if not entries and not broken:
        error = PluginError(f"plugin {namespace!r} provides no component")
        broken = [Check(_Broken(namespace, file, error), LOADS)]
    for entry in entries:
        broken += checks_of(entry, world, (params or {}).get((entry.kind, entry.name), {}), tolerance)
    return broken


def checks_of(
    entry: Entry, world: World, params: Mapping[str, Any] | None = None, tolerance: float = TOLERANCE
) -> list[Check]:
    """The checks of one component."""
    judged = _Component(Subject(entry, world, params or {}, tolerance=tolerance))
    return [Check(judged, name) for name in (BUILDS, *(rule.name for rule in rules_of(entry.kind)))]


@dataclass(frozen=True)
class Target:
    """What is to be checked.

    Attributes:
        namespace: the plugin's name.
        local: local plugins that are needed for it, as a registry has them.
        base: folder that they are relative to.
        only: one component's name, as in `use`; empty for all.
    """

    namespace: str
    local: Mapping[str, str]
    base: Path
    only: str = ""

    def means(self, entry: Entry) -> bool:
        return self.only in ("", entry.name)


def locate(plugin: str | Path, local: Mapping[str, str] | None = None, base: Path | None = None) -> Target:
    """What a text means: a plugin file, a plugin's name, a component's name, or a dotted module.

    Args:
        local: local plugins of a registry, which count too.
        base: the registry's folder.

    Raises:
        PluginError: none of these.
    """
    text, local, base = str(plugin), dict(local or {}), base or Path.cwd()
    if text.endswith(".py"):
        path = Path(text).expanduser().resolve()
        if not path.is_file():
            raise PluginError(f"plugin file {text!r} does not exist")
        return Target(path.stem, {path.stem: path.name}, path.parent)
    host = PluginHost(local=local, base=base)
    known = host.available()
    if text in known:
        return Target(text, local, base)
    namespace = text.rpartition("/")[0]
    if namespace in known:
        return Target(namespace, local, base, only=text)
    host.load(BUILTIN)
    names = {entry.name for entry in host.entries()}
    if text in names:
        return Target(BUILTIN, {}, base, only=text)
    if not namespace and _is_module(text):
        last = text.rpartition(".")[2]
        return Target(last, {last: text}, base)
    raise PluginError(f"no plugin or component named {text!r}{suggestion(text, [*known, *names])}")


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _file_of(host: PluginHost, namespace: str, base: Path) -> str:
    target = host.local.get(namespace, "")
    return str(base / target) if target.endswith(".py") else target
