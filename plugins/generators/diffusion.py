"""Latent diffusion editors of the `diffusers` library: img2img, inpainting, and InstructPix2Pix.

Rombach et al., Latent Diffusion, CVPR 2022 (arXiv 2112.10752); Meng et al., SDEdit, ICLR 2022 (arXiv
2108.01073); Brooks et al., InstructPix2Pix, CVPR 2023 (arXiv 2211.09800). A pipeline's call is decorated so
that it keeps no graph; the function below it does, so gradients are those of the whole edit, all steps of it.
Outputs are decoded here, from the latents that the pipeline ends with. What is drawn is drawn by a key in
each picture's condition: the same for a picture and for its attacked version.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import (
    AnyCondition,
    Batch,
    CodedCondition,
    Condition,
    DataError,
    Field,
    FromRegistry,
    GeneratorSpec,
    SampleRng,
    WeightsError,
    code_of,
    folder_sha256,
    hookimpl,
)
from magdr_core.functional import PARTS, clamp_inclusive

from ._regions import table_of
from .stargan import TARGETS

MAGDR_API = 1

Mode = Literal["img2img", "inpaint", "pix2pix"]

PIPELINES: dict[Mode, str] = {
    "img2img": "StableDiffusionImg2ImgPipeline",
    "inpaint": "StableDiffusionInpaintPipeline",
    "pix2pix": "StableDiffusionInstructPix2PixPipeline",
}

CHANNELS: dict[Mode, tuple[int, ...]] = {"img2img": (4,), "inpaint": (9, 4), "pix2pix": (8,)}
"""Channels that a mode's U-Net sees: latents, with a mask and the rest's latents, with the picture's."""


FILES = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    *("text_encoder/config.json", "text_encoder/model.safetensors"),
    *("tokenizer/merges.txt", "tokenizer/special_tokens_map.json"),
    *("tokenizer/tokenizer_config.json", "tokenizer/vocab.json"),
    *("unet/config.json", "unet/diffusion_pytorch_model.safetensors"),
    *("vae/config.json", "vae/diffusion_pytorch_model.safetensors"),
)
"""What such a pipeline is loaded from, of all that its repository on the hub holds."""


@dataclass(frozen=True, eq=False)
class Prompted(CodedCondition):
    """Named edits or a text, and the noise of each picture.

    Attributes:
        code: `[B,T,D]`, the embedded text; None: that of the edits.
        noise: `[B,2]` int64, what the noise is drawn by; None is one fixed key.
    """

    noise: Tensor | None = None

    def differs(self, other: Self) -> Tensor:
        """Bool `[B]`: where values, text or noise are others."""
        told = super().differs(other)
        if self.noise is None or other.noise is None:
            return told if self.noise is other.noise else torch.ones_like(told)
        return told | (self.noise != other.noise).any(1)


