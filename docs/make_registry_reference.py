"""Writes docs/registry.md: every table and key of a registry, every built-in component with its parameters.

python docs/make_registry_reference.py [--check]

What there is comes from the schemas that registries are checked with. Meanings of a registry's own keys are
written here, by the name of their schema; those of a component's parameters come from its docstring.
`--check` writes nothing and exits 1 if the file is not what it would be.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from magdr_core.components.params import describe
from magdr_core.components.specs import RestorationSpec
from magdr_core.guards import accelerate as speed
from magdr_core.hosting.core import core_kinds
from magdr_core.hosting.manager import BUILTIN, Entry, PluginHost
from magdr_core.registry import read as schemas
from magdr_core.registry import settings as profiles
from magdr_core.registry.composition import DEFAULTS

PAGE = Path(__file__).with_name("registry.md")

MEANINGS = {
    "_Header": {
        "api": "version of these contracts",
        "name": "of results and of the run folder: one part of a file name; the file's name if empty",
        "seed": "of conditions and all random draws, unless a profile names seeds",
        "include": "`builtin:NAME` or a path: a registry whose tables stand below this one's, see below",
        "files": "`builtin:NAME` or a path: the registry that commands on files use, see below",
        "device": '`"auto"` (CUDA where there is one), `"cpu"`, `"cuda"`, `"cuda:N"`',
    },
    "_Plugins": {
        "local": "name = a Python file (relative to the registry), or a dotted module or package",
        "block": "plugins that must not be imported, as `magdr plugins list` prints them; globs",
        "use": "plugins to load at once: for their event hooks, kinds, roles and scenarios",
    },
    "_Component": {
        "use": "the component: a bare name is built in, `plugin/name` is not; the label if left out",
        "params": "its parameters",
        "base": "folder where relative paths in `params` start, from the registry's; else that one",
    },
    "RestorationTable": {
        "grid": "parameter names with the settings that Rec-Net may choose from, at most 128; else its own"
    },
    "AttackTable": {"objective": "what it aims at; else what the generator's task says"},
    "GeneratorTable": {
        "dataset": "label of the faces that it is for; else the first dataset",
        "attacks": "by the label in a profile the attack that it means on this task; its own if not listed",
    },
    "ForgeryTable": {"taught": "whether models learn from it that name no `families`"},
    "ForensicTable": {
        "families": "forgeries that it learns from, by label; else all of a part of a face that are `taught`",
        "leave_out": "forgeries, or groups of them, that it must not see",
        "qualities": "augmentations and restorations that some of its pictures go through",
        "dataset": "label of the faces that it learns from; else those of the task",
    },
    "CalibrationPolicy": {
        "file": "file of `magdr calibrate`, relative to the registry, or of the package (`builtin:photos`); "
        '`"auto"`: shipped, else the cache',
        "fit": "clean faces to standardise on",
        "clean": "other clean faces, for the false-positive threshold",
        "attacked": "faces per attack to learn from; as many again for the best F1 and the gate",
        "train": "faces of the train split that supervised baselines learn from too",
        "attacks": "labels of the attacks to learn from",
        "benign": "labels of augmentations that detectors must not flag",
        "fpr": "wanted false-positive rate",
        "seed": "of conditions and attacks of the calibration",
        "reals": "file of `magdr inspect --keep`, for its thresholds: relative to the registry, or of the "
        "package (`builtin:photos`)",
    },
    "EngineSettings": {
        "gpus": "share of a GPU that a worker takes, where the device is CUDA: 0.25 puts four on each",
        "cpus": "CPU cores that a worker takes, and its threads",
        "workers": "at most so many; 0: as many as the cluster has room for",
        "retries": "how often work goes to another worker after its own was lost, before it counts as failed",
    },
    "Speed": {
        "dtype": '`"bfloat16"`: autocast',
        "compile": "`torch.compile`; needs a C++ compiler on a CPU, and up to a minute at the first passes",
        "channels_last": "keep channels together in memory",
        "winograd": "on a CPU: wide 3x3 convolutions with fewer products",
        "columns": "on a CPU: 7x7 convolutions to an image's few channels, column by column",
    },
    "ProfileTable": {
        "note": "said before the run and on the report",
        "dataset": "label; in place of the ones that generators name",
        "split": "of the dataset",
        "samples": "images per task and seed",
        "first": "index of the first one in the split",
        "seeds": "one run of everything per seed; else the registry's",
        "generators": "labels of the tasks; else all but surrogates",
        "attacks": "labels",
        "detectors": "labels",
        "defenses": "labels of defenses, or of restorations as defenses of their own",
        "benign": "labels of augmentations: how often detectors flag them",
        "noise_l2": "attacks of the profile; detectors also see noise with the L2 norm of what these add",
        "ensemble": "labels of augmentations over which every defense's output is averaged, as a variant",
        "pictures": "faces of the report",
        "transfer": "attacks by somebody who lacks something: a list of tables, below",
        "sweep": "detectors along one long run of an attack: a table, below",
        "adaptive": "attacks that know the whole pipeline: a table, below",
        "oracle": "whether tables have the per-image oracle, which tries every candidate on every image",
        "checks": "sanity checks of attacks and rows: true, false or a table, below",
        "identity": "outputs compared by who they show: a table, below",
        "ours": "components, as `use` names them, whose rows are marked as ours and are no baselines",
    },
    "Transfer": {
        "attack": "label",
        "surrogate": "label of the generator that perturbations are made on; with the same conditions, "
        'unless `condition = "surrogate"`',
        "condition": '`"unknown"`: made for another condition than the defender\'s; `"surrogate"`: for one '
        "that the surrogate draws, which may take others",
        "generators": "labels of the tasks that it applies to; all if empty",
    },
    "Sweep": {
        "attacks": "labels of attacks that have checkpoints",
        "steps": "numbers of steps",
        "generators": "labels of the tasks that it applies to; all if empty",
        "samples": "of the profile's images, the first so many; else all",
    },
    "Adaptive": {
        "attacks": "labels; each is aimed at each detector and defense",
        "detectors": "labels of those that are attacked",
        "defenses": "labels of those that are attacked",
        "others": "labels of attacks whose images join the pool",
        "behind": "label of a detector that stands before each defense too",
        "channels": "of the profile's: everything is attacked once more behind and through each",
        "steps": "of each mode",
        "restarts": "of each mode",
        "penalties": "weights of the trade-off curve",
        "queries": "of the random search",
        "precision": 'of gradients; `"bfloat16"` is quicker, and verdicts stay exact',
    },
    "Identity": {
        "encoders": "labels of identity encoders; all of them have to agree that it is somebody else",
        "below": "cosine under which an output shows another person than the clean output",
    },
    "Checks": {
        "faces": "of the profile's first ones; 0 for no checks",
        "steps": "gradient steps of the checks' own attacks",
        "draws": "samples of a random component's randomness per step",
        "passes": "generator passes that the checks of one row may take on a CPU",
    },
}

HEAD = """# registry.toml

