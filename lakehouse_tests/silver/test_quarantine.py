"""The way back from quarantine: decisions, replay, rebuild, and what a killed replay leaves."""

import json
import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakehouse.contracts.model import Contract
from lakehouse.quality.audit import QUARANTINE_AGE
from lakehouse.settings import settings
from lakehouse.silver import commits, ledger, quarantine, refine
from lakehouse.silver.corrections import corrected
from lakehouse.silver.fold import DISPOSITIONS
from lakehouse.silver.quarantine import Replay, Selection
from lakehouse.silver.refine import BatchBlockedError, Refined
from lakehouse_tests.silver.small import accepted, column, contract, key, land
from lakehouse_tests.silver.test_refine import (
    DAY,
    HISTORY,
    WEEKS,
    Killed,
    Shop,
    _names,
    order,
    orders,
    products,
    versions,
)


class Ward(Shop):
    """A table whose refused records somebody looks after."""

    def held(self) -> dict[str, Any]:
        """The records in quarantine, by id."""
        return {row["id"]: row for row in quarantine.held(self.spark, self.of).collect()}

    def id_of(self, text: str) -> str:
        (found,) = [name for name, row in self.held().items() if text in row["record"]]
        return str(found)

    def decide(self, step: str, *ids: str, rules: str = "cast(null as array<string>)") -> None:
        which = quarantine.held(self.spark, self.of).where(Selection(ids=ids).where)
        quarantine.decide(self.spark, settings().storage_dir, self.of, which, step, "ann", "as agreed", rules)

    def waive(self, *ids: str) -> None:
        self.decide("waived", *ids, rules="reasons")

    def fix(self, *ids: str, **values: str) -> None:
        rows = [row for one, row in self.held().items() if one in ids]
        texts = [corrected(self.of, row["corrected"] or row["record"], row["header"], values) for row in rows]
        pairs = list(zip(rows, texts, strict=True))
        quarantine.fix(self.spark, settings().storage_dir, self.of, pairs, "ann", "a typing error")

    def refine(self, full_refresh: bool = False) -> Refined | None:
        return refine.refine(self.spark, settings().storage_dir, self.of, "run", self.existing(), full_refresh)

    def existing(self) -> frozenset[str]:
        return frozenset({self.of.table} if self.spark.catalog.tableExists(self.of.silver_table) else ())

    def replay(self, *ids: str, everything: bool = False) -> Refined | None:
        asked = Replay(Selection(ids=ids, everything=everything), "ann", "again")
        return refine.refine(self.spark, settings().storage_dir, self.of, "run", self.existing(), replay=asked)

    def outcome(self, *ids: str, everything: bool = False) -> dict[str, int]:
        done = self.replay(*ids, everything=everything)
        assert done is not None and done.landed == sum(done.counts.values())
        return {name: count for name, count in done.counts.items() if count}

    def current(self) -> dict[str, int]:
        """Records by the disposition that they have now, told by the ledger; they add up to what landed."""
        sums = ", ".join(
            f"sum({name}){f' - sum(coalesce(was_{name}, 0))' if name in ledger.REFUSED else ''} as {name}"
            for name in DISPOSITIONS
        )
        row = self.spark.sql(
            f"""select sum(if(kind = 'replay', 0, landed)) as landed, {sums}
            from (select *, max(if(since is null, silver_version, null)) over () as anew from {ledger.BATCHES}
                where table_name = '{self.of.table}')
            where silver_version >= anew"""
        ).first()
        counts = {name: int(row[name]) for name in DISPOSITIONS}
        assert sum(counts.values()) == row["landed"]
        return {name: count for name, count in counts.items() if count}

    def table(self) -> list[tuple[Any, ...]]:
        return self.rows(self.of.silver_table, *self.of.column_names, "_rescued", "_arrived_on")


