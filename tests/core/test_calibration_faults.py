"""What goes wrong while a component is fitted or loads its state: named, and nothing of it kept."""

import contextlib
import json
import math
from pathlib import Path

import pytest
import torch

from magdr_core.errors import CalibrationError, ComponentError
from magdr_core.results.store import Store
from tests.conftest import TOY

PLUGIN = '''
"""A detector and a defense whose fit returns, and whose load does, what a test wants."""
from magdr_core.api import DefenseSpec, DetectorSpec, hookimpl
MAGDR_API = 1
WANTED = {"fit": lambda data, G: {"a": 1.0}, "load": lambda state: None, "score": lambda x: x.mean((1, 2, 3))}
SEEN = []


class Odd:
    def fit(self, data, G):
        SEEN.append(("fit", data))
        return WANTED["fit"](data, G)

    def load(self, state):
        WANTED["load"](state)
        self.state = state

    def __call__(self, x, c, G):
        SEEN.append(("scored", x))
        return WANTED["score"](x)


class OddDefense(Odd):
    def __call__(self, x, c, G):
        return x


def detector():
    """Odd."""
    return Odd()


def defense():
    """Odd."""
    return OddDefense()


@hookimpl
def magdr_detectors():
    return [DetectorSpec(name="odd", build=detector)]


@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="odd", build=defense)]
'''

TABLES = """
[plugins]
local = { toy = "./toy.py", acme = "./odd.py" }
[generator.toy]
use = "toy/net"
[dataset.faces]
use = "procedural-faces"
params = { size = 32 }
[attack.pgd]
params = { eps = "2/255", steps = 1 }
[detector.odd]
use = "acme/odd"
[defense.odd]
use = "acme/odd"
[calibration]
fit = 12
clean = 20
attacked = 4
"""


@pytest.fixture
def shop(toolkit_from, tmp_path):
    """`shop.calibrator()` and `shop.module`, whose WANTED says what the components do."""
    (tmp_path / "odd.py").write_text(PLUGIN)
    (tmp_path / "toy.py").write_text(TOY)

    class Shop:
        cache = tmp_path / "cache"

        def calibrator(self, text=TABLES):
            made = toolkit_from(text).calibrator("toy", "faces", Store(self.cache))
            built = made.toolkit.build("detector", "odd").component
            self.wanted = type(built).fit.__globals__["WANTED"]
            self.seen = type(built).fit.__globals__["SEEN"]
            return made

        def kept(self):
            return sorted(self.cache.glob("calibrations/*/*.json"))

    return Shop()


def raising(*args):
    raise RuntimeError("no luck")


@pytest.mark.parametrize("kind", ["detector", "defense"])
@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "expected a mapping, got a NoneType"),
        ([1.0], "expected a mapping, got a list"),
        (torch.zeros(2), "expected a mapping, got a Tensor"),
        ({"a": {"b": [1.0, math.nan]}}, "a.b.1: nan is not a finite number"),
        ({"a": math.inf}, "a: inf is not a finite number"),
        ({"a": torch.zeros(2)}, "a: a Tensor is no JSON (`pack_tensors` makes text of tensors)"),
        ({"a": {1, 2}}, "a: a set is no JSON"),
        ({"a": object()}, "a: a object is no JSON"),
        ({("a", "b"): 1}, "is no JSON"),
        ({"a": 2**70}, "a: an integer of more than 64 bits"),
        ({"a": "\ud800"}, "a: text that is not Unicode"),
    ],
)
def test_a_fit_whose_state_cannot_be_kept_is_named_and_nothing_is(shop, kind, returned, said):
    calibrator = shop.calibrator()
    shop.wanted["fit"] = lambda data, G: returned
    with pytest.raises(ComponentError) as caught:
        getattr(calibrator, kind)("odd")
    assert f"[{kind}.odd]" in str(caught.value) or "acme/odd" in str(caught.value)
    assert said in str(caught.value)
    assert shop.kept() == []


@pytest.mark.parametrize("kind", ["detector", "defense"])
@pytest.mark.parametrize("step", ["fit", "load"])
def test_a_fit_or_load_that_raises_is_named_and_nothing_is_kept(shop, kind, step):
    calibrator = shop.calibrator()
    shop.wanted[step] = raising
    with pytest.raises(ComponentError, match=r"odd.*RuntimeError: no luck"):
        getattr(calibrator, kind)("odd")
    assert shop.kept() == []


def test_scores_too_large_for_a_threshold_are_the_detectors_fault(shop):
    calibrator = shop.calibrator()
    shop.wanted["score"] = lambda x: torch.full((len(x),), 1.7e308, dtype=torch.float64) * (1 + x[:, 0, 0, 0])
    with pytest.raises(ComponentError, match="odd"):
        calibrator.detector("odd")
    assert shop.kept() == []


