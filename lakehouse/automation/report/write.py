"""Collects, renders and writes the report."""

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from lakehouse.automation.report.collect import collect
from lakehouse.automation.report.page import render
from lakehouse.automation.report.summary import summarize
from lakehouse.contracts.model import Contract
from lakehouse.settings import Settings
from lakehouse.silver import ledger
from lakehouse.storage import tables


@dataclass(frozen=True)
class Report:
    """Where the report was written, and what failed (`table.check`, or `gold.release`); empty when all is well."""

    html: Path
    markdown: Path
    failed: list[str]


def write_report(spark: SparkSession, settings: Settings, contracts: dict[str, Contract], out: Path) -> Report:
    """Writes `index.html` and `summary.md` into the folder `out`, which is made where missing. Idempotent.

    An empty lakehouse gives a page that says so. Raises OSError where `out` cannot be written.
    """
    if tables.exists(spark, ledger.BATCHES):  # one from before replays lacks their columns
        ledger.ensure_table(spark, settings.storage_dir)
    data = collect(spark, contracts, settings.dbt_target)
    report = Report(out / "index.html", out / "summary.md", data.failed)
    out.mkdir(parents=True, exist_ok=True)
    report.html.write_text(render(data), encoding="utf-8")
    report.markdown.write_text(summarize(data), encoding="utf-8")
    return report
