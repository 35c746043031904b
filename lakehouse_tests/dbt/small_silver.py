"""A silver layer small enough to think about, written as the views that dbt reads."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

_LINE = (
    "struct<line_number int, product_id string, quantity int, sales_value decimal(12,2), "
    "retail_disc decimal(12,2), coupon_disc decimal(12,2), coupon_match_disc decimal(12,2)>"
)
_PROVENANCE = "_rescued string, _arrived_on date, _batch bigint"
COLUMNS = {
    "shopify_orders": (
        "order_id string, customer_id string, store_id string, order_status string, fulfillment_status string, "
        "payment_status string, currency string, subtotal decimal(12,2), total_discount decimal(12,2), "
        "tax decimal(12,2), shipping decimal(12,2), total_price decimal(12,2), item_count int, created_at timestamp, "
        f"updated_at timestamp, fulfilled_at timestamp, line_items array<{_LINE}>"
    ),
    "stripe_customers": (
        "customer_id string, name string, email string, created_at timestamp, updated_at timestamp, age string, "
        "income string, home_ownership string, marital_status string, household_size string, household_comp string, "
        "kids_count string"
    ),
    "stripe_payments": (
        "payment_id string, order_id string, customer_id string, amount bigint, amount_refunded bigint, "
        "currency string, status string, method string, created_at timestamp, updated_at timestamp"
    ),
    "catalog_products": (
        "product_id string, manufacturer_id string, department string, brand string, product_category string, "
        "product_type string, package_size string, valid_from timestamp, valid_to timestamp, is_current boolean"
    ),
    "web_events": (
        "event_id string, event_type string, customer_id string, session_id string, product_id string, page string, "
        "occurred_at timestamp, device string"
    ),
}
KEYS = {"shopify_orders": "order_id", "stripe_payments": "payment_id", "catalog_products": "product_id"}


def day(number: int, hour: int = 12) -> datetime:
    """An hour of a day in March 2024."""
    return datetime(2024, 3, number, hour)


@dataclass
class SmallSilver:
    """What silver holds: rows by table and key, each with the batch that last changed it, and the keys it deleted."""

    schema: str
    rows: dict[str, dict[Any, dict[str, Any]]] = field(default_factory=lambda: {table: {} for table in COLUMNS})
    deleted: dict[str, dict[Any, int]] = field(default_factory=lambda: {table: {} for table in KEYS})
    batches: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COLUMNS, 0))

    def next_batch(self) -> None:
        for table in self.batches:
            self.batches[table] += 1

    def unchanged(self, since: dict[str, int]) -> list[str]:
        """The tables that are what they were after those batches."""
        newest = {table: [row["_batch"] for row in rows.values()] for table, rows in self.rows.items()}
        for table, gone in self.deleted.items():
            newest[table] += gone.values()
        return [table for table, at in since.items() if max(newest[table], default=0) <= at]

    def put(self, table: str, key: Any, **values: Any) -> None:
        """Inserts a row, or changes the named values of the one that is there."""
        row = self.rows[table].setdefault(key, {"_rescued": None, "_arrived_on": date(2024, 3, 1)})
        row.update(values, _batch=self.batches[table])

    def delete(self, table: str, key: Any) -> None:
        del self.rows[table][key]
        self.deleted[table][key[0] if isinstance(key, tuple) else key] = self.batches[table]

    def order(
        self, order_id: str, customer_id: str, created_at: datetime, lines: dict[int, tuple[str, str]], **more: Any
    ) -> None:
        """Puts an order whose lines are {line number: (product, sales value)}."""
        items: list[dict[str, Any]] = [
            {
                "line_number": number,
                "product_id": product,
                "quantity": number,
                "sales_value": Decimal(value),
                "retail_disc": Decimal("0.10"),
                "coupon_disc": Decimal(0),
                "coupon_match_disc": Decimal(0),
            }
            for number, (product, value) in lines.items()
        ]
        total = sum((item["sales_value"] for item in items), Decimal(0))
        values: dict[str, Any] = {
            "order_id": order_id,
            "customer_id": customer_id,
            "store_id": "s1",
            "order_status": "pending",
            "fulfillment_status": "unfulfilled",
            "payment_status": "paid",
            "currency": "USD",
            "subtotal": total + Decimal("0.10"),
            "total_discount": Decimal("0.10"),
            "tax": Decimal(0),
            "shipping": Decimal(0),
            "total_price": total,
            "item_count": len(items),
            "created_at": created_at,
            "updated_at": created_at,
            "fulfilled_at": None,
            "line_items": items,
        }
        self.put("shopify_orders", order_id, **{**values, **more})

    def customer(self, customer_id: str, email: str) -> None:
        demographics = dict.fromkeys(
            ("age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count")
        )
        self.put(
            "stripe_customers",
            customer_id,
            customer_id=customer_id,
            name=f"Customer {customer_id}",
            email=email,
            created_at=day(1),
            updated_at=day(1),
            **demographics,
        )

    def payment(self, payment_id: str, order_id: str, customer_id: str, amount: int, **more: Any) -> None:
        values: dict[str, Any] = {
            "payment_id": payment_id,
            "order_id": order_id,
            "customer_id": customer_id,
            "amount": amount,
            "amount_refunded": 0,
            "currency": "USD",
            "status": "succeeded",
            "method": "card",
            "created_at": day(2),
            "updated_at": day(2),
        }
        self.put("stripe_payments", payment_id, **{**values, **more})

    def product(self, product_id: str, department: str, valid_from: datetime, valid_to: datetime | None = None) -> None:
        self.put(
            "catalog_products",
            (product_id, valid_from),
            product_id=product_id,
            manufacturer_id="m1",
            department=department,
            brand="National",
            product_category=None,
            product_type=None,
            package_size=None,
            valid_from=valid_from,
            valid_to=valid_to,
            is_current=valid_to is None,
        )

    def event(self, event_id: str) -> None:
        self.put(
            "web_events",
            event_id,
            event_id=event_id,
            event_type="page_view",
            customer_id="c1",
            session_id="s1",
            product_id=None,
            page="/",
            occurred_at=day(1),
            device="phone",
        )

    def write(self, spark: Any) -> None:
        """Writes tables and views; repeating it changes nothing but the tables' versions."""
        for table, columns in COLUMNS.items():
            self._save(spark, table, list(self.rows[table].values()), f"{columns}, {_PROVENANCE}")
        for table, key in KEYS.items():
            gone = [{key: value, "_batch": batch} for value, batch in self.deleted[table].items()]
            self._save(spark, f"{table}__deleted", gone, f"{key} string, _batch bigint")
        spark.sql(f"""
            create or replace view {self.schema}.shopify_order_lines as
            select order_id, line.*, _arrived_on, _batch
            from (select order_id, _arrived_on, _batch, explode(line_items) as line from {self.schema}.shopify_orders)
        """)

    def _save(self, spark: Any, name: str, rows: list[dict[str, Any]], columns: str) -> None:
        frame = spark.createDataFrame(rows, schema=columns)
        frame.write.format("delta").mode("overwrite").saveAsTable(f"{self.schema}.{name}")
