"""Collects, renders and writes the report."""

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from lakehouse.automation.instance import instance
from lakehouse.automation.report.collect import collect
from lakehouse.automation.report.data import ReportData
from lakehouse.automation.report.failing import with_samples
from lakehouse.automation.report.page import render
from lakehouse.automation.report.summary import summarize
from lakehouse.contracts.model import Contract
from lakehouse.gold import project as dbt
from lakehouse.gold.lineage import CACHE, traced_before
from lakehouse.quality import results
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
    """Writes the pages (`index.html` first) and `summary.md` into the folder `out`, which is made where missing, and removes
    the pages of tables that are no more. Idempotent.

    An empty lakehouse gives a page that says so. Raises OSError where `out` cannot be written.
    """
    for room, table in ((ledger, ledger.BATCHES), (results, results.CHECK_RESULTS)):
        if tables.exists(spark, table):  # one that was made by an earlier version lacks columns
            room.ensure_table(spark, settings.storage_dir)
    data = collect(spark, contracts, settings.dbt_target, dbt.manifest(settings), traced_before(settings.home / CACHE))
    with instance(settings) as dagster:
        data = with_samples(data, dagster)
    return write(data, out)


def write(data: ReportData, out: Path) -> Report:
    """As `write_report`, of what was collected."""
    pages = render(data)
    for path, text in {**pages, SUMMARY: summarize(data)}.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text(text, encoding="utf-8")
    for folder in FOLDERS:
        for left in (out / folder).glob("*.html"):
            if f"{folder}/{left.name}" not in pages and GENERATOR in left.read_text(encoding="utf-8"):
                left.unlink()
    return Report(out / "index.html", out / SUMMARY, data.failed)


SUMMARY = "summary.md"
FOLDERS = ("tables", "gold")
GENERATOR = '<meta name="generator" content="lakehouse report">'
"""In every page: by it a page of an earlier report is told from somebody's own."""
