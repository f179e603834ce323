"""Some images of a submission computed again."""

import pytest
from click.testing import CliRunner

from magdr_core.cli import cli
from magdr_core.errors import MagdrError
from magdr_core.leaderboard import check_run
from tests.bench.conftest import SMALL, Workshop
from tests.edits import edited

PLUGIN = """
from magdr_core.api import DefenseSpec, hookimpl, stateless
MAGDR_API = 1

def darker(x, c, G):
    return x * 0.9

@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="darker", build=stateless(darker))]
"""

TEXT = edited(
    SMALL + '\n[plugins]\nlocal = { acme = "acme.py" }\n[defense.darker]\nuse = "acme/darker"\n'
    '[channel.rough]\nuse = "jpeg"\nparams = { quality = 40 }\n',
    ('defenses = ["magdr", "jpeg", "fixed-chain"]', 'defenses = ["darker"]'),
    ('detectors = ["magdr", "distortion"]', 'detectors = ["distortion"]'),
    ('ensemble = ["flip"]\nbenign = ["jpeg"]\n', 'channels = ["rough"]\noracle = false\n'),
)


@pytest.fixture(scope="module")
def submission(tmp_path_factory):
    shop = Workshop(tmp_path_factory.mktemp("submission"))
    (shop.folder / "acme.py").write_text(PLUGIN)
    result = shop.run(TEXT)
    assert not result.failures
    return shop


def test_an_honest_submission_holds(submission):
    found = check_run(submission.folder / "run", submission.folder / "small.toml", images=2)
    assert found.holds
    assert len(found.ids) == 2
    assert {(c.place.component, c.place.channel) for c in found.cells} >= {
        ("darker", ""),
        ("darker", "rough"),
    }
    assert max(c.difference for c in found.cells) < 1e-4


def test_the_checks_store_is_its_own(submission, monkeypatch):
    """What the run has kept would only say again what it said before."""
    from magdr_core.leaderboard import checking

    caches = []

    class Watched(checking.Bench):
        def __init__(self, *args, **options):
            caches.append(options["cache"])
            super().__init__(*args, **options)

    monkeypatch.setattr(checking, "Bench", Watched)
    check_run(submission.folder / "run", submission.folder / "small.toml", images=1)
    assert [c.parent == submission.folder for c in caches] == [False]


def test_another_component_than_the_submitted_one_is_found(submission):
    (submission.folder / "acme.py").write_text(edited(PLUGIN, ("x * 0.9", "x * 0.2")))
    try:
        run, registry = str(submission.folder / "run"), str(submission.folder / "small.toml")
        done = CliRunner().invoke(cli, ["leaderboard", "check", run, "--registry", registry, "--images", "2"])
    finally:
        (submission.folder / "acme.py").write_text(PLUGIN)
    assert done.exit_code == 1, done.output
    differ = [line for line in done.output.splitlines() if line.startswith("differs: ")]
    assert differ
    assert all("defense darker" in line for line in differ)


def test_a_registry_with_plugins_beside_it_has_to_be_given(submission):
    with pytest.raises(
        MagdrError, match="names plugins in files beside it: give that registry with --registry"
    ):
        check_run(submission.folder / "run")


def test_another_registry_is_refused(submission):
    other = submission.folder / "other.toml"
    other.write_text(edited(TEXT, ("samples = 5", "samples = 4")))
    with pytest.raises(MagdrError, match="is not the registry of"):
        check_run(submission.folder / "run", other)
