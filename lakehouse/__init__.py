"""Lakehouse: data contracts in, audited Delta tables out.

Imports point one way: settings, contracts, engine, storage, quality, bronze, silver, gold, automation,
definitions, cli. `sample` replays a retail year as source systems and knows only settings.
"""
