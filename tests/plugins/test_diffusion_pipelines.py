"""Pipelines of diffusers as generators: tiny ones of every mode, built from their configuration."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest
import torch

from magdr_core.components.batch import Condition
from magdr_core.errors import RegistryError
from magdr_core.functional import PARTS
from magdr_core.guards import GuardedGenerator
from tests.plugins.layouts import condition, faces, pictures, rng_of, table

needs_diffusers = pytest.mark.skipif(
    not (importlib.util.find_spec("diffusers") and importlib.util.find_spec("transformers")),
    reason="diffusers and transformers are not installed",
)

MODES = {"img2img": 4, "inpaint": 9, "pix2pix": 8}
EDITS = {"Blond_Hair": "make the hair blond", "Smiling": "let them smile"}
SETTINGS = {
    "edits": EDITS,
    "negative": "",
    "steps": 3,
    "strength": 0.7,
    "guidance": 4.0,
    "image_guidance": 1.5,
    "area": (0.25, 0.25, 0.75, 0.75),
    "size": 32,
}


class Words:
    """A tokenizer that knows no language: a number for each letter."""

    model_max_length = 12

    def __call__(self, text, **options):
        ids = [(7 * ord(letter)) % 1000 for letter in text][: self.model_max_length]
        ids += [0] * (self.model_max_length - len(ids))
        return SimpleNamespace(input_ids=torch.tensor([ids]))


@pytest.fixture(scope="module")
def parts():
    """Networks of a pipeline, but for the U-Net."""
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=[8, 16],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
    )
    config = CLIPTextConfig(
        hidden_size=16,
        intermediate_size=24,
        num_attention_heads=2,
        num_hidden_layers=1,
        vocab_size=1000,
        max_position_embeddings=16,
    )
    return {"vae": vae.eval(), "text_encoder": CLIPTextModel(config).eval()}


def pipeline(parts, mode, tokenizer):
    import diffusers
    from magdr_plugins.generators.diffusion import PIPELINES

    torch.manual_seed(1)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=16,
        in_channels=MODES[mode],
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        norm_num_groups=4,
        attention_head_dim=2,
    )
    more = {"image_encoder": None} if mode == "img2img" else {}
    return getattr(diffusers, PIPELINES[mode])(
        **parts,
        **more,
        unet=unet.eval(),
        tokenizer=tokenizer,
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@pytest.fixture(scope="module")
def editor(parts):
    """`editor(mode)`: a guarded editor that knows words."""
    made = {}

    def make(mode, **settings):
        from magdr_plugins.generators.diffusion import DiffusionEditor

        key = (mode, repr(settings))
        if key not in made:
            pipe = pipeline(parts, mode, None)
            pipe.tokenizer = Words()
            net = DiffusionEditor(pipe, mode=mode, **(SETTINGS | settings)).eval()
            made[key] = GuardedGenerator(net, "generator diffusion")
        return made[key]

    return make


def drawn(G, count=2):
    batch = faces(("Blond_Hair", "Smiling"), count)
    return G.draw(batch, rng_of(batch))


@needs_diffusers
@pytest.mark.parametrize("mode", MODES)
def test_diffusion_outputs_are_the_decorated_pipelines(editor, mode):
    """The undecorated call and our decoding give what diffusers gives by itself."""
    G = editor(mode)
    x, c = pictures(2), drawn(G)
    y = G(x, c)
    assert 0 <= y.min() < y.max() <= 1
    net = G.component
    more = {"strength": 0.7} if mode != "pix2pix" else {"image_guidance_scale": 1.5}
    if mode == "inpaint":
        mask = torch.zeros(2, 1, 32, 32)
        mask[:, :, 8:24, 8:24] = 1
        more |= {"mask_image": mask, "height": 32, "width": 32}
    texts = [EDITS[G.condition_names[i]] for i in c.values.argmax(1).tolist()]
    expected = net.pipe(
        image=x,
        prompt_embeds=torch.stack([net.embedded(text) for text in texts]),
        negative_prompt_embeds=torch.stack([net.embedded("")] * 2),
        num_inference_steps=3,
        guidance_scale=4.0,
        generator=net._generators(c),
        output_type="pt",
        **more,
    ).images
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=0)


@needs_diffusers
@pytest.mark.parametrize("mode", MODES)
def test_diffusion_gradients_reach_the_picture(editor, mode):
    """Those of inpainting are nothing where the picture is painted anew: it never sees those pixels."""
    G = editor(mode, **({"strength": 1.0} if mode == "inpaint" else {}))
    x, c = 0.1 + 0.8 * pictures(2), drawn(G)
    leaf = x.clone().requires_grad_()
    G(leaf, c).square().mean().backward()
    seen = leaf.grad.abs().sum(1) > 0
    assert leaf.grad.isfinite().all()
    assert seen.flatten(1).any(1).all()
    if mode == "inpaint":
        assert not seen[:, 9:23, 9:23].any()
    direction = leaf.grad.sign()
    ahead, behind = (G(x + s * 2e-3 * direction, c).square().mean() for s in (1, -1))
    assert ahead > behind, "a step along the gradient is a step up"
    assert not any(p.grad is not None for p in G.component.parameters())


@needs_diffusers
def test_diffusion_noise_belongs_to_the_picture_and_not_to_its_batch(editor):
    G = editor("img2img")
    x, c = pictures(3), drawn(G, 3)
    torch.manual_seed(0)
    y = G(x, c)
    torch.manual_seed(1)
    assert torch.equal(G(x, c), y)
    torch.testing.assert_close(G(x[1:2], c[1:2]), y[1:2], atol=1e-5, rtol=0)
    batch = faces(("Blond_Hair", "Smiling"), 3)
    other = type(c)(c.values, c.changed, noise=G.draw(batch, rng_of(batch, 1)).noise)
    assert other.differs(c).all()
    assert (G(x, other) - y).abs().flatten(1).amax(1).min() > 1e-3
    small = x + 1e-4
    assert (G(small.clamp(0, 1), c) - y).abs().max() < 0.05, "an attacked picture meets the same noise"


@needs_diffusers
def test_diffusion_text_takes_the_place_of_named_edits(editor):
    G = editor("pix2pix")
    x = pictures(2)
    plain = condition([[1, 0]] * 2, [[True, False]] * 2)
    as_text = G.with_text(plain, [EDITS["Blond_Hair"]] * 2)
    torch.testing.assert_close(G(x, as_text), G(x, plain), atol=1e-6, rtol=0)
    assert (G(x, G.with_text(plain, ["a zebra"] * 2)) - G(x, plain)).abs().max() > 1e-4
    nothing = condition([[0, 0]] * 2, [[False, False]] * 2)
    assert G.edited(nothing).all(), "a text may change everything"
    named = {PARTS[i] for i in G.edited(plain)[0].nonzero().flatten().tolist()}
    assert named == {"hair"}
    assert [len(one) for one in G.classes(plain)] == [2, 2]


@needs_diffusers
def test_diffusion_folder_loads_and_others_are_refused_in_one_line(parts, toolkit_from, tmp_path):
    from magdr_core.api import folder_sha256

    pipe = pipeline(parts, "img2img", None)
    pipe.save_pretrained(tmp_path / "tiny")

    def built(**params):
        given = {"model": "tiny", "mode": "img2img", "steps": 2, "size": 32, **params}
        return toolkit_from(table("generator", "diffusion", **given)).generator("g")

    G = built(digest=folder_sha256(tmp_path / "tiny"))
    state = G.component.unet.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in pipe.unet.state_dict().items())
    assert not any(p.requires_grad for p in G.component.parameters())
    with pytest.raises(Exception, match="no tokenizer, so that it takes no text"):
        G.with_text(Condition(torch.zeros(1, 0), torch.zeros(1, 0, dtype=torch.bool)), ["smile"])
    for params, said in (
        ({"mode": "pix2pix"}, r'takes 4 channels, not those of pix2pix; use mode = "img2img"'),
        ({"digest": "0" * 64}, "tiny is another pipeline: its digest is "),
        ({"model": "nowhere"}, "is no pipeline of diffusers: it has no model_index.json"),
        ({"model": ""}, "needs a pipeline's folder: model = PATH"),
        ({"area": [0.5, 0.0, 0.5, 1.0]}, "expected top, left, bottom and right"),
    ):
        with pytest.raises(RegistryError, match=said) as e:
            built(**params)
        assert "\n" not in str(e.value)


def test_diffusion_needs_its_extra_where_it_is_not_installed(toolkit_from, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "diffusers" else found(name, *more)
    )
    with pytest.raises(
        RegistryError,
        match=r"diffusion needs diffusers.*, not installed here; pip install 'magdr\[diffusion\]'",
    ):
        toolkit_from(table("generator", "diffusion", model="tiny")).generator("g")
