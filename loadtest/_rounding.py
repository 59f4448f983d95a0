"""Response times as locust keeps them: three significant digits instead of whole milliseconds.

Locust counts response times in a table whose keys are rounded, by default to whole milliseconds
below 100 ms. Two serializers that differ by a tenth of a millisecond are the same to it. The
function that rounds is a documented hook, `locust.stats.bucket_response_time`; every process of a
run has to replace it, workers too.
"""

from __future__ import annotations

import math
from typing import Final

DIGITS: Final = 3
LEAST_MS: Final = 0.001
MOST_MS: Final = 3_600_000.0
KEYS: Final = 900 * math.ceil(math.log10(MOST_MS / LEAST_MS)) + 1
"""No table has more keys than this: 900 to a decade."""

PERCENTILES: Final = (0.5, 0.95, 0.99)


def three_digits(response_time_ms: float) -> float:
    """A response time with three significant digits, from a microsecond to an hour."""
    bounded = min(max(response_time_ms, LEAST_MS), MOST_MS)
    return round(bounded, DIGITS - 1 - math.floor(math.log10(bounded)))


def install() -> None:
    """Make locust keep and show what this module is about, in this process."""
    import locust.stats

    # Annotated as returning int, documented as free to return any number.
    locust.stats.bucket_response_time = three_digits  # type: ignore[assignment]
    locust.stats.PERCENTILES_TO_CHART = list(PERCENTILES)
    locust.stats.PERCENTILES_TO_STATISTICS = list(PERCENTILES)
