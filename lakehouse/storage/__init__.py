"""The few verbs that change a Delta table, and what its history tells.

Here: where a table lives, creating it, appending, replacing, merging, restoring, pinning views, the note that every
commit carries, which errors pass by themselves. Not here: what the rows mean (bronze, silver, gold) and anything of Dagster.
"""
