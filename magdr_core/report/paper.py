"""What the paper printed (Chen et al., CVPR 2021, Tables 1 and 2), and which components are its rows."""

from __future__ import annotations

from dataclasses import dataclass

CW, PGD = "cw", "pgd"
TASKS = ("replacement", "editing", "reenactment")

Figures3 = tuple[float, float, float]


@dataclass(frozen=True)
class PaperRow:
    """A row of the paper's tables.

    Attributes:
        name: as the paper cites it, with what it is.
        components: names of registry components, or their labels, that are this method.
        convention: how its precision, recall and F1 must have been averaged (methods differ in Table 1).
    """

    name: str
    components: tuple[str, ...]
    convention: str = ""


_WEIGHTED, _POSITIVE = "weighted over both classes", "disrupted class"
_EITHER = "either"

SAFETYNET = PaperRow("Lu et al. (SafetyNet)", ("safetynet", "lu"), _WEIGHTED)
METZEN = PaperRow("Metzen et al.", ("metzen", "subnetwork"), _WEIGHTED)
MENG = PaperRow("Meng and Chen (MagNet)", ("magnet", "meng", "autoencoder"), _EITHER)
OTD = PaperRow("OTD", ("otd", "output-classifier"), _WEIGHTED)
NNIF = PaperRow("Cohen et al. (NNIF)", ("nnif", "cohen"), _POSITIVE)
DISTORTION = PaperRow("DD (ours in the paper)", ("distortion",), _POSITIVE)
CONSISTENCY = PaperRow("CD (ours in the paper)", ("consistency",), _POSITIVE)
MAGDR = PaperRow("MagDR", ("magdr",), _POSITIVE)

TABLE1: dict[PaperRow, dict[str, tuple[Figures3, Figures3, Figures3]]] = {
    SAFETYNET: {
        CW: ((0.48, 0.50, 0.43), (0.62, 0.57, 0.52), (0.56, 0.60, 0.56)),
        PGD: ((0.45, 0.53, 0.46), (0.66, 0.65, 0.64), (0.50, 0.55, 0.50)),
    },
    METZEN: {
        CW: ((0.52, 0.52, 0.51), (0.48, 0.46, 0.40), (0.48, 0.51, 0.44)),
        PGD: ((0.46, 0.44, 0.43), (0.50, 0.55, 0.49), (0.48, 0.47, 0.40)),
    },
    MENG: {
        CW: ((0.51, 0.51, 0.50), (0.53, 0.53, 0.52), (0.49, 0.50, 0.46)),
        PGD: ((0.56, 0.56, 0.56), (0.90, 0.89, 0.89), (0.56, 0.55, 0.55)),
    },
    OTD: {
        CW: ((0.28, 0.53, 0.36), (0.20, 0.33, 0.25), (0.60, 0.57, 0.46)),
        PGD: ((0.27, 0.52, 0.35), (0.52, 0.51, 0.50), (0.45, 0.49, 0.36)),
    },
    NNIF: {
        CW: ((0.82, 0.66, 0.73), (0.83, 0.85, 0.84), (0.85, 0.54, 0.66)),
        PGD: ((0.78, 0.62, 0.69), (0.83, 0.79, 0.81), (0.80, 0.52, 0.63)),
    },
    DISTORTION: {
        CW: ((0.84, 1.00, 0.91), (0.96, 0.96, 0.96), (0.92, 0.92, 0.92)),
        PGD: ((0.76, 1.00, 0.87), (0.99, 0.99, 0.99), (0.94, 0.94, 0.94)),
    },
    CONSISTENCY: {
        CW: ((0.87, 0.99, 0.92), (0.96, 0.96, 0.96), (0.76, 0.86, 0.81)),
        PGD: ((0.95, 0.94, 0.94), (0.98, 0.99, 0.99), (0.97, 0.78, 0.87)),
    },
    MAGDR: {
        CW: ((0.96, 1.00, 0.98), (0.96, 0.96, 0.96), (0.92, 0.92, 0.92)),
        PGD: ((0.95, 1.00, 0.97), (1.00, 1.00, 1.00), (0.97, 0.94, 0.95)),
    },
}
"""Precision, recall and F1 by attack, for the tasks in the order of `TASKS`."""

Figures4 = tuple[float, float, float, float]

TABLE2: dict[PaperRow, tuple[Figures4, Figures4]] = {
    PaperRow("Xie et al. (random resize and pad)", ("random-resize-pad", "xie")): (
        (25.59, 0.72, 32.90, 0.72),
        (257.19, 0.09, 12.86, 0.09),
    ),
    PaperRow("Prakash et al. (pixel deflection)", ("pixel-deflection", "prakash")): (
        (25.56, 0.72, 32.91, 0.73),
        (242.34, 0.08, 13.37, 0.14),
    ),
    PaperRow(
        "Meng and Chen (MagNet reformer)", ("magnet-reformer", "magnet", "meng", "reformer", "autoencoder")
    ): (
        (27.66, 0.76, 30.12, 0.67),
        (34.98, 0.68, 28.08, 0.66),
    ),
    PaperRow("Yang et al. (ME-Net)", ("me-net", "menet", "yang")): (
        (21.17, 0.81, 32.44, 0.73),
        (27.47, 0.75, 30.17, 0.74),
    ),
    PaperRow(
        "Ruiz et al. (adversarial training + blur)",
        ("adversarial-training", "adversarially-trained", "ruiz"),
    ): ((24.59, 0.75, 33.25, 0.69), (43.64, 0.69, 28.26, 0.66)),
    PaperRow("Dziugaite et al. (JPEG)", ("jpeg", "dziugaite")): (
        (17.69, 0.82, 36.11, 0.72),
        (35.25, 0.82, 30.12, 0.71),
    ),
    PaperRow("Mustafa et al. (super-resolution)", ("super-resolution", "mustafa", "wavelet-edsr", "edsr")): (
        (15.53, 0.88, 38.60, 0.75),
        (30.60, 0.86, 31.35, 0.75),
    ),
    MAGDR: ((11.40, 0.89, 39.92, 0.77), (23.93, 0.88, 33.48, 0.76)),
}
"""(I) then (O), each: "MSE", SSIM, PSNR in dB, feature similarity."""

NOTE1 = (
    "The paper's rows are averaged in different ways: those of Lu, Metzen and OTD are possible only as "
    "averages weighted over both classes, those of NNIF, DD, CD and MagDR only as figures of the disrupted "
    "class; those of Meng fit either. Compare each with our column of the same convention. The paper does "
    "not print eps, thresholds, class balance or the number of images; its networks and faces are others "
    "than ours."
)
NOTE2 = (
    'The paper\'s "MSE" is no squared error: with its PSNR it obeys PSNR + 20 log10("MSE") = 61.06 (58.96 '
    "for Meng and Yang, and but for one cell of Mustafa), so it is 4.433 times the root of the mean squared "
    "error, and our column is made the same way. Ours is the pooled PSNR, as theirs must be. The paper does "
    "not say which task, attack and images the table is of, nor what its feature similarity is: ours is "
    "another measure. Its networks and faces are others than ours."
)
