"""Findings, and the checks that give them: one component against one rule."""

from __future__ import annotations

import unittest
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from magdr_core.components.kind import Kind
from magdr_core.components.trial import Rule
from magdr_core.errors import DataError, MagdrError, WeightsError, one_line
from magdr_core.testing import (
    dataset_rules,
    finder_rules,
    fitting,
    forensic_rules,
    gradient_rules,
    kind_rules,
    rules,
)
from magdr_core.testing.rules import CommonRule
from magdr_core.testing.subject import Subject

BUILDS = "builds"

COMMON: tuple[CommonRule, ...] = (
    fitting.fit,
    *(rules.output, rules.finite, rules.in_range, rules.inputs, rules.networks, rules.randomness),
    *(rules.repeats, fitting.state, rules.batch, rules.sizes, rules.crowd),
    gradient_rules.gradient,
)
"""Asked of every kind that is called, in the order of judging."""

KIND_RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (*kind_rules.RULES, *dataset_rules.RULES, *forensic_rules.RULES, *finder_rules.RULES)
}
"""Those that core's kinds have of their own, by name."""

EVERY_RULE: tuple[Rule, ...] = (*COMMON, *KIND_RULES.values())


def rules_of(kind: Kind) -> list[Rule]:
    """The rules that concern a kind, in the order of judging."""
    trial = kind.trial
    asked = [] if trial is None else [rule for rule in COMMON if rule.concerns(trial)]
    return [*asked, *kind.rules()]


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

    def __init__(self, judged: Judged, rule: str) -> None:
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


class Judged(ABC):
    """What rules have said of one component so far."""

    component, plugin, file = "", "", ""

    @abstractmethod
    def messages(self, name: str) -> list[str]:
        """What a rule finds wrong; empty if its promise holds."""


class Broken(Judged):
    """A plugin, or a module of one, that cannot be loaded."""

    def __init__(self, plugin: str, file: str, error: MagdrError | None) -> None:
        self.plugin, self.file, self.error = plugin, file, error

    def messages(self, name: str) -> list[str]:
        return [] if self.error is None else [one_line(self.error)]


class Component(Judged):
    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        entry = subject.entry
        self.component = f"{entry.kind} {entry.name}"
        self.plugin, self.file = entry.origin.plugin, entry.origin.file
        self._rules = {rule.name: rule for rule in rules_of(subject.kind)}
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
        for earlier in (BUILDS, *self._rules[name].after):
            if earlier != BUILDS and earlier not in self._rules:
                continue
            if self.messages(earlier):
                raise Unchecked(f"not judged: {self.component} does not hold to [{earlier}]")
        try:
            found = [message for message in self._rules[name].check(self.subject) if message]
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
        except KeyboardInterrupt:
            raise
        except BaseException as e:  # sys.exit() in a factory
            return [f"cannot be built: {one_line(e)}"]
        return []


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _reason(error: MagdrError) -> str:
    """The error without the place in a registry that nobody wrote."""
    inner = [e for e in _causes(error) if isinstance(e, MagdrError)]
    return one_line(inner[-1])
