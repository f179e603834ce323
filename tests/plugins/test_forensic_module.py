"""Anybody's own network: found without being run, given pictures in its form, and its output read as told."""

from __future__ import annotations

import re

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from magdr_core.errors import MagdrError
from magdr_core.functional import resize
from magdr_core.toolkit import Toolkit
from tests.edits import edited

NETS = '''
import torch
from torch import nn


class Means(nn.Module):
    """The mean of each channel, weighted."""

    def __init__(self, heads=1):
        super().__init__()
        self.heads = nn.Linear(3, heads, bias=False)
        nn.init.constant_(self.heads.weight, 0.5)

    def forward(self, x):
        return self.heads(x.mean((2, 3)))


def two():
    return Means(2)


def squashed():
    return nn.Sequential(Means(), nn.Sigmoid())


def flat():
    return nn.Sequential(Means(), nn.Flatten(0))


class Several(Means):
    """A verdict and a mask of a quarter of the size, by name."""

    def forward(self, x):
        small = nn.functional.avg_pool2d(x.mean(1, keepdim=True), 4)
        return {"cls": super().forward(x), "mask": small[:, 0], "logits": small - 0.5}


class Listed(Several):
    def forward(self, x):
        y = super().forward(x)
        return [y["cls"], y["mask"]]


def number():
    return 3


def wants(x):
    return x


class Sizes(nn.Module):
    def forward(self, x):
        return x.new_full((len(x),), float(x.shape[-1]))
'''


@pytest.fixture
def build(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)

    def make(**params):
        values = {name: re.sub("'", '"', str(value)) for name, value in params.items()}
        told = ", ".join(f"{name} = {value}" for name, value in values.items())
        path = tmp_path / "mine.toml"
        path.write_text(f'[forensic.mine]\nuse = "module"\nparams = {{ {told} }}\n')
        return Toolkit.from_registry(path, device="cpu")

    return lambda name, **params: make(module=repr(f"./nets.py:{name}"), **params)


def scores(kit, x):
    return kit.build("forensic", "mine").score(x)


X = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
MEANS = X.mean((2, 3))


def test_pictures_are_resized_and_normalised(build):
    told = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 2.0, 4.0]}
    expected = ((MEANS - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([0.5, 2.0, 4.0])).sum(1) / 2
    assert scores(build("Means", **told), X).tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert scores(build("Means"), X).tolist() == pytest.approx((MEANS.sum(1) / 2).tolist(), abs=1e-6)
    assert scores(build("Sizes", size=40), X).tolist() == [40.0] * 3
    assert scores(build("Sizes"), X).tolist() == [16.0] * 3
    large = torch.rand(2, 3, 64, 64)
    small = resize(large, 8).mean((2, 3)).sum(1) / 2
    assert scores(build("Means", size=8), large).tolist() == pytest.approx(small.tolist(), abs=1e-6)


def test_a_higher_score_is_more_likely_forged_whatever_the_class_is_called(build):
    logit = MEANS.sum(1) / 2
    assert scores(build("Means", fake_index=0), X).tolist() == pytest.approx((-logit).tolist(), abs=1e-6)
    share = torch.sigmoid(logit)
    told = {"output": "'probability'"}
    assert scores(build("squashed", **told), X).tolist() == pytest.approx(share.tolist(), abs=1e-6)
    turned = scores(build("squashed", fake_index=0, **told), X)
    assert turned.tolist() == pytest.approx((1 - share).tolist(), abs=1e-6)
    assert scores(build("flat"), X).tolist() == pytest.approx(logit.tolist(), abs=1e-6)


@pytest.mark.parametrize(("fake_index", "sign"), [(1, 1), (0, -1)])
def test_two_logits_are_weighed_against_each_other(build, tmp_path, fake_index, sign):
    weight = torch.tensor([[0.0, 0.0, 1.0], [2.0, 0.0, 0.0]])
    save_file({"heads.weight": weight}, tmp_path / "w.safetensors")
    kit = build("two", output="'two-logits'", fake_index=fake_index, weights="'./w.safetensors'")
    expected = sign * (2 * MEANS[:, 0] - MEANS[:, 2])
    assert scores(kit, X).tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_weights_are_loaded_and_what_they_were_trained_on_is_read(build, tmp_path):
    torch.save({"module.heads.weight": torch.tensor([[1.0, 0.0, 0.0]])}, tmp_path / "w.pth")
    (tmp_path / "w.toml").write_text('[training]\nsettings = { "forgery:swap" = 1.0 }\n')
    kit = build("Means", weights="'./w.pth'")
    assert scores(kit, X).tolist() == pytest.approx(MEANS[:, 0].tolist(), abs=1e-6)
    assert kit.build("forensic", "mine").component.trained_on.families == ("swap",)
    torch.save({"heads.weight": torch.zeros(1, 4)}, tmp_path / "w.pth")
    (tmp_path / "w.toml").unlink()
    with pytest.raises(MagdrError, match=r"w.pth does not fit Means: heads.weight is \(1, 4\)"):
        build("Means", weights="'./w.pth'").build("forensic", "mine")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Several", {"score_output": "'cls'", "mask_output": "'mask'"}),
        ("Several", {"score_output": "'cls'", "mask_output": "'logits'", "mask_form": "'logit'"}),
        ("Listed", {"mask_output": "'1'"}),
    ],
)
def test_a_mask_in_the_output_is_located_at_the_picture_s_size(build, name, told):
    model = build(name, **told).build("forensic", "mine")
    assert model.score(X).tolist() == pytest.approx((MEANS.sum(1) / 2).tolist(), abs=1e-6)
    small = F.avg_pool2d(X.mean(1, keepdim=True), 4)
    small = torch.sigmoid(small - 0.5) if "mask_form" in told else small
    expected = F.interpolate(small, (16, 16), mode="bilinear", align_corners=False)
    assert torch.allclose(model.locate(X), expected, atol=1e-6)


