"""Raw history to trusted tables: parse, audit the whole batch, split off violations, fold changes, one commit.

Here: what a record says and which version of a row wins. Not here: how checks are evaluated (quality) or how a table
is written (storage). `refine.refine` is the whole step; the other modules are its parts, each a pure function of
DataFrames.
"""