class DiffusionEditor(nn.Module):
    """An image-to-image pipeline as a generator.

    Args:
        pipe: a diffusers pipeline of the mode.
        edits: by condition name what is asked for in words; several at once are joined by commas.
        steps: of denoising; `strength` is the share of them that img2img and inpainting take.
        guidance: of the text, in units of classifier-free guidance.
        image_guidance: of the picture, for pix2pix.
        area: top, left, bottom and right, in shares of the side, of what inpainting paints anew.
        size: native side; any multiple of the encoder's reduction (8) works.
    """

    def __init__(
        self,
        pipe: Any,
        *,
        mode: Mode,
        edits: Mapping[str, str],
        negative: str,
        steps: int,
        strength: float,
        guidance: float,
        image_guidance: float,
        area: tuple[float, float, float, float],
        size: int,
    ) -> None:
        super().__init__()
        self.size, self.mode = size, mode
        self.condition_names = tuple(edits)
        self.edits, self.negative = dict(edits), negative
        self.settings: dict[str, Any] = {"num_inference_steps": steps, "guidance_scale": guidance}
        if mode == "pix2pix":
            self.settings["image_guidance_scale"] = image_guidance
        else:
            self.settings["strength"] = strength
        self.area = area
        # The pipeline's own modules, which core freezes and moves.
        self.unet, self.vae, self.text_encoder = pipe.unet, pipe.vae, pipe.text_encoder
        pipe.set_progress_bar_config(disable=True)
        self._pipe = (pipe,)  # no module
        self._embedded: dict[str, Tensor] = {}
        targets = table_of([TARGETS.get(name, PARTS) for name in edits])
        self.register_buffer("targets", targets, persistent=False)

    @property
    def pipe(self) -> Any:
        return self._pipe[0]

    @torch.no_grad()
    def embedded(self, text: str) -> Tensor:
        """A text as the U-Net takes it, `[T,D]`."""
        if text not in self._embedded:
            tokenizer = self.pipe.tokenizer
            if tokenizer is None:
                raise DataError("the pipeline has no tokenizer, so that it takes no text")
            most = tokenizer.model_max_length
            tokens = tokenizer(
                text, padding="max_length", max_length=most, truncation=True, return_tensors="pt"
            )
            device = next(self.text_encoder.parameters()).device
            self._embedded[text] = self.text_encoder(tokens.input_ids.to(device))[0][0]
        return self._embedded[text].to(next(self.unet.parameters()).device)

    def _prompts(self, c: Condition) -> Tensor:
        """`[B,T,D]`: of the code where there is one, else of the edits that are asked for."""
        code = code_of(c)
        if code is not None:
            return code.to(next(self.unet.parameters()).device)
        return torch.stack(
            [self.embedded(self._asked(row)) for row in (c.changed & (c.values > 0.5)).tolist()]
        )

    def _asked(self, row: Sequence[bool]) -> str:
        return ", ".join(self.edits[name] for name, on in zip(self.condition_names, row, strict=True) if on)

    def _generators(self, c: Condition) -> list[torch.Generator]:
        noise = c.noise if isinstance(c, Prompted) else None
        keys = [[0, 0]] * len(c) if noise is None else noise.tolist()
        # On the CPU whatever the device: the same noise everywhere.
        return [torch.Generator().manual_seed((a & 0xFFFFFFFF) << 31 ^ b & 0x7FFFFFFF) for a, b in keys]

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        multiple = self.pipe.vae_scale_factor
        if x.shape[2] % multiple or x.shape[3] % multiple:
            raise DataError(
                f"the editor takes sides that are multiples of {multiple}, got {tuple(x.shape[2:])}"
            )
        prompts = self._prompts(c)
        given: dict[str, Any] = dict(self.settings)
        if self.mode == "inpaint":
            given |= {"mask_image": self._mask(x), "height": x.shape[2], "width": x.shape[3]}
        # What `no_grad` decorates; the decorated call has no gradient (huggingface/diffusers #529, #12672).
        call: Any = inspect.unwrap(type(self.pipe).__call__)
        latents = call(
            self.pipe,
            image=clamp_inclusive(x),  # one number below 0, and all would pass for pictures in [-1,1]
            prompt_embeds=prompts,
            negative_prompt_embeds=self.embedded(self.negative).expand_as(prompts),
            generator=self._generators(c),
            output_type="latent",
            **given,
        ).images
        decoded = self.vae.decode(latents / self.vae.config.scaling_factor, return_dict=False)[0]
        return clamp_inclusive((decoded + 1) / 2)

    def _mask(self, x: Tensor) -> Tensor:
        """1 where the picture is painted anew, `[B,1,H,W]`."""
        height, width = x.shape[2:]
        top, left, bottom, right = self.area
        mask = x.new_zeros(len(x), 1, height, width)
        mask[
            :, :, round(top * height) : round(bottom * height), round(left * width) : round(right * width)
        ] = 1
        return mask

    def edited(self, c: Condition) -> Tensor:
        """Bool `[B,N]`: the parts of the edits that are asked for; of a text of one's own, all parts."""
        targets = self.targets
        assert isinstance(targets, Tensor)
        asked = c.changed & (c.values > 0.5)
        if not self.condition_names:
            return torch.ones(len(c), len(PARTS), dtype=torch.bool, device=targets.device)
        parts = (asked[:, :, None] & targets).any(1)
        return parts | ~asked.any(1, keepdim=True)

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        """One of the edits per image that it does not show already, each equally likely, and its noise."""
        if not self.condition_names:
            raise DataError(
                'the diffusion editor draws from its edits: name some, edits = { NAME = "words" }'
            )
        wish = rng.uniform(len(self.condition_names))
        for i, name in enumerate(self.condition_names):
            if name in batch.attributes:
                wish[:, i] -= (batch.attributes[name] > 0.5).float()
        asked = F.one_hot(wish.argmax(1), wish.shape[1]).bool()
        return Prompted(asked.float(), asked, noise=rng.bits(2))

    def with_text(self, c: Condition, texts: Sequence[str]) -> Condition:
        """The conditions with these texts in place of the named edits, one for each."""
        noise = c.noise if isinstance(c, Prompted) else None
        code = torch.stack([self.embedded(text) for text in texts])
        return Prompted(c.values, c.changed, c.oracle_masks, code.to(c.values.device), noise)

    def classes(self, c: AnyCondition) -> list[AnyCondition]:
        """Each edit alone, with the same noise, for the same faces."""
        assert isinstance(c, Condition)
        found: list[AnyCondition] = []
        for i in range(len(self.condition_names)):
            asked = torch.zeros_like(c.changed)
            asked[:, i] = True
            more = {"noise": c.noise} if isinstance(c, Prompted) else {}
            found.append(type(c)(asked.float(), asked, **more))
        return found


