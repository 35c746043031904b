"""What starts work and who hears of it: what is pending, runs, jobs, schedules, sensors, automation conditions; upkeep of
tables and of the home; and what people read of it all: the quality report (`report`) and the documentation of contracts
(`contract_docs`).

`sensors` looks at what is (files, contracts, decisions), `conditions` at what was materialized, and `handover` keeps the one from
starting what the other is about to. `sources` and `ageing` watch without starting anything. Not here: the work itself (bronze,
silver, gold).
"""