def test_a_stored_state_that_does_not_load_is_computed_again(shop):
    shop.calibrator().detector("odd")
    (file,) = shop.kept()
    good = file.read_text()

    def load(state):
        if state != {"a": 1.0}:
            raise KeyError("a")

    for wrong in ({"b": 2.0}, None, [], "x"):
        entry = json.loads(good)["data"] | {"state": wrong}
        Store(shop.cache).put_json("calibrations", file.stem, entry)
        calibrator = shop.calibrator()
        shop.wanted["load"] = load
        assert calibrator.detector("odd").detector.component.state == {"a": 1.0}
        again = Store(shop.cache).json("calibrations", file.stem)
        assert again["state"] == {"a": 1.0}


def of_another_composition(state):
    raise CalibrationError("no luck: made for another composition")


@pytest.mark.parametrize("load", [raising, of_another_composition])
def test_a_files_state_that_does_not_load_names_the_file_and_the_entry(shop, tmp_path, load):
    calibrator = shop.calibrator()
    calibrator.detector("odd")
    (key,) = calibrator.used
    (tmp_path / "mine.json").write_text(json.dumps({"schema": 1, "entries": calibrator.used}))
    named = shop.calibrator(TABLES + 'file = "mine.json"\n')
    shop.wanted["load"] = load
    with pytest.raises(
        CalibrationError, match=rf"mine\.json': entries\.{key}\.state does not fit: .*no luck"
    ):
        named.detector("odd")


def test_thresholds_are_set_on_faces_that_nothing_was_fitted_on(shop):
    """Seen from inside: what `fit` was handed, and what was scored after it, share no picture."""
    calibrator = shop.calibrator()
    shop.seen.clear()
    calibrator.detector("odd")
    data = next(what for name, what in shop.seen if name == "fit")
    pairs = [*data.attacked.values(), *data.held_out.values()]
    fitted = [data.clean.images, *(s.images for pair in pairs for s in pair)]
    fitted += [s.images for s in data.harmless.values()]
    scored = torch.cat([x for name, x in shop.seen if name == "scored"])
    assert len(scored) == 20 + 2 * 4, "clean ones for the rate of false alarms, pairs for the best F1"
    learned = torch.cat(fitted)
    # An attack of 2/255 moves no value further; two faces differ by far more than that somewhere.
    nearest = (scored[:, None] - learned[None]).abs().flatten(2).amax(2).amin(1)
    assert float(nearest.min()) > 8 / 255
    own = (scored[:, None] - scored[None]).abs().flatten(2).amax(2)
    assert int((own < 8 / 255).sum()) == 20 + 4 * 4, "each face once, but for the four pairs"


def test_what_one_component_does_to_attacked_faces_the_next_does_not_see(shop):
    calibrator = shop.calibrator()

    def vandal(data, G):
        for attacked, clean in data.attacked.values():
            attacked.images.zero_()
            clean.conditions.values.zero_()
        return {}

    before = calibrator.samples.attacked("pgd", "learned", False)
    shop.wanted["fit"] = vandal
    with contextlib.suppress(ComponentError):  # it may be caught in the act
        calibrator.detector("odd")
    after = calibrator.samples.attacked("pgd", "learned", False)
    for was, now in zip(before, after, strict=True):
        assert torch.equal(was.images, now.images)
        assert torch.equal(was.conditions.values, now.conditions.values)


@pytest.mark.parametrize("task", ["editing", "reenactment", "replacement"])
def test_shipped_calibrations_survive_a_release_and_not_a_new_version(task, monkeypatch, tmp_path):
    from dataclasses import replace

    from magdr_core import Toolkit
    from magdr_core.hosting.manager import Entry

    shipped = Path(__file__).parents[2] / "plugins" / "weights" / f"{task}64.calibration.json"
    entries = json.loads(shipped.read_text())["entries"]

    def keys():
        kit = Toolkit.from_registry(Path(__file__).parents[2] / "registry.toml", device="cpu")
        calibrator = kit.calibrator(task, kit.registry.dataset_of(task), Store(tmp_path))
        return {calibrator.key(e["kind"], e["label"]) for e in entries.values()}

    assert keys() == set(entries)
    origin = Entry.__init__

    def released(self, spec, origin_):
        origin(self, spec, replace(origin_, version="9.9.9"))

    monkeypatch.setattr(Entry, "__init__", released)
    assert keys() == set(entries), "another release of the same components"

    def raised(self, spec, origin_):
        origin(self, replace(spec, version=spec.version + (spec.name == "pgd")), origin_)

    monkeypatch.setattr(Entry, "__init__", raised)
    assert not keys() & set(entries), "every fit has seen pgd"
