"""`[speed]`: faster passes that agree with the plain ones, in results of their own, and off by default."""

from pathlib import Path

import pytest
import torch
from magdr_plugins.attacks.pgd import PGD
from magdr_plugins.generators.stargan import StarGAN

from magdr_core.bench.run import Bench
from magdr_core.components.batch import Condition
from magdr_core.components.objective import DisruptionObjective
from magdr_core.components.rng import SampleRng
from magdr_core.errors import RegistryError
from magdr_core.guards import GuardedGenerator
from magdr_core.guards.accelerate import WINOGRAD_FROM, Speed, faster
from magdr_core.guards.output_cache import OutputMemory
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit

CPU = torch.device("cpu")


def stargan(width=16, blocks=2, size=32):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return StarGAN(("a", "b"), width=width, blocks=blocks, size=size).eval().requires_grad_(False)


def images(n, size=32, seed=0):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def condition(n):
    values = torch.tensor([[1.0, 0.0]]).repeat(n, 1)
    return Condition(values, values > 0)


def gradient(forward, x):
    objective = DisruptionObjective(forward, x, condition(len(x)), reference=torch.zeros_like(x))
    return objective.gradient(x)[1]


def test_without_settings_the_component_itself_runs():
    net = stargan()
    assert faster(net, Speed(), CPU) is net
    assert Speed().changes == {}


