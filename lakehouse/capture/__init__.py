"""Capture: the changes of live Postgres databases into landing, by Debezium. An extra: `pip install lakehouse[cdc]`.

Belongs here: which tables contracts ask to capture, what must be true of the database first, the Debezium engine, how
its events become durable files, and the life of a capture (start, status, stop). Does not belong here: what becomes of
an event once it has landed; anything that knows Spark or Dagster. Only `debezium` knows Java, only `postgres` queries.
"""
