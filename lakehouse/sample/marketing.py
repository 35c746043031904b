"""`marketing.campaigns` and `marketing.coupon_redemptions`: CSV files, as they are."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from lakehouse.sample.clock import Clock, Times
from lakehouse.sample.feed import FAULTS, Account, PlannedFile, RecordFeed, records
from lakehouse.sample.source import read

SENT_BEFORE = timedelta(hours=12)
"""The plan of all campaigns is sent on the Sunday before the replay begins."""


class Campaigns:
    """The feed: one file with a row for every campaign and customer."""

    name = "marketing.campaigns"

    def __init__(self, clock: Clock) -> None:
        rows = read("campaigns").merge(read("campaign_descriptions"), on="campaign_id")
        rows = rows.sort_values(["campaign_id", "household_id"])
        self._sent = clock.start - SENT_BEFORE
        self._lines = [
            f"{campaign},c{household},{kind},{start},{end}"
            for campaign, household, kind, start, end in zip(
                rows["campaign_id"],
                rows["household_id"],
                rows["campaign_type"],
                _days(clock.shifted(rows["start_date"].to_numpy())),
                _days(clock.shifted(rows["end_date"].to_numpy())),
                strict=True,
            )
        ]

    def files(self) -> list[PlannedFile]:
        path = f"marketing/campaigns/{self._sent.date().isoformat()}/campaigns.csv"
        return [PlannedFile(path, self._sent + timedelta(hours=1))]

    def texts(self, wanted: Sequence[int]) -> Iterator[str]:
        for _ in wanted:
            yield "campaign_id,customer_id,campaign_type,start_date,end_date\n" + "\n".join(self._lines) + "\n"

    def account(self, cutoff: datetime) -> Account:
        files = sum(file.closes <= cutoff for file in self.files())
        rows = files * len(self._lines)
        return {
            "files": files,
            "records": rows,
            "faults": dict.fromkeys(FAULTS[1:], 0),
            "expected": {
                "unreadable": 0,
                "quarantined": 0,
                "usable": rows,
                "versions": rows,
                "duplicates": 0,
                "keys": rows,
                "quarantined_keys": [],
            },
            "totals": {"rows": rows},
        }


def redemptions_feed(clock: Clock) -> RecordFeed:
    """Coupons used within the replay; a file on Monday morning with those of the week before."""
    rows = read("coupon_redemptions")
    used = clock.shifted(rows["redemption_date"].to_numpy())
    rows, used = rows[used >= np.datetime64(clock.start)], used[used >= np.datetime64(clock.start)]
    lines = [
        f"c{household},{coupon},{campaign},{day}"
        for household, coupon, campaign, day in zip(
            rows["household_id"], rows["coupon_upc"], rows["campaign_id"], _days(used), strict=True
        )
    ]
    weeks = (used - np.datetime64(clock.start, "s")) // np.timedelta64(7 * 86400, "s")
    sent = (
        np.datetime64(clock.start, "s") + (weeks + 1) * np.timedelta64(7 * 86400, "s") + np.timedelta64(6 * 3600, "s")
    )
    every = np.arange(len(lines))

    def totals(base: Any) -> dict[str, Any]:
        return {"rows": len(base)}

    return RecordFeed(
        name="marketing.coupon_redemptions",
        records=records(every, every, np.zeros(len(lines), dtype=np.int64), clock.clamped(sent)),
        hours=1,
        file="redemptions.csv",
        header="customer_id,coupon_upc,campaign_id,redemption_date\n",
        lines=lambda base: [lines[i] for i in base.tolist()],
        key_name=lambda key: lines[key],
        totals=totals,
    )


def _days(times: Times) -> list[str]:
    days: list[str] = np.datetime_as_string(times.astype("M8[D]")).tolist()
    return days
