"""What a contract demands of data, and whether the data does: rule, SodaCL, audit, results, score; and what a table holds,
whatever its contract says (`table_profile`).

One rule is one predicate: the quarantine split and the audit use the same Spark expression. What no contract says, a
table's own past does: days are profiled (`profiling`, by one query; `profiles`, plain data), and judged by what days like
them were (`anomalies`, by the statistics of `baselines`), unless they are special (`calendar`). Not here: what becomes of
a record that breaks a rule (silver), and checks of dbt models (the dbt project).
"""