def test_without_a_mask_it_does_not_locate(build):
    assert not build("Means").build("forensic", "mine").locates


def test_nothing_is_run_before_it_is_built_and_what_fails_then_is_told(build, tmp_path):
    kit = build("Means")
    (tmp_path / "nets.py").write_text("raise ValueError('not today')")
    assert kit.resolve("forensic", "mine")
    with pytest.raises(MagdrError, match="cannot be imported: ValueError: not today") as e:
        kit.build("forensic", "mine")
    assert "'./nets.py:Means'" in str(e.value)
    assert "\n" not in str(e.value)


def test_results_depend_on_the_file_s_text_and_not_on_its_place(build, tmp_path):
    keys = [build("Means").resolve("forensic", "mine").key]
    (tmp_path / "nets.py").write_text(NETS + "# changed\n")
    keys.append(build("Means").resolve("forensic", "mine").key)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "nets.py").write_text(NETS)
    text = edited((tmp_path / "mine.toml").read_text(), ("./nets.py", "elsewhere/nets.py"))
    (tmp_path / "mine.toml").write_text(text)
    kit = Toolkit.from_registry(tmp_path / "mine.toml", device="cpu")
    keys.append(kit.resolve("forensic", "mine").key)
    assert keys[0] == keys[2] != keys[1]


def test_a_module_of_an_installed_package_is_named_with_dots(tmp_path):
    path = tmp_path / "mine.toml"
    name = "magdr_plugins.forensics._published:Meso4"
    told = (
        f'module = "{name}", size = 256, mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5], output = "two-logits"'
    )
    path.write_text(f'[forensic.mine]\nuse = "module"\nparams = {{ {told} }}\n[forensic.meso4]\n')
    kit = Toolkit.from_registry(path, device="cpu")
    assert torch.equal(scores(kit, X), kit.build("forensic", "meso4").score(X))


WRONG = [
    ("''", 'module is something of your own: params = { module = "FILE.py:NAME" }'),
    ("'./nets.py'", 'expected "file.py:NAME" or "package.module:NAME"'),
    ("'./nets.py:'", 'expected "file.py:NAME"'),
    ("'./nets.py:a b'", 'expected "file.py:NAME"'),
    ("'./gone.py:Means'", "Python file './gone.py' does not exist"),
    ("'./nets.py:Mean'", "'./nets.py:Mean': there is no class or function of that name"),
    ("'./nets.py:torch.nothing'", "there is no class or function of that name"),
    ("'no.such.package:Net'", "there is no Python module 'no.such.package'"),
    ("'math.sin:Net'", "there is no Python module 'math.sin'"),
    ("'./nets.py:number'", "makes a int, expected a torch.nn.Module"),
    ("'./nets.py:wants'", "missing 1 required positional argument"),
]


@pytest.mark.parametrize(("module", "words"), WRONG, ids=[case[0] for case in WRONG])
def test_what_is_no_factory_is_told_in_one_line(build, tmp_path, module, words):
    build("Means")
    path = tmp_path / "wrong.toml"
    text = module.replace("'", '"')
    path.write_text(f'[forensic.mine]\nuse = "module"\nparams = {{ module = {text} }}\n')
    with pytest.raises(MagdrError) as e:
        Toolkit.from_registry(path, device="cpu").build("forensic", "mine")
    assert words in str(e.value)
    assert "wrong.toml [forensic.mine]" in str(e.value)
    assert "\n" not in str(e.value)


def test_deviations_are_above_nought(build):
    with pytest.raises(MagdrError, match="each has to be above 0"):
        build("Means", std=[0.5, 0.0, 0.5]).build("forensic", "mine")


@pytest.mark.parametrize(
    ("name", "told", "words"),
    [
        ("two", {}, r'gives shape [3, 2], expected [3] or [3, 1] of output = "logit"'),
        ("Means", {"output": "'two-logits'"}, r"gives shape [3, 1], expected [3, 2]"),
        ("Several", {}, "gives no tensor; score_output says which to take (it gives cls, mask, logits)"),
        ("Several", {"score_output": "'class'"}, "gives no tensor 'class' (it gives cls, mask, logits)"),
        ("Listed", {"score_output": "'2'"}, "gives no tensor '2' (it gives 2 values, from 0)"),
        ("Means", {"score_output": "'cls'"}, "gives no tensor 'cls' (it gives a Tensor)"),
    ],
)
def test_an_output_that_is_not_as_told_is_the_network_s_fault(build, name, told, words):
    with pytest.raises(MagdrError) as e:
        scores(build(name, **told), X)
    assert words in re.sub(r"\[[24](, |\])", r"[3\1", str(e.value))
    assert f"./nets.py:{name}" in str(e.value)


def test_a_mask_of_another_form_is_the_network_s_fault(build):
    model = build("Several", score_output="'cls'", mask_output="'cls'").build("forensic", "mine")
    with pytest.raises(MagdrError, match="mask_output 'cls' has shape"):
        model.locate(X)
