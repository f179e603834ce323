"""A small pixel diffusion model as a denoiser: the perturbation is taken for noise, and none is added.

The model is EDM's (Karras et al., NeurIPS 2022, arXiv 2206.00364). Without added noise the perturbation is
taken for the noise, as Anti-disrupt (IEEE Access 2024; github.com/seclab-yonsei/Anti-disrupt) does, which
starts its chain on the received picture at t = 10: deterministic, cheap, and no obstacle to an attack that
knows of it. The defense `diffusion-purifier` is the same model with added noise.

The gradient is exact: nothing is detached, and steps are computed again on the way back.
"""

from __future__ import annotations

from torch import Tensor

from magdr_core.api import (
    RestorationSpec,
    Weights,
    hookimpl,
    load_state,
)
from magdr_core.functional import in_pieces

from ..networks.edm import Denoiser, Sigma, Steps, Width, as_picture, reverse

MAGDR_API = 1


class EDM(Denoiser):
    """`[B,3,H,W]` in [0,1] -> same, by the reverse ODE from the received picture; no noise is added.

    Args:
        width: channels of the first level.
        sigma: noise level that is assumed, in [0,1] units.
        steps: passes of the network; 1 is a plain denoiser.
    """

    def __init__(self, width: int, *, sigma: float = 0.1, steps: int = 1) -> None:
        super().__init__(width)
        self.sigma, self.steps = sigma, steps

    def forward(self, x: Tensor) -> Tensor:
        def piece(i: slice | list[int]) -> Tensor:
            return as_picture(reverse(self.denoise, 2 * x[i] - 1, 2 * self.sigma, self.steps))

        return in_pieces(piece, x)


def edm(
    *,
    weights: Weights = "builtin:diffusion-faces64",
    sigma: Sigma = 0.1,
    steps: Steps = 1,
    width: Width = 36,
) -> EDM:
    """A diffusion model as a denoiser: the perturbation is taken for noise of level `sigma`, none is added.

    `[B,3,H,W]` -> same. `steps` are passes of the network along the reverse ODE.

    Args:
        weights: weight file of the diffusion model.
        sigma: noise level that the perturbation is taken for, its standard deviation in [0,1] units.
        steps: passes of the network along the reverse path.
        width: channels of the first level, as in the weight file.
    """
    net = EDM(width, sigma=sigma, steps=steps)
    load_state(net, weights)
    return net.eval()


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    return [
        RestorationSpec(
            name="edm",
            build=edm,
            stage="denoise",
            grid={"sigma": [0.025, 0.05, 0.1]},
            gradient="exact",
            cite="Karras et al., Elucidating the Design Space of Diffusion Models (EDM), NeurIPS 2022",
        )
    ]
