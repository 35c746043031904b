"""Data contracts: what each table is, read from YAML (Open Data Contract Standard v3.1) and checked.

Here: the plain objects that the rest of the project works from (`model`), reading and validating files (`loader`,
`schema`, `vocabulary`, `application`, `scoring`), turning constraints into predicates and checks (`rules`, `checks`),
proposing a contract for a data file (`profile`), or rules for the contract of a measured table (`proposals`, `amend`),
and the commands (`cli`). Not here: anything that runs a query, knows Spark, Delta, Soda or Dagster, or decides what
happens to a record that breaks a rule.
"""
