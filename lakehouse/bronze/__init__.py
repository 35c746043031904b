"""Landing files to raw history: everything that arrived, untouched, with its provenance, exactly once.

Here: finding files, taking them, and the assets that do so. Not here: reading what a record says (silver).
"""
