"""Rows for people and for programs."""

import csv
import json
import sys
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.table import Table


def write_table(names: list[str], rows: list[Any]) -> None:
    table = Table(pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    # A pipe has no width: nothing may be folded there.
    Console(width=None if sys.stdout.isatty() else 500, markup=False, highlight=False).print(table)


def write_csv(names: list[str], rows: list[Any]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)


def write_json(names: list[str], rows: list[Any]) -> None:
    for row in rows:
        click.echo(json.dumps(row, default=str, ensure_ascii=False))


WRITERS: dict[str, Callable[[list[str], list[Any]], None]] = {
    "table": write_table,
    "csv": write_csv,
    "json": write_json,
}
