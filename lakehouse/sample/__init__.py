"""A real retail year, replayed as the source systems of a shop: files in the landing area, faults and a manifest.

Here: reading the year, one module per source system that turns it into records as that system would send them,
faults injected at stated rates, the files, the manifest that says what went into them, and the calendar of the
replay's holidays. Not here: anything that
reads the landing area, knows contracts or Spark, or is needed by a shop with data of its own.
"""

from lakehouse.sample.landing import LandSummary, land

__all__ = ["LandSummary", "land"]
