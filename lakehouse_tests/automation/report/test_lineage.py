"""The lineage as contracts and dbt tell it."""

from lakehouse.automation.report.lineage import graph, readers
from lakehouse.contracts.model import Contract
from lakehouse_tests.automation.report.project import manifest


def test_a_table_is_between_landing_and_what_is_made_of_it(contracts: dict[str, Contract]) -> None:
    whole = graph(contracts.values(), manifest())
    around = whole.around("silver.stripe_payments")
    assert {node.name for node in around.nodes.values()} == {
        "stripe/payments", "stripe_payments", "stg_payments", "dim_customers", "fct_revenue",
    }  # fmt: skip
    depths = around.depths()
    assert depths["landing.stripe_payments"] == 0 and depths["model.x.fct_revenue"] == 5
    assert whole.around("bronze.web_events").nodes.keys() == {
        "landing.web_events",
        "bronze.web_events",
        "silver.web_events",
    }
    assert "silver.shopify_order_lines" in whole.around("silver.shopify_orders").nodes
    assert "model.x.of_a_stranger" not in whole.nodes


def test_a_column_is_followed_to_gold_through_staging_and_child_views(contracts: dict[str, Contract]) -> None:
    project = manifest()
    lines = "source.x.silver.shopify_order_lines"
    project["sources"][lines] = {"name": "shopify_order_lines", "source_name": "silver"}
    staging, customers = "model.x.stg_payments", "model.x.dim_customers"
    traced = {
        staging: {"amount": [("source.x.silver.stripe_payments", "amount")], "order_id": [(lines, "order_id")],
                  "quantity": [(lines, "quantity")], "of_a_stranger": [("source.x.silver.strange", "a")]},
        customers: {"total": [(staging, "amount"), (staging, "quantity")], "orders": [(staging, "order_id")],
                    "strange": [(staging, "of_a_stranger")], "unknown": [(staging, "never_traced")]},
    }  # fmt: skip
    assert readers(contracts, project, traced) == {
        ("stripe_payments", "amount"): ("dim_customers.total",),
        ("shopify_orders", "line_items"): ("dim_customers.total",),
        ("shopify_orders", "order_id"): ("dim_customers.orders",),
    }
    assert readers(contracts, {}, {}) == {}
