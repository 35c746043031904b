"""What Spark, Delta and Hadoop do beside the work on small data, and the engine spares them: one thing a module.

Each has an `install(spark)`, which changes the JVM by py4j before its first query, and raises where it does not know
what it finds; `server.quicken` calls them all, and the engine runs without those that raise, slower. What is done must stay
what it was: rows, errors, files. What a setting of Spark's does is in `config`; what keeps the names of tables is `kept_catalog`.
"""
