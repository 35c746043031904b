"""Silver to gold in dbt, on pinned silver versions; then the release, and the views that readers read.

Here: the dbt project as assets, its tests as checks and the rows that break them, releases, serving. Not here: what a
model computes (the dbt project itself).
"""