def loaded(folder: Path, mode: Mode) -> Any:
    """A pipeline of a folder that `save_pretrained` wrote; nothing is fetched, no pickle is read.

    Raises:
        DataError: there is no such folder.
        WeightsError: it cannot be loaded, or is of another mode.
    """
    if not (folder / "model_index.json").is_file():
        raise DataError(f"{str(folder)!r} is no pipeline of diffusers: it has no model_index.json")
    import diffusers

    without: dict[str, Any] = {
        "safety_checker": None,
        "requires_safety_checker": False,
        "feature_extractor": None,
    }
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        if not (index.get("tokenizer") or [None])[0]:
            without["tokenizer"] = None
        pipe = getattr(diffusers, PIPELINES[mode]).from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, **without
        )
    except Exception as e:
        reason = " ".join(str(e).split()) or type(e).__name__
        raise WeightsError(f"{folder.name} cannot be loaded as {PIPELINES[mode]}: {reason[:200]}") from e
    channels = pipe.unet.config.in_channels
    if channels not in CHANNELS[mode]:
        right = [name for name, known in CHANNELS.items() if channels == known[0]]
        hint = f'; use mode = "{right[0]}"' if right else ""
        raise WeightsError(f"{folder.name}: its U-Net takes {channels} channels, not those of {mode}{hint}")
    return pipe


def diffusion(
    *,
    model: Annotated[str, FromRegistry(hub=FILES)] = "",
    mode: Mode = "pix2pix",
    edits: dict[str, str] | None = None,
    negative: str = "",
    steps: Annotated[int, Field(ge=1, le=1000)] = 20,
    strength: Annotated[float, Field(gt=0, le=1)] = 0.8,
    guidance: Annotated[float, Field(ge=1, le=30)] = 7.5,
    image_guidance: Annotated[float, Field(ge=1, le=30)] = 1.5,
    area: tuple[float, float, float, float] = (0.25, 0.2, 0.9, 0.8),
    checkpointing: bool = True,
    digest: str = "",
    size: Annotated[int, Field(ge=16, le=1024, multiple_of=8)] = 512,
) -> DiffusionEditor:
    """Editing in words by a diffusers pipeline (img2img, inpainting, InstructPix2Pix) of a folder.

    Args:
        model: folder of the pipeline, as `save_pretrained` writes it; or `hf://ORG/NAME@REVISION#sha256=HEX`,
            one of the hub, of which only the files that the hash is of are fetched.
        mode: kind of pipeline, which the U-Net has to be made for.
        edits: what is asked for in words, by condition name.
        negative: what is not wanted, in words.
        steps: steps of denoising.
        strength: share of the steps that img2img and inpainting take; at 1 inpainting begins with noise.
        guidance: weight of the text, in units of classifier-free guidance; at 1 there is none.
        image_guidance: weight of the picture, of pix2pix.
        area: top, left, bottom and right of what inpainting paints anew, in shares of the side.
        checkpointing: whether gradients compute activations of the U-Net again in place of keeping them.
        digest: sha256 of the folder's files, which has to be right where it is given.
        size: native side of the pictures, in pixels.
    """
    if not model:
        raise DataError("the diffusion editor needs a pipeline's folder: model = PATH")
    folder = Path(model)
    pipe = loaded(folder, mode)
    if digest and (found := folder_sha256(folder)) != digest.lower():
        raise WeightsError(f"{folder.name} is another pipeline: its digest is {found}")
    if not (0 <= area[0] < area[2] <= 1 and 0 <= area[1] < area[3] <= 1):
        raise DataError(f"area = {list(area)}: expected top, left, bottom and right in shares of the side")
    net = DiffusionEditor(
        pipe,
        mode=mode,
        edits=edits or {},
        negative=negative,
        steps=steps,
        strength=strength,
        guidance=guidance,
        image_guidance=image_guidance,
        area=area,
        size=size,
    )
    if checkpointing:
        pipe.unet.enable_gradient_checkpointing()
    return net.eval()


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="diffusion",
            build=diffusion,
            cite="Rombach et al., Latent Diffusion, CVPR 2022; Brooks et al., InstructPix2Pix, CVPR 2023",
            tags=("editing",),
            requires=("diffusers", "transformers"),
            extra="magdr[diffusion]",
        )
    ]
