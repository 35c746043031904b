"""Which views of silver are made anew before a build."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.gold import release as releases
from lakehouse.settings import settings


class Catalog:
    """Of a session, what pinning needs: it keeps the properties of the views that are made."""

    def __init__(self) -> None:
        self.views: dict[str, str] = {}
        self.catalog = SimpleNamespace(databaseExists=lambda _: bool(self.views))

    def sql(self, text: str) -> Any:
        if text.startswith("create or replace view"):
            self.views[text.split()[4].split(".")[1]] = text.splitlines()[1].split("'")[3]
        listed = [
            {"tableName": name, "information": f"Type: VIEW\nTable Properties: [{releases._PIN}={digest}]\n"}
            for name, digest in self.views.items()
        ]
        return SimpleNamespace(collect=lambda: listed)


def test_views_are_made_anew_where_the_version_or_the_contract_is_another() -> None:
    spark: Any = Catalog()
    contracts: dict[str, Contract] = {
        name: load_all(settings())[name] for name in ("shopify_orders", "stripe_payments")
    }
    versions = {"shopify_orders": 3, "stripe_payments": 5}
    assert releases.unpinned(spark, contracts, versions) == contracts
    releases.pin_silver(spark, "/nowhere", contracts, versions)
    assert {"shopify_orders", "shopify_orders__deleted", "shopify_order_lines"} <= spark.views.keys()
    assert releases.unpinned(spark, contracts, versions) == {}
    assert list(releases.unpinned(spark, contracts, versions | {"shopify_orders": 4})) == ["shopify_orders"]
    payments = contracts["stripe_payments"]
    fewer = replace(payments, columns=payments.columns[:-1])
    assert list(releases.unpinned(spark, {**contracts, "stripe_payments": fewer}, versions)) == ["stripe_payments"]
    del spark.views["shopify_order_lines"]
    assert list(releases.unpinned(spark, contracts, versions)) == ["shopify_orders"]