def test_fixed_waived_and_late_records_come_back_at_their_own_place(spark: Any, tmp_path: Path) -> None:
    shop = Ward(spark, tmp_path, orders(quarantine={"max_percent": 100, "warn_after": "3d"}))
    batch = [order(1, 20), order(2, 18, "payd", email="secret@example.com"), order(3, 19, "gift"),
             order(4, 20, "odd", updated_at="?"), '{"id":"5"', {"status": "new", "updated_at": "2025-03-20"},
             order(6, 20, "odd")]  # fmt: skip
    assert shop.take(DAY, "a", batch) == {"applied": 1, "quarantined": 5, "rejected": 1}
    assert shop.take(DAY, "b", [order(2, 21), order(7, 2)]) == {"applied": 1, "too_late": 1}
    two, three, four, cut, keyless, six, late = map(
        shop.id_of, ('"2"', '"3"', '"4"', '{"id":"5"', '{"status"', '"6"', '"7"')
    )
    assert shop.replay(late) is None, "too late, and nobody wants it"
    spark.sql(
        f"update {shop.of.quarantine_table} set quarantined_at = quarantined_at - interval 5 days where position > 5"
    )
    aged = quarantine.age(spark, shop.of, None, False)
    assert (aged.outcome, aged.value) == ("warn", 2)
    assert "7 record(s) wait" in aged.sentence and f"lakehouse quarantine list {shop.of.table}" in aged.sentence

    shop.fix(two, status="paid")
    shop.fix(four, updated_at="2025-03-20T11:00:00Z")  # its status is still odd
    shop.waive(three, keyless, late)
    shop.decide("dismissed", cut, six)
    before = [("1", "new"), ("2", "new")]
    assert shop.seen("id", "status") == before, "nothing changes before the replay"
    assert shop.outcome() == {"applied": 2, "superseded": 1, "quarantined": 2}
    assert shop.seen("id", "status") == [*before, ("3", "gift"), ("7", "new")], "the old version of 2 does not win"
    last = shop.batches()[-1]
    assert (last["kind"], last["landed"]) == ("replay", 5)
    assert (last["was_quarantined"], last["was_rejected"], last["was_too_late"]) == (4, 0, 1)
    assert shop.current() == {"applied": 4, "superseded": 1, "quarantined": 3, "rejected": 1}
    left = {name: (row["status"], row["reasons"]) for name, row in shop.held().items()}
    assert left == {
        four: ("open", ["status_accepted_values"]),  # what it breaks now
        keyless: ("open", ["id_required"]),  # a record without its key has no place in the table
        cut: ("dismissed", ["not a JSON document"]),
        six: ("dismissed", ["status_accepted_values"]),
    }
    noted = ledger.last_note(spark, shop.of)
    assert noted is not None
    assert [row[0] for row in shop.seen("id", "_batch") if row[1] == ledger.change_of(noted[1])] == ["3", "7"]
    told = [(step["step"], step["outcome"], step["made_by"]) for step in quarantine.steps(spark, shop.of, two)]
    assert told == [("fixed", None, "ann"), ("replayed", "superseded", "ann")]
    shown = spark.table(f"{shop.of.silver_table}__quarantine").collect()
    assert {row["id"]: row["status"] for row in shown} == {name: status for name, (status, _) in left.items()}
    assert "secret" not in str(shown)

    # Folded anew, decisions hold: the same table, the same quarantine, with the same ages.
    table, ages = shop.table(), {name: row["quarantined_at"] for name, row in shop.held().items()}
    done = shop.refine(full_refresh=True)
    assert done is not None
    assert shop.table() == table
    assert {name: row["quarantined_at"] for name, row in shop.held().items()} == ages
    assert shop.current() == {"applied": 4, "superseded": 1, "quarantined": 3, "rejected": 1}
    assert next(check for check in done.checks if check.name == QUARANTINE_AGE).value == 1, "the keyless one"

    # What was dismissed stays out, until somebody reopens it; no replay moves the horizon.
    shop.decide("reopened", six)
    shop.fix(six, status="new", updated_at="2025-05-01T10:00:00Z")
    assert shop.outcome(six, cut) == {"applied": 1}
    assert shop.current() == {"applied": 5, "superseded": 1, "quarantined": 2, "rejected": 1}
    after = ledger.last_note(spark, shop.of)
    assert after is not None and after[1]["watermark"] == "2025-03-21 10:00:00"


def people(**own: Any) -> Contract:
    columns = [key(), column("name", quality=[accepted("ann", "bob", "eve")]), column("n", "int", required=True)]
    columns.append(column("mail", unique=True))
    return contract(columns, name=next(_names), **{"sequence": ["n"], "quarantine": {"max_percent": 100}} | own)


