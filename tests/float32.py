"""How near float32 comes to exact values, whatever the kernel: instruction set, threads, order of sums."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def assert_float32_of(found: npt.ArrayLike, exact: npt.ArrayLike, other: npt.ArrayLike) -> None:
    """``found`` is as near the exact values as float32 comes, judged by ``other``.

    Two float32 evaluations of one formula differ from its exact value by errors of one size, and from one
    another by their sum, in an order of sums that the kernel chooses. So the error of the other evaluation,
    and not a fixed number, says what may be: 8 times its largest.

    Args:
        found: what is tested.
        exact: the same formula in float64, computed apart from abawfw.
        other: the same formula in float32, from the reference or computed apart from abawfw.
    """
    exact = np.asarray(exact)
    assert exact.dtype == np.float64
    error = float(np.abs(np.asarray(other, np.float64) - exact).max())
    assert error < 1e-4 * max(1.0, float(np.abs(exact).max())), 'no float32 evaluation of this formula'
    np.testing.assert_allclose(found, exact, rtol=0, atol=8 * error)
