"""Statistics of the role's figures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def share_worse(lost: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of pictures that look worse than their clean ones. `[..., n]` -> `[...]`."""
    share: NDArray[np.float64] = (lost > 0).mean(-1)
    return share