# Of outputs in [0,1]: float32 settings stay within a tenth of an 8-bit level, bfloat16 within four.
@pytest.mark.parametrize(
    ("settings", "width", "tolerance"),
    [
        ({"winograd": True}, WINOGRAD_FROM // 4, 1e-4),
        ({"columns": True}, 16, 1e-4),
        ({"columns": True, "winograd": True}, WINOGRAD_FROM // 4, 1e-4),
        ({"dtype": "bfloat16", "columns": True}, 16, 4 / 255),
        ({"channels_last": True}, 16, 1e-4),
        ({"dtype": "bfloat16"}, 16, 4 / 255),
        ({"dtype": "bfloat16", "channels_last": True}, 16, 4 / 255),
    ],
)
def test_a_faster_generator_agrees_with_the_plain_one(settings, width, tolerance):
    net, x = stargan(width), images(2)
    fast = faster(net, Speed(**settings), CPU)
    with torch.no_grad():
        plain, got = net(x, condition(2)), fast(x, condition(2))
    assert got.dtype == torch.float32
    assert got.is_contiguous()
    assert 0 < (got - plain).abs().max() < tolerance
    assert (got - plain).abs().mean() < tolerance / 4
    agreement = torch.cosine_similarity(gradient(fast, x).flatten(), gradient(net, x).flatten(), dim=0)
    assert agreement > (0.9999 if "dtype" not in settings else 0.95)


def test_the_plain_network_stays_as_it_is():
    net, x = stargan(WINOGRAD_FROM // 4), images(1)
    before = [type(m) for m in net.modules()], net(x, condition(1))
    faster(net, Speed(winograd=True, channels_last=True), CPU)
    assert [type(m) for m in net.modules()] == before[0]
    assert torch.equal(net(x, condition(1)), before[1])
    assert all(p.is_contiguous() for p in net.parameters())


def test_winograd_leaves_narrow_layers_and_odd_sides_alone():
    narrow = stargan()
    with torch.no_grad():
        x = images(2)
        assert torch.equal(
            faster(narrow, Speed(winograd=True), CPU)(x, condition(2)), narrow(x, condition(2))
        )
        wide, x = stargan(WINOGRAD_FROM // 4), images(1, 24)  # sides of 6 where the channels are wide
        assert torch.equal(faster(wide, Speed(winograd=True), CPU)(x, condition(1)), wide(x, condition(1)))


def test_columns_keep_biases_and_paddings():
    class Head(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = torch.nn.Conv2d(3, 8, 5, padding=(2, 1))
            self.head = torch.nn.Sequential(torch.nn.ReflectionPad2d((3, 4, 3, 3)), torch.nn.Conv2d(8, 3, 7))

        def forward(self, x, c):
            return self.head(self.body(x)).sigmoid()

    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        net, x = Head(), images(2)
        found, wanted = faster(net, Speed(columns=True), CPU)(x, condition(2)), net(x, condition(2))
    assert 0 < (found - wanted).abs().max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [{"compile": True}, {"compile": True, "winograd": True}, {"compile": True, "columns": True}]
)
def test_a_compiled_generator_agrees_with_the_plain_one(settings):
    width = WINOGRAD_FROM // 4
    net, x = stargan(width, blocks=1), images(2)
    fast = faster(net, Speed(**settings), CPU)
    with torch.no_grad():
        assert (fast(x, condition(2)) - net(x, condition(2))).abs().max() < 1e-4
    agreement = torch.cosine_similarity(gradient(fast, x).flatten(), gradient(net, x).flatten(), dim=0)
    assert agreement > 0.9999


@torch.no_grad()
def test_plain_passes_know_nothing_of_faster_ones():
    net, x = stargan(), images(2)
    G = GuardedGenerator(net, "net")
    G.forward = faster(net, Speed(dtype="bfloat16"), CPU)
    G.memory = OutputMemory(2**20)
    fast = G(x, condition(2))
    with G.plain():
        assert torch.equal(G(x, condition(2)), net(x, condition(2)))
    assert torch.equal(G(x, condition(2)), fast)
    assert not torch.equal(fast, net(x, condition(2)))


SHIPPED = '\n[speed]\ndtype = "bfloat16"\n'


def test_bfloat16_gives_the_same_verdicts_with_the_shipped_calibration():
    toolkit = Toolkit.from_registry(device="cpu")
    fast = toolkit.extended(SHIPPED)
    faces = toolkit.build("dataset", "faces").split("test")[list(range(4))].images
    noisy = (faces + 0.03 * torch.randn(faces.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    x = torch.cat([faces, noisy])
    plain, found = (
        t.magdr("editing", photographs=False, cache="no-such-folder").inspect(x, edits={"Eyeglasses": 1})
        for t in (toolkit, fast)
    )
    assert not torch.equal(found.score, plain.score)
    assert torch.equal(found.flagged, plain.flagged)
    assert (found.score - plain.score).abs().max() < 0.1 * plain.score.std()


def test_a_calibration_does_not_depend_on_speed():
    toolkit = Toolkit.from_registry(device="cpu")
    one, other = toolkit, toolkit.extended(SHIPPED)
    keys = {t.calibrator("editing", "faces", store=None).key("detector", "magdr") for t in (one, other)}
    assert len(keys) == 1


def test_results_of_another_speed_are_computed_anew(tmp_path):
    text = (Path(__file__).parents[2] / "benchmarks/registries/smoke.toml").read_text(encoding="utf-8")
    text += '\n[profile.least]\nsamples = 1\nattacks = ["pgd"]\n'

    def computed(extra=""):
        toolkit = Toolkit(parse_registry(text + extra, tmp_path / "r.toml"), device="cpu")
        bench = Bench(toolkit, "least", out=tmp_path / "out", cache=tmp_path / "cache", report=lambda m: None)
        return bench.run().computed

    assert computed() > 0
    assert computed() == 0
    assert computed(SHIPPED) > 0
    assert computed(SHIPPED) == 0


def test_a_table_that_cannot_be_is_refused(tmp_path):
    for table, message in (
        ('dtype = "float16"', "dtype"),
        ("fast = true", "no key 'fast'"),
        ('winograd = true\ndtype = "bfloat16"', "winograd computes in float32"),
    ):
        with pytest.raises(RegistryError, match=message):
            parse_registry(f"[speed]\n{table}", tmp_path / "r.toml")


def test_an_attack_loop_never_reads_a_value_back():
    """Tensors on the meta device have no values: whatever waits for one fails."""
    net = stargan().to("meta")
    G = GuardedGenerator(net, "net")
    x = torch.empty(2, 3, 32, 32, device="meta")
    values = torch.empty(2, 2, device="meta")
    c = Condition(values, values > 0)
    objective = DisruptionObjective(G, x, c, reference=x)
    objective.evaluate = lambda x: (x.flatten(1).mean(1),) * 3  # the one look after the loop
    rng = SampleRng(0, "pgd", ["a", "b"], device="meta")
    assert PGD(steps=3)(x, objective, rng=rng).shape == x.shape
    assert G.passes == 2 * 3


@pytest.mark.cuda
@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [({"channels_last": True}, 1e-3), ({"dtype": "bfloat16"}, 4 / 255), ({"compile": True}, 1e-3)],
)
def test_a_faster_generator_agrees_with_the_plain_one_on_cuda(settings, tolerance):
    net = stargan().cuda()
    x, c = images(2).cuda(), condition(2).to("cuda")
    fast = faster(net, Speed(**settings), torch.device("cuda"))
    with torch.no_grad():
        assert (fast(x, c) - net(x, c)).abs().max() < tolerance


@pytest.mark.cuda
def test_an_attack_loop_never_waits_for_the_gpu():
    G = GuardedGenerator(stargan().cuda(), "net")
    x, c = images(2).cuda(), condition(2).to("cuda")
    objective = DisruptionObjective(G, x, c)
    start = x.clone()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            start = start + objective.gradient(start)[1].sign() / 255
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert start.isfinite().all()
