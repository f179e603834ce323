"""What stands behind the page of `magdr demo --serve`: the answers, in the words of `defend` and `demo`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magdr_core.cli.attacks import chosen_attack, ready_attack
from magdr_core.cli.media_commands import calibration_facts, chosen_task, condition_facts
from magdr_core.cli.photos import picture_facts
from magdr_core.cli.verdict_text import explain, headline, verdict_line
from magdr_core.cli.wishes import EDITS, in_words
from magdr_core.guards import GuardedFinder
from magdr_core.inference.demonstration import LARGEST, Demonstration, demonstrate
from magdr_core.inference.loaded import ALL, Loaded, Skipped, load
from magdr_core.inference.operations import Defend, Result
from magdr_core.inference.pipeline import Pipeline
from magdr_core.inference.shown import Keeping
from magdr_core.inference.sources import PictureSource
from magdr_core.inference.treated import Treated, treated
from magdr_core.magdr.verdict import DISRUPTED, INTACT, Verdict
from magdr_core.media import cut, picture_of
from magdr_core.report.demonstration import DemoSetting, off, sentence
from magdr_core.report.demonstration import headline as attack_headline
from magdr_core.toolkit import Toolkit
from magdr_core.web.answers import BAD, GOOD, OPEN, Answer, FaceAnswer, FaceVersion, Upload, Wish

MOST_FACES = 6
"""Faces of a crowd that the page shows: the most suspicious ones."""

MARKS = {DISRUPTED: BAD, INTACT: GOOD}

Step = Callable[[str, int, int], None]


class DemoService:
    """Answers by a registry's generators, attack and MagDR.

    Args:
        cache: store of calibrations.
        step: told (what, done, total) of long steps.
        task: the only generator that is offered; None for all.

    Raises:
        DataError: there is no such generator.

    Attributes:
        edits: by generator, every edit that it knows; the key holds generator, name and value.
        about: what the verdicts rest on.
    """

    def __init__(
        self,
        toolkit: Toolkit,
        cache: Path,
        step: Step = lambda what, done, total: None,
        *,
        task: str | None = None,
    ) -> None:
        self.toolkit = toolkit
        self.cache = cache
        self.step = step
        tasks = toolkit.registry.tasks() if task is None else [chosen_task(toolkit, task)]
        self.edits = {task: dict(_edits(toolkit, task)) for task in tasks}
        self.about = _about(toolkit)
        self._pipelines: dict[str, Pipeline] = {}
        self._finder: GuardedFinder | None = None

    def pipeline(self, task: str) -> Pipeline:
        """MagDR before a generator, calibrated when it is first needed."""
        if task not in self._pipelines:
            self._pipelines[task] = self.toolkit.magdr(task, cache=self.cache, progress=self.step)
        return self._pipelines[task]

    def prepare(self) -> None:
        """Calibrate the first generator and load what finds faces, lest the first picture wait."""
        self.pipeline(next(iter(self.edits)))
        self.finder(False)

    def finder(self, whole: bool) -> GuardedFinder | None:
        if whole:
            return None
        if self._finder is None:
            self._finder = self.toolkit.finder()
        return self._finder

    def example(self) -> Upload:
        import skimage.data  # takes a moment, and the package is there

        name = "astronaut"
        return Upload(name, picture_of(skimage.data.astronaut(), name))

    def answer(self, upload: Upload, wish: Wish) -> Answer:
        task, _, told = wish.edit.partition(":")
        name, _, value = told.partition("=")
        edits = {name: float(value)} if name else {}
        return (self._attacked if wish.attack else self._checked)(upload, task, edits, wish.whole)

    # -- a picture as it is ---------------------------------------------------------------------------------

    def _checked(self, upload: Upload, task: str, edits: Mapping[str, float], whole: bool) -> Answer:
        toolkit, pipeline = self.toolkit, self.pipeline(task)
        conditions = Keeping(pipeline.generator, edits, {})
        head = {
            "command": "defend",
            **condition_facts(toolkit, task, conditions),
            **calibration_facts(toolkit, task),
        }
        job = Defend(pipeline, synthetic=bool(head.get("synthetic")), conditions=conditions)
        done = treated([upload], job, conditions, toolkit.device, finder=self.finder(whole), wanted=ALL)
        (found,) = done
        if isinstance(found, Skipped):
            raise found.error
        facts = picture_facts(found)
        explain(facts, head)
        changed = found.changed()
        asked = _asked(edits)
        faces = [_face(found, facts["faces"], i, changed, asked) for i in _shown(facts["faces"])]
        return Answer(
            headline=_capital(headline(facts)),
            mark=_mark(facts),
            sentence=f"{_capital(facts['what_to_do'])}.",
            faces=faces,
            notes=[*_sentences(facts["notes"]), *_left_out(len(facts["faces"]))],
            restored=None if changed is found.received else changed,
        )

    # -- a picture that is attacked first -------------------------------------------------------------------

    def _attacked(self, upload: Upload, task: str, edits: Mapping[str, float], whole: bool) -> Answer:
        toolkit, pipeline = self.toolkit, self.pipeline(task)
        one: Loaded[PictureSource] = load(upload, pipeline.generator.size, self.finder(whole))
        condition = Keeping(pipeline.generator, edits, {})(one.face[None].to(toolkit.device))
        label = chosen_attack(toolkit)
        attack = ready_attack(toolkit, task, label, self.cache)
        done = demonstrate(one, condition, attack, pipeline, seed=toolkit.registry.seed, step=self.step)
        setting = DemoSetting(
            asked=_asked(edits),
            attack=label,
            picture=upload.name,
            fpr=toolkit.registry.calibration.fpr,
            drawn=toolkit.drawn(toolkit.registry.dataset_of(task)),
            size=pipeline.generator.size,
        )
        after = done.verdict_on_attacked
        return Answer(
            headline=attack_headline(done),
            mark=GOOD if after.disrupted and not done.verdict_on_photograph.disrupted else BAD,
            sentence=sentence(done, setting),
            faces=[FaceAnswer("", OPEN, _attack_reasons(done, label), list(_versions(done, setting.asked)))],
            notes=_sentences(one.facts["notes"]),
        )


def _edits(toolkit: Toolkit, task: str) -> Iterator[tuple[str, str]]:
    """(key, words) of what a generator can be asked for, the usual first; what can be taken away, too."""
    generator = toolkit.generator(task)
    if not generator.condition_names:
        yield f"{task}:", "what it always does"
    usual = [name for name in EDITS if name in generator.condition_names]
    for name in dict.fromkeys([*usual, *generator.condition_names]):
        yield f"{task}:{name}=1", in_words(name, 1.0)
        if generator.whole_target and not generator.additive and not name.endswith("_Hair"):
            yield f"{task}:{name}=0", in_words(name, 0.0)


def _about(toolkit: Toolkit) -> list[str]:
    facts = [calibration_facts(toolkit, task) for task in toolkit.registry.tasks()]
    lines = [
        "The verdicts are about the editors of this page, which are small networks: what disrupts another "
        "editor may leave these alone, and attackers who know magdr can evade it."
    ]
    if any(fact.get("synthetic") for fact in facts):
        lines.append(
            "The thresholds were set on faces that magdr draws itself, so that verdicts on photographs are "
            "guesses; start the page with --calibration FILE to have them set on pictures of your own."
        )
    return lines


def _asked(edits: Mapping[str, float]) -> str:
    return " and ".join(in_words(name, value) for name, value in edits.items())


def _mark(facts: Mapping[str, Any]) -> str:
    return MARKS.get(facts["verdict"], OPEN)


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _sentences(notes: Any) -> list[str]:
    return [f"{_capital(note)}." for note in notes]


def _shown(faces: list[Mapping[str, Any]]) -> list[int]:
    """Which faces the page shows, in their order."""
    return sorted(sorted(range(len(faces)), key=lambda i: -faces[i]["score"])[:MOST_FACES])


def _left_out(count: int) -> list[str]:
    if count <= MOST_FACES:
        return []
    return [f"The picture has {count} faces; those that look most suspicious are shown, and all were judged."]


def _face(
    found: Treated[Upload], every: list[dict[str, Any]], i: int, changed: Tensor, asked: str
) -> FaceAnswer:
    one, result, facts = found.faces[i], found.results[i], every[i]
    several = len(every) > 1
    reasons = {"Verdict": _capital(verdict_line(facts))} if several else {}
    reasons |= {"How sure": _capital(facts["how_sure"]), "Why": _capital(facts["why"])}
    if facts.get("plan"):
        reasons["Restored by"] = ", then ".join(facts["plan"])
    return FaceAnswer(
        title=f"Face {i + 1} of {len(every)}: {facts['verdict']}" if several else "",
        mark=_mark(facts),
        reasons=reasons,
        columns=list(_columns(one, result, changed, asked)),
    )


def _columns(one: Loaded[Upload], result: Result, changed: Tensor, asked: str) -> Iterator[FaceVersion]:
    panels = dict(result.panels)
    words = f"its edit, {asked}" if asked else "its edit"
    restored = not torch.equal(one.face, result.changed.cpu())
    yield FaceVersion("As it came", _cut(one, one.levels), panels["output on received"].cpu(), words)
    if restored:
        yield FaceVersion("Restored", _cut(one, changed), panels["output on restored"].cpu(), words)


def _cut(one: Loaded[Upload], levels: Tensor) -> Tensor:
    return cut(levels, one.box, min(one.box.side, LARGEST))


def _versions(done: Demonstration, asked: str) -> Iterator[FaceVersion]:
    words = f"its edit, {asked}" if asked else "its edit"
    before, after = done.verdict_on_photograph, done.verdict_on_attacked
    yield FaceVersion("As it came", done.photograph.image, done.photograph.output, words, _word(before))
    yield FaceVersion("Attacked", done.attacked.image, done.attacked.output, words, _word(after))
    title = "Restored" if after.disrupted else "If it were restored"
    yield FaceVersion(title, done.restored.image, done.restored.output, words)


def _word(verdict: Verdict) -> str:
    looks = f"; it looks {DISRUPTED if verdict.disrupted else INTACT}" if verdict.guess else ""
    return _capital(f"{verdict.word}{looks}")


def _attack_reasons(done: Demonstration, attack: str) -> dict[str, str]:
    after = done.verdict_on_attacked
    reasons = {
        "As it came": _capital(str(done.verdict_on_photograph)),
        "Attacked": f"{_capital(str(after))}; by {attack}, which knows the editor and not magdr",
        "Its edit": f"Off by {off(done.attacked.error)}",
        "Edit of the restored": f"Off by {off(done.restored.error)}",
    }
    if after.disrupted and after.plan:
        reasons["Restored by"] = ", then ".join(after.plan)
    return reasons
