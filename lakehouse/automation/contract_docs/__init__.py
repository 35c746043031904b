"""The documentation of contracts: static pages that need no server, a page a table and one of all, in the report's look.

Here: a contract as HTML (`page`, pure), the tables that refer to each other as a drawing (`diagram`), and the templates.
Not here: anything that was measured: that is the report's.
"""

from lakehouse.automation.contract_docs.page import article, render

__all__ = ["article", "render"]
