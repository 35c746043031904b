"""A contract in the languages of other tools; each module is one of them, a pure function from contracts to text or data.

Of a record as it arrives, for whoever delivers: `json_schema`. Of the row as silver shows it, for whoever reads: `avro`,
`spark_ddl`, `dbt_sources`; what a relation of silver has beside the contract's own columns is told by the caller, as a
`Relation`. Not here: SodaCL (`quality.sodacl`, beside the audit that compiles the same), and writing files.
"""

from lakehouse.contracts.export.shape import Relation

__all__ = ["Relation"]
