"""Tests of `lakehouse.contracts`; none needs Spark."""
