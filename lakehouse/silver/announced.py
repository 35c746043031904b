"""What the records of a batch say beside their rows: truncates, and that a row moved to another key."""

from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from lakehouse.contracts.model import Contract
from lakehouse.silver import horizon
from lakehouse.silver.fold import DELETED, DUPLICATE, NOOP
from lakehouse.silver.parse import NOTHING, TRUNCATE, sequence_of, sequence_texts


@dataclass(frozen=True)
class Announced:
    """What a batch's records say beside their rows."""

    truncates: dict[tuple[str, ...], str]
    """Every truncate that is known: the texts of its sequence → its arrival day."""
    new: frozenset[tuple[str, ...]]
    """Those that this batch brought."""
    counts: dict[str, int]
    """The records about no row, by disposition."""
    has_moves: bool
    """Whether a row moves to another key."""

    def frame(self, spark: SparkSession, contract: Contract) -> DataFrame:
        """As `truncate_deletes` takes them."""
        rows = ", ".join(
            f"({sequence_of(contract, texts)}, date'{day}', {str(texts in self.new).lower()})"
            for texts, day in self.truncates.items()
        )
        return spark.sql(f"select * from values {rows} as truncates(_sequence, _arrived_on, _is_new)")

    def remembered(self, contract: Contract, moved: dict[str, Any]) -> list[list[Any]]:
        """The truncates as the next batch's `previous` note has them, less those that nothing older can follow."""
        known = [[list(texts), day] for texts, day in sorted(self.truncates.items())]
        return [item for item in known if not horizon.is_settled(contract, item[0][0], moved.get("floor"))]


def announced_by(parsed: DataFrame, contract: Contract, previous: dict[str, Any]) -> Announced:
    known = {tuple(texts): day for texts, day in previous.get("truncates", ())}
    if contract.delivery != "changes" and not contract.truncate_when:
        return Announced(known, frozenset(), {}, False)
    moves = "_old_key is not null" if contract.delivery == "changes" else "false"
    row = (
        parsed.where(f"_refused is null and (_without_row is not null or {moves})")
        .selectExpr(
            f"collect_list(if(_without_row = '{TRUNCATE}', "
            f"struct({sequence_texts(contract)} as texts, cast(_arrived_on as string) as day), null)) as truncates",
            f"count_if(_without_row = '{NOTHING}') as nothing",
            f"coalesce(bool_or({moves}), false) as has_moves",
        )
        .first()
    )
    assert row is not None
    found: dict[tuple[str, ...], str] = {}
    for truncate in sorted(row["truncates"], key=lambda truncate: truncate["day"], reverse=True):
        found[tuple(truncate["texts"])] = truncate["day"]
    new = found.keys() - known.keys()
    counts = {DELETED: len(new), DUPLICATE: len(row["truncates"]) - len(new), NOOP: int(row["nothing"])}
    return Announced({**found, **known}, frozenset(new), counts, bool(row["has_moves"]))
