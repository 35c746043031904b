"""Measurements: they print figures and assert nothing about time."""

import lakehouse as lakehouse  # before NumPy, which hears from it how many threads to start
