"""What components may look at while they are calibrated, seen through a detector that writes it down."""

import pytest

from magdr_core.errors import MagdrError
from magdr_core.results.store import Store
from tests.bench.conftest import SMALL
from tests.conftest import TOY
from tests.edits import edited

SPY = '''
"""A detector that remembers the faces it was given, in its state."""
from magdr_core.api import DefenseSpec, DetectorSpec, hookimpl, stateless
MAGDR_API = 1


class Spy:
    def fit(self, data, G):
        self.clean_images = data.clean.images
        return {
            "clean": list(data.clean.ids),
            "attacked": {k: list(v[0].ids) for k, v in data.attacked.items()},
            "moved": {k: float((v[0].images - v[1].images).abs().max()) for k, v in data.attacked.items()},
            "held_out": {k: list(v[0].ids) for k, v in data.held_out.items()},
            "harmless": {k: list(v.ids) for k, v in data.harmless.items()},
            "noise": {
                k: float((v.images - next(iter(data.attacked.values()))[1].images).abs().max())
                for k, v in data.harmless.items() if k.startswith("noise")
            },
        }

    def load(self, state):
        self.state = state

    def __call__(self, x, c, G):
        self.seen = getattr(self, "seen", 0) + len(x)
        return x.mean((1, 2, 3))


def spy():
    """Spy."""
    return Spy()


def chance(x, c, G, *, rng):
    """The picture has no say in it."""
    return rng.uniform(1)[:, 0].to(x)


class Learner(Spy):
    def fit(self, data, G):
        pairs = data.training()
        return {
            "ids": {k: list(v[0].ids) for k, v in pairs.items()},
            "moved": {k: float((v[0].images - v[1].images).abs().max()) for k, v in pairs.items()},
            "harmless": {k: list(v.ids) for k, v in data.training_harmless().items()},
        }


def learner():
    """Learner."""
    return Learner()


class SpyDefense(Spy):
    def __call__(self, x, c, G):
        return x


def spy_defense():
    """Spy."""
    return SpyDefense()


@hookimpl
def magdr_detectors():
    return [
        DetectorSpec(name="spy", build=spy),
        DetectorSpec(name="learner", build=learner, supervised=True),
        DetectorSpec(name="chance", build=stateless(chance), stochastic=True),
    ]


@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="spy", build=spy_defense)]
'''

TABLES = """
[plugins]
local = { toy = "./toy.py", acme = "./spy.py" }

[generator.toy]
use = "toy/net"

[dataset.faces]
use = "procedural-faces"
params = { size = 32 }

[attack.weak]
use = "pgd"
params = { eps = "2/255", steps = 1 }
[attack.strong]
use = "pgd"
params = { eps = "6/255", steps = 1 }

[detector.spy]
use = "acme/spy"
[detector.learner]
use = "acme/learner"
[detector.chance]
use = "acme/chance"
[defense.spy]
use = "acme/spy"

[calibration]
fit = 12
clean = 20
attacked = 4
attacks = ["weak", "strong"]
benign = ["jpeg", "median"]
"""


@pytest.fixture
def calibrated(toolkit_from, tmp_path):
    (tmp_path / "spy.py").write_text(SPY)
    (tmp_path / "toy.py").write_text(TOY)
    calibrator = toolkit_from(TABLES).calibrator("toy", "faces", Store(tmp_path / "cache"))
    return calibrator, calibrator.detector("spy").detector.component.state


def test_standardising_and_learning_faces_never_meet(calibrated):
    _, state = calibrated
    assert len(state["clean"]) == 12
    assert state["attacked"]["weak"] == state["attacked"]["strong"]
    assert len(state["attacked"]["weak"]) == 4
    assert not set(state["clean"]) & set(state["attacked"]["weak"])


def test_a_defense_is_given_held_out_faces_and_a_detector_none(calibrated):
    calibrator, state = calibrated
    assert state["held_out"] == {}
    defense = calibrator.defense("spy").component.state
    assert set(defense["held_out"]) == {"weak", "strong"}
    held_out = defense["held_out"]["weak"]
    assert len(held_out) == 4
    assert not set(held_out) & (set(defense["clean"]) | set(defense["attacked"]["weak"]))


