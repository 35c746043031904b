"""What starts work and who hears of it: what is pending, runs, jobs, schedules; and upkeep, of tables and of the home.

Not here: the work itself (bronze, silver, gold).
"""
