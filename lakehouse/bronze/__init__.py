"""Landing files to raw history: everything that arrived, untouched, with its provenance, exactly once.

Here: finding files, taking them, and the assets that do so; and what the steps of every layer have in common (`steps`).
Not here: reading what a record says (silver).
"""