def test_a_replay_is_audited_and_killed_anywhere_it_heals(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Ward(spark, tmp_path, people())
    shop.take(DAY, "a", [{"id": "1", "name": "ann", "n": 1, "mail": "a"}, {"id": "2", "name": "?", "n": 1, "mail": "a"},
                         {"id": "3", "name": "?", "n": 1}])  # fmt: skip
    two = shop.id_of('"2"')
    shop.fix(two, name="bob")
    with pytest.raises(BatchBlockedError, match="mail_unique"):
        shop.replay()
    assert shop.held()[two]["status"] == "fixed"
    shop.fix(two, mail="b")  # builds on the first fix

    commit, kept, before = commits.of_state, shop.held(), shop.table()

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    def die_after(*given: Any) -> None:
        commit(*given)
        raise Killed

    for module, name in ((quarantine.tables, "merge"), (commits, "of_state")):
        with monkeypatch.context() as patch, suppress(Killed):
            patch.setattr(module, name, die)
            shop.replay()
        assert shop.table() == before
        assert (len(shop.held()) == len(kept)) == (name == "merge")
    assert quarantine.heal(spark, shop.of)
    assert shop.held() == kept
    assert [step["step"] for step in quarantine.steps(spark, shop.of, two)] == ["fixed", "fixed"]
    assert not quarantine.heal(spark, shop.of)
    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(commits, "of_state", die_after)
        shop.replay()
    assert shop.replay() is None, "the state has it: only the ledger is to be healed"
    assert shop.seen("id", "name", "mail") == [("1", "ann", "a"), ("2", "bob", "b")]
    assert [(row["kind"], row["landed"], row["applied"]) for row in shop.batches()] == [
        ("refine", 3, 1),
        ("replay", 1, 1),
    ]
    assert shop.current() == {"applied": 2, "quarantined": 1}
    assert shop.outcome(shop.id_of('"3"')) == {"quarantined": 1}
    assert not quarantine.heal(spark, shop.of), "a replay that changes no row is a commit all the same"
    assert shop.current() == {"applied": 2, "quarantined": 1}


def test_the_history_is_what_it_were_had_they_arrived_so(spark: Any, tmp_path: Path) -> None:
    """Random versions of some keys, a third of them refused: fixed, waived, or left, then a rule less. The oracle folds what
    was let in, in plain Python."""
    chance = random.Random(4)
    shop = Ward(spark, tmp_path, people(history="full"))
    records = [
        {"id": str(one), "n": n, "name": chance.choice(("ann", "bob", "eve", "zoe", "kim"))}
        for one in range(12)
        for n in chance.sample(range(1, 30), 6)
    ]
    chance.shuffle(records)
    shop.take(DAY, "a", records)
    good = [record for record in records if record["name"] not in ("zoe", "kim")]
    refused = sorted(shop.held().values(), key=lambda row: (row["file"], row["position"]))
    assert len(refused) == len(records) - len(good) > 15
    shop.fix(*(row["id"] for row in refused[::3]), name="eve")
    shop.waive(*(row["id"] for row in refused[1::3]))
    let_in = [json.loads(row["record"]) | {"name": "eve"} for row in refused[::3]]
    let_in += [json.loads(row["record"]) for row in refused[1::3]]

    def expected(taken: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        rows = []
        for one in {record["id"] for record in taken}:
            events = sorted((r["n"], r["name"]) for r in taken if r["id"] == one)
            ends = [*(n for n, _ in events[1:]), None]
            rows += [(one, name, n, end) for (n, name), end in zip(events, ends, strict=True)]
        return sorted(rows, key=str)

    def found() -> list[tuple[Any, ...]]:
        return shop.seen("id", "name", "valid_from", "valid_to")

    assert found() == expected(good)
    assert sum(shop.outcome().values()) == len(let_in)
    assert found() == expected(good + let_in)
    assert shop.current()["quarantined"] == len(refused) - len(let_in)

    shop.of = replace(shop.of, rules=tuple(rule for rule in shop.of.rules if "accepted" not in rule.name))
    assert shop.replay() is None
    assert sum(shop.outcome(everything=True).values()) == len(refused) - len(let_in)
    everybody = expected(good + let_in + [json.loads(row["record"]) for row in refused[2::3]])
    assert found() == everybody
    assert shop.held() == {}


def test_a_table_of_snapshots_is_folded_anew(spark: Any, tmp_path: Path) -> None:
    shop = Ward(spark, tmp_path, products())
    for day, content in WEEKS[:3]:
        land(tmp_path, shop.of, day, "p.csv", content)
    shop.take(*WEEKS[3][:1], "p.csv", WEEKS[3][1])
    assert versions(shop) == HISTORY
    odd = shop.id_of("3,odd")
    shop.fix(odd, name="B")
    done = shop.replay()
    assert done is not None and done.is_rebuild and not done.is_replay
    fixed = [*HISTORY, ("3", "A", "2025-03-03", "2025-03-10"), ("3", "B", "2025-03-10", "2025-03-24"),
             ("3", "A", "2025-03-24", None)]  # fmt: skip
    fixed.remove(("3", "A", "2025-03-03", None))
    assert versions(shop) == sorted(fixed, key=str)
    assert [row["record"] for row in shop.held().values()] == [",A"]
    assert quarantine.last_outcomes(spark, shop.of) == {"applied": 1}
    assert shop.current() == {"applied": 8, "noop": 3, "duplicate": 1, "quarantined": 1}
