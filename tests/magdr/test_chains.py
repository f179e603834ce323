"""Which chains are worth having."""

import numpy as np

from magdr_core.magdr.chains import _cover


def test_cover_takes_what_helps_most_beside_what_is_there():
    # Row 3 is the best on average, but rows 1 and 2 together are better still.
    logs = np.array([[0.0, 0.0], [-4.0, 0.0], [0.0, -4.0], [-2.5, -2.5]])
    assert _cover(logs, 1) == [0, 3]
    assert _cover(logs, 3) == [0, 3, 1, 2]
