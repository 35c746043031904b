"""What starts work and who hears of it: what is pending, runs, jobs, schedules; and what people read of it all:
the quality report (`report`) and the documentation of contracts (`contract_docs`).

Not here: the work itself (bronze, silver, gold).
"""
