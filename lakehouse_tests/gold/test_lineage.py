"""Lineage of columns, told from compiled SQL."""

from pathlib import Path

from lakehouse.gold.lineage import column_lineage, traced_before
from lakehouse.gold.project import PINNED

_SOURCE = "source.x.silver.orders"
_NODE = {
    "unique_id": "model.x.stg_orders",
    "depends_on": {"nodes": [_SOURCE]},
    "columns": {"order_id": {}, "total": {}, "lost": {}},
}
_MANIFEST = {"nodes": {}, "sources": {_SOURCE: {"schema": "silver", "name": "orders", "identifier": "orders"}}}


def test_a_column_is_traced_to_silver_whether_the_build_reads_pinned_versions_or_not(tmp_path: Path) -> None:
    for schema in ("silver", PINNED):
        cache = tmp_path / schema / "lineage.json"
        sql = f"with o as (select * from {schema}.orders) select id as order_id, price + tax as total from o"
        traced = column_lineage(_NODE, _MANIFEST, {_SOURCE: ["id", "price", "tax"]}, sql, cache)
        assert traced["order_id"] == [(_SOURCE, "id")], schema
        assert traced["total"] == [(_SOURCE, "price"), (_SOURCE, "tax")], schema
        assert traced["lost"] == []
        assert traced_before(cache) == {"model.x.stg_orders": traced}
    assert traced_before(tmp_path / "none.json") == {}


def test_what_was_traced_is_traced_again_when_its_source_has_other_columns(tmp_path: Path) -> None:
    cache = tmp_path / "lineage.json"
    sql = "select * from silver.orders"
    for columns, expected in ((["order_id"], []), (["order_id", "total"], [(_SOURCE, "total")])):
        assert column_lineage(_NODE, _MANIFEST, {_SOURCE: columns}, sql, cache)["total"] == expected
