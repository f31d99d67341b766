"""What all figures are made with; light, because each measuring process begins with it."""

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def percentile(values: Iterable[float], share: float) -> float:
    """The value that so large a share of them does not exceed; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