A registry names plugins, components and benchmarks. It is TOML without expressions: what the file says is
what runs. Unknown tables, keys and parameters are errors, with a suggestion. `magdr init` writes a short one
to start from; the packaged one is [registry.toml](../registry.toml).

This page is generated by [make_registry_reference.py](make_registry_reference.py) from the schemas that check
a registry. Do not edit it.
"""

INCLUDE = """### include

With `include = "builtin:faces64"`, the packaged registry, `"builtin:photos"`, the one of photographs, or
`include = "../common/base.toml"` the tables of that file stand below one's own. Each of one's own tables
(`[attack.pgd]`, `[profile.quick]`, `[calibration]`) replaces the included one of its name whole; nothing is
merged inside a table, and `[registry]` is always the including file's. Included tables come first, in their
order. Relative paths in an included file start at its folder. A file that is included includes no other.

What runs is the resolved registry: run folders keep its text and workers get it, so that neither needs the
included file. `magdr registry show` prints it, with the file of each table; `magdr registry check` looks for
faults in every table, and says what `magdr bench` would refuse of each profile, without computing anything.

### files

`magdr attack`, `defend`, `detect` and `inspect` work on photographs, which are not what a benchmark may be
about. Where no `--registry` is given, they use the registry that `files` of the default one names:
`builtin:photos` in the packaged one. A `--task` that only the default registry has is that one's.
`--registry builtin:photos` asks for a registry of the package by name, in every command.
"""

MAGDR = """## [magdr]

MagDR's composition, by labels. Detectors and defenses with `use = "magdr"` take these keys unless their own
`params` say otherwise, so every parameter and every need of theirs may stand here. A need of any component
that has the name of a key is filled by it, too.

The defaults are a last resort: one is taken where neither a component's `params` nor `[magdr]` fill a need,
and, of a single component, where the registry declares none of that kind. So a registry of ten lines runs,
and whatever ran without defaults runs as before. The oracle's row and `featsim` follow what is taken: the
oracle chooses from `layers` of `[magdr]`, or from the default ones where a defense of the profile takes them;
a profile without such a defense, or with `oracle = false`, has no such row. A registry without any profile
has a `quick` one: pgd and noise on eight images, `magdr` and `fixed-chain`, no oracle. `magdr registry show`
prints the defaults.
"""

FORENSICS = """### forgeries, picture_qualities, restored_by, evasions, forensics

