"""Forensic models on clips, on pictures that attacks left, and with weights that say what they have seen."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.forensics._trained import trained_on
from sklearn.metrics import roc_auc_score

from magdr_core.bench.run import Bench
from magdr_core.toolkit import Toolkit
from tests.edits import edited
from tests.forensics.test_forensic_bench import PLUGIN, REGISTRY, rows

CLIPS = '''
import torch as torch_
from magdr_core.api import Batch, DatasetSpec, SampleRng as Rng
from magdr_core.functional import to_8bit


class Frames:
    def __init__(self, name):
        self.name = name

    def __len__(self):
        return 60

    def __getitem__(self, indices):
        """Three frames a clip, one person each; corners differ from frame to frame."""
        ids = tuple(f"{self.name}-{i}" for i in indices)
        images = 0.8 * Rng(0, "frames", ids).uniform(3, 16, 16)
        clips = torch_.tensor([i // 3 for i in indices])
        return Batch(to_8bit(images), ids, identities=clips, annotations={"clips": clips})


class Clips:
    """Clips of three frames."""

    size = 16

    def split(self, name):
        return Frames(name)

    def fingerprint(self):
        return "clips-1"


@hookimpl
def magdr_datasets():
    return [DatasetSpec(name="clips", build=Clips)]
'''


def bench(folder, registry, plugin=PLUGIN, failures=0):
    (folder / "acme.py").write_text(plugin)
    path = folder / "worlds.toml"
    path.write_text(registry)
    kit = Toolkit.from_registry(path, device="cpu")
    done = Bench(kit, "quick", out=folder / "run", cache=folder / "cache", report=print).run()
    assert len(done.failures) == failures
    return done


def test_clips_are_judged_by_the_mean_score_of_their_frames(tmp_path):
    text = edited(
        REGISTRY,
        ('use = "procedural-faces"\nparams = { size = 32 }', 'use = "acme/clips"'),
        ("params = { size = 32 }", "params = { size = 16 }"),
        ("[forgery.stamp]\n", "[forgery.stamp]\nparams = { level = 0.4 }\n"),
        ('["stamp", "sticker", "other", "nothing"]', '["stamp"]'),
        ('["corner", "learner"]', '["corner"]'),
        ("samples = 6", "samples = 8"),
    )
    run = bench(tmp_path, text, PLUGIN + CLIPS)
    [cell] = [c for c in run.cells if c.facts.attack == "forged:stamp"]
    fake, real = (cell.array(f"seen/{name}") for name in ("score", "real_score"))
    means = [[scores[i : i + 3].mean() for i in (0, 3, 6)] for scores in (fake, real)]
    expected = roc_auc_score([1, 1, 1, 0, 0, 0], [*means[0], *means[1]])
    [row] = rows(run, attack="forged:stamp", variant="seen", metric="clip_auc")
    assert row["value"] == pytest.approx(expected)
    assert cell.array("seen/clip_weight").tolist() == pytest.approx([1 / 3] * 6 + [1 / 2] * 2)
    assert not [r for r in run.rows if r["attack"] == "none" and r["metric"] == "clip_auc"]


def test_a_forgery_that_is_none_fails_its_own_cells_alone(tmp_path):
    text = edited(
        REGISTRY,
        ("[forgery.stamp]\n", "[forgery.stamp]\nparams = { level = 0.5 }\n"),
        ('["stamp", "sticker", "other", "nothing"]', '["stamp", "sticker"]'),
        ('["corner", "learner"]', '["corner"]'),
        ('picture_qualities = ["jpeg40", "grainy"]\n', ""),
    )
    run = bench(tmp_path, text, failures=1)
    [failed] = run.failures
    assert failed.facts.attack == "forged:stamp"
    assert "images that are not 8-bit" in failed.error
    assert rows(run, attack="forged:sticker", metric="auc")
    assert ("forensics", "forged:sticker", "", "forged") in run.pictures


def test_on_a_task_with_attacks_models_say_whether_disturbed_reals_look_forged(tmp_path):
    text = edited(
        REGISTRY,
        ('[generator.forensics]\nuse = "untouched"', '[generator.editing]\nuse = "stargan"'),
        (
            "params = { size = 32 }\n\n[forgery",
            'params = { weights = "random", width = 8, blocks = 1, size = 32 }\n\n[forgery',
        ),
        (
            "[profile.quick]\n",
            '[attack.noise]\nparams = { eps = "40/255" }\n[profile.quick]\nattacks = ["noise"]\n',
        ),
        ('["stamp", "sticker", "other", "nothing"]', '["stamp"]'),
        ('["corner", "learner"]', '["corner"]'),
        ('picture_qualities = ["jpeg40", "grainy"]\n', ""),
    )
    run = bench(tmp_path, text)
    found = {r["metric"]: r["value"] for r in rows(run, role="forensic", attack="noise")}
    located = {"flagged_pixels", "located_reals"}
    assert set(found) == {"false_alarms", "false_alarms_change", "auc_edited", *located}
    [cell] = [c for c in run.cells if c.facts.attack == "noise" and c.facts.role == "forensic"]
    expected = roc_auc_score(
        [1] * 6 + [0] * 6, [*cell.array("seen/edited_score"), *cell.array("seen/untouched_score")]
    )
    assert found["auc_edited"] == pytest.approx(expected)


def test_weights_say_by_their_card_what_they_learned_from(tmp_path):
    file = tmp_path / "net.safetensors"
    assert trained_on(None) == trained_on(file)
    assert trained_on(None).families == ()
    file.with_suffix(".toml").write_text(
        "[training]\n"
        'data = "procedural-faces, split train, 8192 images, procedural-faces-v2-64px-grain1"\n'
        'settings = { "forgery:swap" = 1.0, "forgery:splice" = 0.0, augment = 1.0, s_min = 1.0 }\n'
    )
    found = trained_on(file)
    assert found.families == ("swap",)
    assert found.qualities == ("jpeg", "noise", "gaussian")
    assert found.dataset == "procedural-faces-v2-64px-grain1"


def test_a_trained_network_is_marked_by_its_card(tmp_path):
    from safetensors.torch import save_file

    kit = Toolkit.from_registry(_plain(tmp_path, "random"), device="cpu")
    net = kit.build("forensic", "plain").component
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, tmp_path / "net.safetensors")
    (tmp_path / "net.toml").write_text('[training]\nsettings = { "forgery:swap" = 1.0 }\n')
    again = Toolkit.from_registry(_plain(tmp_path, "./net.safetensors"), device="cpu").build(
        "forensic", "plain"
    )
    assert again.component.trained_on.families == ("swap",)
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(again.score(x), kit.build("forensic", "plain").score(x))


def _plain(folder, weights):
    path = folder / "plain.toml"
    path.write_text(f'[forensic.plain]\nparams = {{ weights = "{weights}" }}\n')
    return path


def test_evasions_attack_fakes_alone_and_know_the_model(tmp_path):
    text = edited(
        REGISTRY,
        ("[forgery.stamp]\n", "[forgery.stamp]\nparams = { level = 0.4 }\n"),
        ('["stamp", "sticker", "other", "nothing"]', '["stamp"]'),
        (
            "[profile.quick]\n",
            '[attack.pgd]\nparams = { eps = "8/255", steps = 40 }\n[profile.quick]\nevasions = ["pgd"]\n',
        ),
        ('picture_qualities = ["jpeg40", "grainy"]\n', ""),
    )
    told = ('name="corner", build=Corner,', 'name="corner", build=Corner, gradient="exact",')
    run = bench(tmp_path, text, edited(PLUGIN, told))
    cells = {c.facts.attack: c for c in run.cells if c.facts.component == "corner"}
    plain, hidden = cells["forged:stamp"], cells["forged:stamp+pgd"]
    # The score is the mean of the corner, so every pixel of it goes down by all of eps.
    assert hidden.array("seen/score") == pytest.approx(plain.array("seen/score") - 8 / 255, abs=1e-5)
    assert hidden.array("seen/real_score").tolist() == plain.array("seen/real_score").tolist()
    [row] = rows(run, component="corner", variant="seen, under pgd", metric="auc")
    assert (row["attack"], row["knowledge"], round(255 * row["eps"])) == ("forged:stamp", "adaptive", 8)
    assert row["steps"] == 40
    assert not [c for c in run.cells if c.facts.component == "learner" and "+" in c.facts.attack]
