"""The quality report: one static HTML page and a Markdown summary of what the ops tables remember.

Here: collecting (`collect`, the only module that queries), the plain data between (`data`), the score (`data`), plots
as inline SVG (`plots`), the page (`page`, `report.html`, `style.css`) and the summary (`summary`). Not here: anything
that evaluates a check, and anything that reads tables with personal data: samples come from the masked views alone.
"""

from lakehouse.automation.report.write import Report, write_report

__all__ = ["Report", "write_report"]