Lists of labels, for forensics: `forensics` are the models that are looked at, `forgeries` makes fakes of the
profile's faces, and `picture_qualities` are augmentations and restorations that real and forged pictures
alike go through before they are judged. `restored_by` are defenses, or restorations, that restore reals,
attacked reals and forgeries before they are judged. `evasions` are attacks that hide the fakes from each
model that has a gradient. See [forensics](forensics.md).
"""

CHANNELS = """### channels

A list of labels: what pictures go through between attack and defense. Clean pictures, every attack's and the
noise beside them are measured once more behind each. See [channels](channels.md).
"""

COMPONENTS = r"""# Built-in components

A label without a table means the component of that name with its defaults. Needs are labels of other
components; a single need that is not given is the registry's first of that kind. Pixel values are from 0 to
1, which is what "\[0,1\] units" means; a strength may be written in 8-bit steps, as `"6/255"`.
`magdr plugins show NAME` prints the same, for components of other plugins as well.
"""


def reference() -> str:
    """The page."""
    host = PluginHost()
    host.load(BUILTIN)
    parts = [HEAD, *tables(), MAGDR, *composition(host), COMPONENTS]
    for name, kind in core_kinds().items():
        parts.append(f"## {kind.plural}\n")
        parts += [component(e) for e in host.entries(name) if e.origin.namespace == BUILTIN]
    return "\n".join(parts).rstrip() + "\n"


# -- tables ----------------------------------------------------------------------------------------------


def tables() -> Iterator[str]:
    yield from section("## [registry]", schemas._Header)
    yield INCLUDE
    yield from section("## [plugins]", schemas._Plugins)
    kinds = ", ".join(f"`[{kind}.LABEL]`" for kind in core_kinds())
    yield "## [kind.LABEL]\n"
    yield f"One component each: {kinds}. A label takes letters, digits and single `. _ -`.\n"
    yield "Labels and seeds are listed once each; NaN and whole numbers beyond 64 bits are refused.\n"
    yield table(schemas._Component)
    for name, kind in core_kinds().items():
        if kind.table is not None:
            yield f"`[{name}.LABEL]` also takes:\n"
            yield table(kind.table)
    yield from section("## [calibration]", profiles.CalibrationPolicy)
    yield from section("## [engine]", profiles.EngineSettings)
    yield from section("## [speed]", speed.Speed)
    yield from section("## [profile.NAME]", profiles.ProfileTable)
    for name, info in profiles.ProfileTable.model_fields.items():
        for inner in models_in(info.annotation):
            yield from section(f"### {name}", inner)
    yield CHANNELS
    yield FORENSICS


def section(title: str, schema: type[BaseModel]) -> Iterator[str]:
    doc = (schema.__doc__ or "").strip() if not schema.__name__.startswith("_") else ""
    doc = doc.partition("\n\n    Attributes:")[0]
    yield f"{title}\n"
    if doc:
        yield re.sub(r"[ \t]*\n[ \t]+", "\n", doc) + "\n"
    yield table(schema)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The schemas inside an annotation such as `tuple[Transfer, ...]` or `Sweep | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def table(schema: type[BaseModel]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    meanings = {**MEANINGS["_Component"], **MEANINGS.get(schema.__name__, {})}
    for name, _, default in describe(schema):
        if name not in meanings:
            raise SystemExit(
                f"make_registry_reference.py: say in MEANINGS what {schema.__name__}.{name} means"
            )
        shown = "required" if schema.model_fields[name].is_required() else default_of(default)
        lines.append(f"| `{name}` | {cell(typed(schema.model_fields[name]))} | {shown} | {meanings[name]} |")
    return "\n".join(lines) + "\n"


# -- components ------------------------------------------------------------------------------------------


def composition(host: PluginHost) -> Iterator[str]:
    lines = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    for name in dict.fromkeys(
        name
        for kind in ("detector", "defense")
        for spec in [host.find(kind, "magdr").spec]
        for name in (*spec.needs, *spec.schema.model_fields)
    ):
        entries = [host.find(k, "magdr") for k in ("detector", "defense")]
        users = [e.kind for e in entries if takes(e, name)]
        default = f"`{json.dumps(DEFAULTS[name].labels)}`" if name in DEFAULTS else ""
        takers = " and ".join(f"[{u} magdr](#{u}-magdr)" for u in users)
        told = dict.fromkeys(meaning(e, name) for e in entries if takes(e, name))
        says = told.popitem()[0] if len(told) == 1 else "see there"
        lines.append(f"| `{name}` | {takers} | {default} | {says} |")
    yield "\n".join(lines) + "\n"


def takes(entry: Entry, name: str) -> bool:
    return name in entry.spec.needs or name in entry.spec.schema.model_fields


def component(entry: Entry) -> str:
    spec = entry.spec
    parts = [f"### {entry.kind} {entry.name}\n", f"{escape(spec.summary)}\n"]
    facts = [
        f"Source: {escape(spec.cite)}." if spec.cite else "",
        "Takes random draws." if spec.stochastic else "",
    ]
    if spec.requires:
        facts.append(f'Needs {", ".join(spec.requires)} (`pip install "{spec.extra}"`).')
    if any(facts):
        parts.append(" ".join(filter(None, facts)) + "\n")
    rows = [
        (name, cell(typed(spec.schema.model_fields[name])), default_of(default))
        for name, _, default in describe(spec.schema)
    ]
    rows += [(name, needed(need), "") for name, need in spec.needs.items()]
    if rows:
        lines = ["| parameter | type | default | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{name}` | {form} | {default} | {meaning(entry, name)} |" for name, form, default in rows
        ]
        parts.append("\n".join(lines) + "\n")
    if isinstance(spec, RestorationSpec) and spec.grid:
        grid = "; ".join(f"`{k}`: {', '.join(map(str, v))}" for k, v in spec.grid.items())
        parts.append(f"Grid: {grid}.\n")
    return "\n".join(parts)


def meaning(entry: Entry, parameter: str) -> str:
    """What the component's docstring says of it.

    Raises:
        SystemExit: nothing.
    """
    told = entry.spec.meanings.get(parameter)
    if not told:
        place = f"the docstring of {entry.kind} {entry.name}"
        raise SystemExit(f"make_registry_reference.py: say in {place} what {parameter} means")
    return cell(escape(told))


def needed(need: Any) -> str:
    form = ("a label", "a list of labels", "a list of lists of labels")[need.depth]
    extra = " (optional)" if need.optional else ""
    return f"{form} of {need.kind}s{extra}"


def typed(info: FieldInfo) -> str:
    """The type and limits of a parameter, in words."""
    marks = {type(m).__name__: m for m in info.metadata}
    if "WeightsFile" in marks:
        return "weights: `builtin:NAME`, a path, an address with its hash, or `random`"
    if "FromRegistry" in marks:
        hub = ", or `hf://ORG/NAME@REVISION#sha256=HEX`" if marks["FromRegistry"].hub else ""
        return f"path, relative to the registry{hub}"
    if "WrittenInPython" in marks:
        return "`FILE.py:NAME`, relative to the registry, or `package.module:NAME`"
    form = words(info.annotation)
    if "BeforeValidator" in marks and info.annotation is float:
        form += ' in [0,1], or `"N/255"`'
    for mark in info.metadata:
        form += limits(mark)
    return form


def limits(mark: Any) -> str:
    signs = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"), ("multiple_of", "multiple of"))
    found = [f"{sign} {getattr(mark, name)}" for name, sign in signs if getattr(mark, name, None) is not None]
    if getattr(mark, "min_length", None):
        found.append(f"at least {mark.min_length}")
    return "".join(f", {one}" for one in found)


def words(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        marks = [m for mark in inner[1:] for m in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
        if inner[0] is str:  # that a text is not empty goes without saying
            marks = [m for m in marks if not getattr(m, "min_length", None)]
        return words(inner[0]) + "".join(limits(m) for m in marks)
    if origin in (Union, UnionType):
        return " or ".join(words(one) for one in inner if one is not NoneType)
    if origin is Literal:
        return ", ".join(f"`{one!r}`".replace("'", '"') for one in inner)
    if origin in (tuple, list, Sequence):
        several = origin is not tuple or inner[-1] is Ellipsis
        return f"list of {words(inner[0])}" if several else ", ".join(words(one) for one in inner)
    if origin in (dict, Mapping):
        return f"table of {words(inner[1])}"
    names = {str: "text", int: "integer", float: "number", bool: "true or false", Any: "any value"}
    if annotation in names:
        return names[annotation]
    return "table" if isinstance(annotation, type) and issubclass(annotation, BaseModel) else str(annotation)


def default_of(shown: str) -> str:
    return {"None": "", "''": "", "()": "", "{}": ""}.get(shown, f"`{cell(shown)}`".replace("'", '"'))


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def escape(text: str) -> str:
    # Nothing is special inside backticks; a backslash would show there.
    return re.sub(r"(`[^`]*`)|([<>\[\]*])", lambda m: m[1] or f"\\{m[2]}", " ".join(text.split()))


if __name__ == "__main__":
    page = reference()
    if "--check" in sys.argv[1:]:
        raise SystemExit(0 if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page else 1)
    PAGE.write_text(page, encoding="utf-8")
