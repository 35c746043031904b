"""The same work as one plain PySpark script would do it: one warm session, no orchestration, no checks, no releases.

Reads the landed files, keeps the raw records, parses, deduplicates, keeps current state or history, and builds the
same gold tables. It trusts its input: malformed records are dropped, nothing is counted, nothing can be taken back.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

LINES = (
    "array<struct<line_number:int,product_id:string,quantity:int,sales_value:decimal(12,2),retail_disc:decimal(12,2),"
    "coupon_disc:decimal(12,2),coupon_match_disc:decimal(12,2)>>"
)
ORDER = (
    "order_id string, customer_id string, store_id string, order_status string, fulfillment_status string, "
    "payment_status string, currency string, subtotal decimal(12,2), total_discount decimal(12,2), tax decimal(12,2), "
    "shipping decimal(12,2), total_price decimal(12,2), item_count int, created_at timestamp, updated_at timestamp, "
    f"fulfilled_at timestamp, line_items {LINES}"
)
CUSTOMER = (
    "customer_id string, name string, email string, created_at timestamp, updated_at timestamp, age string, "
    "income string, home_ownership string, marital_status string, household_size string, household_comp string, "
    "kids_count string"
)
PAYMENT = (
    "payment_id string, order_id string, customer_id string, amount bigint, amount_refunded bigint, currency string, "
    "status string, method string, created_at timestamp, updated_at timestamp"
)
EVENT = (
    "event_id string, event_type string, customer_id string, session_id string, product_id string, page string, "
    "occurred_at timestamp, device string"
)
PRODUCT = ("manufacturer_id", "department", "brand", "product_category", "product_type", "package_size")


class Plain:
    """Tables under one folder; every step is one method."""

    def __init__(self, spark: SparkSession, landing: Path, out: Path) -> None:
        self.spark, self.landing, self.out = spark, landing, out
        self.seconds: dict[str, float] = {}

    def table(self, name: str) -> DataFrame:
        return self.spark.read.format("delta").load(str(self.out / name))

    def write(self, frame: DataFrame, name: str, mode: str = "overwrite") -> None:
        frame.write.format("delta").mode(mode).save(str(self.out / name))

    def files(self, source: str, known: set[str]) -> list[str]:
        found = {str(path) for path in (self.landing / source).rglob("*") if path.is_file()}
        return sorted(found - known)

    def timed(self, name: str, step: Callable[[], None]) -> None:
        started = time.monotonic()
        step()
        self.seconds[name] = time.monotonic() - started

    def merge(self, source: DataFrame, name: str, on: str, clauses: str) -> None:
        source.createOrReplaceTempView("incoming")
        self.spark.sql(f"merge into delta.`{self.out / name}` as t using incoming as s on {on} {clauses}").collect()

    # -- bronze -------------------------------------------------------------------------------------------------

    def bronze(self, source: str, name: str, files: list[str], is_first: bool) -> DataFrame | None:
        if not files:
            return None
        batch = int(time.time() * 1_000_000)
        raw = self.spark.read.text(files).select(
            F.col("value").alias("record"),
            F.col("_metadata.file_path").alias("file"),
            F.to_date(F.regexp_extract("_metadata.file_path", r"/(\d{4}-\d{2}-\d{2})/", 1)).alias("arrived_on"),
            F.lit(batch).alias("batch"),
        )
        self.write(raw, f"bronze_{name}", "overwrite" if is_first else "append")
        return self.table(f"bronze_{name}").where(F.col("batch") == batch)

    # -- silver -------------------------------------------------------------------------------------------------

    def current(self, rows: DataFrame, name: str, key: str, order: str, is_first: bool) -> None:
        newest = Window.partitionBy(key).orderBy(F.col(order).desc())
        latest = rows.withColumn("_rank", F.row_number().over(newest)).where("_rank = 1").drop("_rank")
        latest = latest.withColumn("_touched", F.lit(True))
        if is_first:
            self.write(latest, f"silver_{name}")
            return
        self.spark.sql(f"update delta.`{self.out / f'silver_{name}'}` set _touched = false where _touched")
        clauses = f"when matched and s.{order} > t.{order} then update set * when not matched then insert *"
        self.merge(latest, f"silver_{name}", f"t.{key} = s.{key}", clauses)

    def changes(self, raw: DataFrame, schema: str) -> DataFrame:
        envelope = (
            f"before struct<{_fields(schema)}>, after struct<{_fields(schema)}>, op string, source struct<lsn:bigint>"
        )
        return (
            raw.select(F.from_json("record", envelope).alias("e"))
            .where("e.op is not null")
            .selectExpr("coalesce(e.after, e.before) as r", "e.op = 'd' as _is_deleted", "e.source.lsn as lsn")
            .selectExpr("r.*", "_is_deleted", "lsn")
        )

    def products(self, raw: DataFrame, is_first: bool) -> None:
        header = "product_id, " + ", ".join(PRODUCT)
        parsed = (
            raw.where("record not like 'product_id,%'")
            .select(F.from_csv("record", ", ".join(f"{c} string" for c in header.split(", "))).alias("r"), "arrived_on")
            .selectExpr("r.*", "arrived_on")
            .where("product_id is not null")
            .withColumn("_hash", F.xxhash64(*PRODUCT))
        )
        if not is_first:
            parsed = parsed.unionByName(
                self.table("silver_products")
                .where("valid_to is null")
                .withColumnRenamed("valid_from", "arrived_on")
                .drop("valid_to")
            )
        by_key = Window.partitionBy("product_id").orderBy("arrived_on")
        versions = (
            parsed.withColumn("_before", F.lag("_hash").over(by_key))
            .where("_before is null or _before <> _hash")
            .drop("_before")
            .withColumn("valid_to", F.lead("arrived_on").over(by_key))
            .withColumnRenamed("arrived_on", "valid_from")
        )
        if is_first:
            self.write(versions, "silver_products")
        else:
            clauses = (
                "when matched and not (t.valid_to <=> s.valid_to) then update set * when not matched then insert *"
            )
            self.merge(
                versions, "silver_products", "t.product_id = s.product_id and t.valid_from = s.valid_from", clauses
            )

    # -- gold ---------------------------------------------------------------------------------------------------

    def gold(self, is_first: bool) -> None:
        orders, payments = self.table("silver_orders"), self.table("silver_payments")
        touched = orders if is_first else orders.where("_touched")
        fact = touched.drop("line_items", "_touched").withColumn("customer_key", F.md5("customer_id"))
        fact = fact.withColumn("order_date", F.to_date("created_at"))
        items = touched.select(
            "order_id", F.to_date("created_at").alias("order_date"), "order_status", F.explode("line_items").alias("l")
        ).select("order_id", "order_date", "order_status", "l.*")
        if is_first:
            self.write(fact, "fct_orders")
            self.write(items, "fct_order_items")
        else:
            self.merge(fact, "fct_orders", "t.order_id = s.order_id",
                       "when matched then update set * when not matched then insert *")  # fmt: skip
            self.merge(items, "fct_order_items", "t.order_id = s.order_id and t.line_number = s.line_number",
                       "when matched then update set * when not matched then insert *")  # fmt: skip
        self.write(self.table("silver_products"), "dim_products")
        current = self.table("dim_products").where("valid_to is null").select("product_id", "department")
        self.write(
            self.table("fct_order_items")
            .where("order_status <> 'cancelled'")
            .join(current, "product_id", "left")
            .groupBy("order_date", "department")
            .agg(F.countDistinct("order_id").alias("orders"), F.sum("sales_value").alias("revenue")),
            "fct_revenue",
        )
        paid = (
            payments.where("not _is_deleted")
            .groupBy("customer_id")
            .agg(
                F.sum(F.expr("if(status in ('succeeded', 'refunded'), amount - amount_refunded, 0)")).alias("cents"),
                F.count("*").alias("payments"),
            )
        )
        bought = orders.groupBy("customer_id").agg(F.count("*").alias("orders"), F.sum("total_price").alias("value"))
        customers = self.table("silver_customers").where("not _is_deleted")
        self.write(
            customers.join(paid, "customer_id", "left").join(bought, "customer_id", "left")
            .withColumn("tier", F.expr("case when cents >= 100000 then 'high' when cents >= 10000 then 'medium' else 'low' end")),
            "dim_customers",
        )  # fmt: skip
        self.write(
            self.spark.sql("select explode(sequence(date'2024-01-01', date'2027-12-31')) as date_day"), "dim_dates"
        )

    # -- all ----------------------------------------------------------------------------------------------------

    def run(self, known: set[str], is_first: bool) -> set[str]:
        """Takes every file in landing that is not in `known`; returns all files taken so far."""
        taken: set[str] = set(known)
        steps: list[tuple[str, str, Callable[[DataFrame], None]]] = [
            ("shopify/orders", "orders", lambda raw: self.current(
                raw.select(F.from_json("record", ORDER).alias("r"), F.expr("from_json(record, 'map<string,string>')").alias("m"))
                .selectExpr("r.*", "to_json(map_filter(m, (k, v) -> k = 'discount_code')) as _rescued")
                .where("order_id is not null and total_price >= 0"),
                "orders", "order_id", "updated_at", is_first)),
            ("stripe/customers", "customers", lambda raw: self.current(
                self.changes(raw, CUSTOMER), "customers", "customer_id", "lsn", is_first)),
            ("stripe/payments", "payments", lambda raw: self.current(
                self.changes(raw, PAYMENT), "payments", "payment_id", "lsn", is_first)),
            ("web/events", "events", lambda raw: self.current(
                raw.select(F.from_json("record", EVENT).alias("r")).selectExpr("r.*").where("event_id is not null"),
                "events", "event_id", "occurred_at", is_first)),
            ("catalog/products", "products", lambda raw: self.products(raw, is_first)),
        ]  # fmt: skip
        for source, name, refine in steps:
            files = self.files(source, known)
            taken |= set(files)
            self.timed(name, lambda source=source, name=name, refine=refine, files=files: self._one(  # type: ignore[misc]
                source, name, refine, files, is_first))  # fmt: skip
        for source, name in (("marketing/campaigns", "campaigns"), ("marketing/coupon_redemptions", "redemptions")):
            files = self.files(source, known)
            taken |= set(files)
            if files:
                self.timed(name, lambda name=name, files=files: self.write(  # type: ignore[misc]
                    self.spark.read.option("header", True).csv(files), f"silver_{name}",
                    "overwrite" if is_first else "append"))  # fmt: skip
        self.timed("gold", lambda: self.gold(is_first))
        return taken

    def _one(
        self, source: str, name: str, refine: Callable[[DataFrame], None], files: list[str], is_first: bool
    ) -> None:
        raw = self.bronze(source, name, files, is_first)
        if raw is not None:
            refine(raw)


def _fields(schema: str) -> str:
    return ", ".join(":".join(part.split(" ", 1)) for part in schema.split(", "))


def main(arguments: list[str]) -> None:
    """`python -m benchmarks.plain LANDING OUT KNOWN_FILES_JSON`: one run; prints seconds by step as JSON."""
    import json

    from lakehouse.engine.client import connect
    from lakehouse.settings import settings

    landing, out, memory = Path(arguments[0]), Path(arguments[1]), Path(arguments[2])
    spark: Any = connect(settings())
    spark.sql("select 1").collect()
    known = set(json.loads(memory.read_text())) if memory.exists() else set()
    plain = Plain(spark, landing, out)
    started = time.monotonic()
    taken = plain.run(known, is_first=not known)
    total = time.monotonic() - started
    memory.write_text(json.dumps(sorted(taken)))
    orders = plain.table("fct_orders").agg(F.count("*"), F.sum("total_price")).first()
    print(json.dumps({"seconds": total, "steps": plain.seconds, "orders": orders[0], "total": str(orders[1])}))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
