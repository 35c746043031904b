"""What tells people that something broke, and that it works again.

`incidents` reads what broke from Dagster's runs; `channels` says it to the outside; `sensor` joins the two and remembers
what was said. What decides whether a batch is good is not here: that is `quality`.
"""
