"""Lakehouse: data contracts in, audited Delta tables out.

Imports point one way: settings, contracts, engine, storage, quality, bronze, silver, gold, automation,
definitions, cli. `sample` replays a retail year as source systems and knows only settings.
"""

import gc
import os

# Baselines multiply small matrices, beside a Spark that has all cores busy: there NumPy's threads wait for each other, turning
# round, many times as long as one takes for it all. It must be said before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Python looks for garbage whenever 700 objects are new. Loading Dagster and all of this makes half a million that stay, and each
# look goes through more of them: a fifth of what it takes to load the definitions.
gc.set_threshold(50_000)
