"""How likely a correlation is where there is no relation."""

from __future__ import annotations


def pcc_p_value(pcc: float, n: int) -> float:
    """Two-sided p-value of a Pearson correlation, as for pairs of independent normal values.

    Args:
        pcc: the correlation coefficient.
        n: pairs it was computed from; fewer than 3 are no evidence, and the value is 1.

    >>> round(pcc_p_value(0.5, 3), 4)
    0.6667
    """
    from scipy.special import betainc  # here: importing this room must stay light

    return float(betainc(n / 2 - 1, 0.5, 1 - pcc * pcc)) if n >= 3 else 1.0
