"""Figures as a person reads them: rounded, but never so that they say the opposite or a certainty that is not there."""

_MOST_DECIMALS = 4
_MINUS = "\N{MINUS SIGN}"


def figure(share: float, *thresholds: float) -> str:
    """Return a share 0..1 in per cent with one decimal.

    More decimals where rounding would put it on a threshold that it is not at; a probability that is neither 0 nor 1
    never reads as one of them.
    """
    percent = 100 * share
    if 0 < percent < 0.05:
        return "<0.1 %"
    if 99.95 <= percent < 100:
        return ">99.9 %"
    decimals = next(
        (one for one in range(1, _MOST_DECIMALS) if all(_apart(percent, 100 * each, one) for each in thresholds)), _MOST_DECIMALS
    )
    return f"{percent:.{decimals}f} %"


def _apart(percent: float, limit: float, decimals: int) -> bool:
    """Say whether the rounded figure stands on the same side of the limit as the figure itself."""
    return (round(percent, decimals) >= limit) == (percent >= limit)


def threshold(share: float) -> str:
    """Return a threshold 0..1 in per cent, with all the decimals that it was set with (at most six)."""
    return f"{round(100 * share, 6):.10g} %"


def rounded(value: float) -> str:
    """Return a length or an area with three significant digits, without an exponent."""
    return f"{float(f'{value:.3g}'):.12f}".rstrip("0").rstrip(".")


def difference(before: float, now: float, unit: str) -> str:
    """Return the signed difference of the two figures as they are written beside it, so that a reader's sum agrees."""
    decimals = max(len(rounded(one).partition(".")[2]) for one in (before, now))
    change = round(float(rounded(now)) - float(rounded(before)), decimals)
    return f"{_MINUS if change < 0 else '+'}{abs(change):.{decimals}f} {unit}"


def points(before: float, now: float) -> str:
    """Return the difference of two shares 0..1 in percentage points with its sign, of the figures as they are written."""
    change = round(round(100 * now, 1) - round(100 * before, 1), 1)
    return f"{_MINUS if change < 0 else '+'}{abs(change):.1f} points"
