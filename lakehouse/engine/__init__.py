"""The engine: one Spark that every process shares over Spark Connect.

Belongs here: finding Java and jars, Spark's configuration, the server process, its life (start, status, stop) and
the client session. Does not belong here: anything that knows of tables, contracts or assets. Only `resource` imports
dagster.
"""
