"""Places on a face by the 468 points of MediaPipe's face mesh.

Points are `[B,468,2]` (x, y) in pixels of a picture whose left upper corner is (0, 0): the middle of the
first pixel is (.5, .5), so another size of the picture is a factor.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

POINTS = 468

# Closed lines around parts, named as the person's own right and left would be for the camera: "left" is the
# left side of the picture.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
LEFT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
RIGHT_EYE = (362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398)
LEFT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
RIGHT_BROW = (336, 296, 334, 293, 300, 276, 283, 282, 295, 285)
NOSE = (168, 417, 351, 419, 399, 420, 429, 279, 358, 294, 327, 326, 2, 97, 98, 64, 129, 49, 209, 198, 174,
        196, 122, 193)  # fmt: skip
UPPER_LIP = (
    61,
    185,
    40,
    39,
    37,
    0,
    267,
    269,
    270,
    409,
    291,
    308,
    415,
    310,
    311,
    312,
    13,
    82,
    81,
    80,
    191,
    78,
)
LOWER_LIP = (
    61,
    146,
    91,
    181,
    84,
    17,
    314,
    405,
    321,
    375,
    291,
    308,
    324,
    318,
    402,
    317,
    14,
    87,
    178,
    88,
    95,
    78,
)
MOUTH = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)

CHIN, LEFT_JAW, RIGHT_JAW = 152, 172, 397
LEFT_TEMPLE, RIGHT_TEMPLE = 127, 356
LEFT_CORNER, RIGHT_CORNER, LOWER_LIP_MIDDLE = 61, 291, 17
LEFT_CHEEK, RIGHT_CHEEK = 50, 280


def line(points: Tensor, names: Sequence[int]) -> Tensor:
    """Some of the points in order: `[B,468,2] -> [B,K,2]`."""
    return points[:, list(names)]


def eyes(points: Tensor) -> tuple[Tensor, Tensor]:
    """The middles of the left and the right eye of the picture, `[B,2]` each."""
    return line(points, LEFT_EYE).mean(1), line(points, RIGHT_EYE).mean(1)


def axes(start: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The distance of two places, `[B,1]`; the direction from one to the other and that to the right of it,
    which is downwards for a line from left to right: unit vectors `[B,2]`."""
    across = end - start
    length = across.norm(dim=1, keepdim=True).clamp_min(1e-3)
    u = across / length
    return length, u, u.flip(1) * u.new_tensor([-1.0, 1.0])
