"""What starts work and who hears of it: what is pending, runs, jobs, schedules.

Not here: the work itself (bronze, silver, gold).
"""
