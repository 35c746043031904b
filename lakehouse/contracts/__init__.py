"""Data contracts: what each table is, read from YAML (Open Data Contract Standard v3.1) and checked.

Here: the plain objects that the rest of the project works from (`model`), reading and validating files (`loader`,
`odcs`, `values`, `application`, `scoring`), turning constraints into predicates and checks (`rules`, `sodacl`,
`formats`), proposing a contract for a data file (`profile`) or a table that is declared elsewhere (`declarations`), or
rules for the contract of a measured table (`proposals`, `amend`), telling versions apart (`changes`, `changelog`,
`history`), writing contracts in the languages of other tools (`export`), and the commands (`cli`; those that need more
than contracts are in `lakehouse.cli.contract`). Not here: anything that runs a query, calls Spark, Delta, Soda or
Dagster, or decides what happens to a record that breaks a rule.
"""