def test_supervised_baselines_learn_from_attacked_faces_of_the_train_split(
    calibrated, toolkit_from, tmp_path
):
    calibrator, spied = calibrated
    text = edited(TABLES, ("attacked = 4", "attacked = 4\ntrain = 6"))
    small = toolkit_from(text).calibrator("toy", "faces", Store(tmp_path / "cache"))
    learned = small.detector("learner").detector.component.state
    train = small.data.split("train")[list(range(6))].ids
    assert learned["ids"] == {"weak": list(train), "strong": list(train)}
    assert 0 < learned["moved"]["weak"] <= 2 / 255 + 1e-6 < learned["moved"]["strong"]
    assert not set(train) & {*spied["clean"], *spied["attacked"]["weak"]}
    kinds = ("noise@2", "noise@6", "benign:jpeg", "benign:median")
    assert learned["harmless"] == {kind: list(train) for kind in kinds}, "what MagDR's fit is told of as well"
    # How many there are is part of a supervised one's key, and of no other's.
    assert small.key("detector", "learner") != calibrator.key("detector", "learner")
    assert small.key("detector", "spy") == calibrator.key("detector", "spy")


def test_noise_of_every_strength_and_benign_edits_are_among_the_harmless(calibrated):
    _, state = calibrated
    assert set(state["harmless"]) == {"noise@2", "noise@6", "benign:jpeg", "benign:median"}
    assert all(ids == state["attacked"]["weak"] for ids in state["harmless"].values())


def test_noise_is_as_strong_as_the_attack(calibrated):
    _, state = calibrated
    assert state["noise"]["noise@2"] == pytest.approx(2 / 255, abs=1e-4)
    assert state["noise"]["noise@6"] == pytest.approx(6 / 255, abs=1e-4)
    assert state["moved"]["strong"] <= 6 / 255 + 1e-4


def test_an_entry_is_computed_once_and_then_read(calibrated, tmp_path):
    calibrator, state = calibrated
    again = calibrator.toolkit.calibrator("toy", "faces", Store(tmp_path / "cache"))
    detector = again.detector("spy").detector.component
    assert detector.state == state
    assert not hasattr(detector, "seen")


def test_an_unknown_benign_edit_is_an_error(toolkit_from, tmp_path):
    (tmp_path / "spy.py").write_text(SPY)
    (tmp_path / "toy.py").write_text(TOY)
    kit = toolkit_from(edited(TABLES, ('"median"', '"medain"')))
    with pytest.raises(MagdrError, match="did you mean 'median'"):
        kit.calibrator("toy", "faces", Store(tmp_path)).detector("spy")


@pytest.mark.parametrize(
    ("left_out", "said"), [("pgd", "every attack of the calibration is left out"), ("pdg", "'pdg'")]
)
def test_what_is_left_out_must_leave_something_and_be_there(tmp_path, toolkit_from, left_out, said):
    params = f'[detector.magdr]\nparams = {{ leave_out = ["{left_out}"] }}\n'
    kit = toolkit_from(edited(SMALL, ("[detector.magdr]\n", params)))
    with pytest.raises(MagdrError, match=said):
        kit.calibrator("editing", "faces", Store(tmp_path / "cache")).detector("magdr")


def test_leaving_an_attack_out_changes_what_is_learned(tmp_path, toolkit_from):
    text = SMALL + '[attack.weak]\nuse = "pgd"\nparams = { eps = "1/255", steps = 1 }\n'
    text = edited(text, ("attacked = 6\n", 'attacked = 6\nattacks = ["pgd", "weak"]\n'))
    text += '[detector.less]\nuse = "magdr"\nparams = { leave_out = ["weak"] }\n'
    calibrator = toolkit_from(text).calibrator("editing", "faces", Store(tmp_path / "cache"))
    everything, less = (calibrator.detector(name).detector.component for name in ("magdr", "less"))
    assert everything._learned["logistic"] != less._learned["logistic"]
    assert everything.standard.state["regions"] == less.standard.state["regions"]


@pytest.mark.parametrize("form", ["learned", "standardised"])
def test_fitting_a_defense_does_not_change_it(tmp_path, toolkit_from, form):
    params = f'params = {{ detector = "magdr", form = "{form}" }}'
    kit = toolkit_from(edited(SMALL, ('params = { detector = "magdr" }', params)))
    calibrator = kit.calibrator("editing", "faces", Store(tmp_path / "cache"))
    defense = kit.build("defense", "magdr", detector=calibrator.detector("magdr"))
    before = set(vars(defense.component.reconstructor))
    assert calibrator._fit("fitting", "defense", "magdr", defense)["state"]
    assert set(vars(defense.component.reconstructor)) == before
    assert defense.component.candidates == {}


def test_a_random_detector_is_calibrated_and_draws_for_each_face(calibrated):
    calibrator, _ = calibrated
    thresholds = calibrator.detector("chance").thresholds
    assert 0.5 < thresholds["fpr"] <= 1, "the largest of 20 uniform draws"
    faces = calibrator.samples.clean("clean", False)
    detector = calibrator.toolkit.build("detector", "chance")
    draws = calibrator.scores("chance", detector, faces)
    assert len(set(draws)) == len(faces)
    assert draws.max() == thresholds["fpr"]
