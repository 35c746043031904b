"""A small dbt project, as its manifest tells it."""

from typing import Any


def _model(name: str, layer: str, reads: list[str]) -> dict[str, Any]:
    return {
        "resource_type": "model",
        "name": name,
        "alias": name,
        "schema": layer if layer == "staging" else "gold",
        "fqn": ["lakehouse", "staging" if layer == "staging" else "marts", name],
        "description": f"What {name} is.",
        "config": {"materialized": "table", "meta": {"dagster": {"owners": ["team:analytics"]}}},
        "columns": {"customer_key": {"data_type": "string", "description": "The key."}},
        "depends_on": {"nodes": reads},
    }


def _test(kind: str | None, model: str, **other: Any) -> dict[str, Any]:
    return {
        "resource_type": "test",
        "test_metadata": {"name": kind} if kind else None,
        "attached_node": model if kind else None,
        "column_name": "customer_key" if kind else None,
        "description": "",
        "config": {"severity": "ERROR", "meta": {}},
    } | other


def manifest() -> dict[str, Any]:
    """Of a dbt project with a staging model of payments, and two marts, one of which is made of the other."""
    staging, customers, revenue = (f"model.x.{name}" for name in ("stg_payments", "dim_customers", "fct_revenue"))
    strange = "source.x.silver.strange"
    return {
        "sources": {
            "source.x.silver.stripe_payments": {"name": "stripe_payments", "source_name": "silver"},
            strange: {"name": "strange", "source_name": "silver"},
        },
        "nodes": {
            staging: _model("stg_payments", "staging", ["source.x.silver.stripe_payments"]),
            customers: _model("dim_customers", "gold", [staging]),
            revenue: _model("fct_revenue", "gold", [staging, customers]),
            "model.x.of_a_stranger": _model("of_a_stranger", "gold", [strange]),
            "test.x.unique": _test("unique", customers, name="unique_dim_customers"),
            "test.x.refers": _test("relationships", revenue, name="revenue_refers"),
            "test.x.adds_up": _test(
                None,
                "",
                name="adds_up",
                description="Sums add up.",
                config={"severity": "WARN", "meta": {"dagster": {"ref": {"name": "fct_revenue"}}}},
            ),
        },
        "child_map": {strange: ["model.x.of_a_stranger"]},
    }
