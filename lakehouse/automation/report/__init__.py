"""The quality report: a static site and a Markdown summary of what the ops tables remember.

Here: collecting (`collect` and, of failing records, `failing`: the only modules that query), the plain data between (`data`,
`lineage`), the score (`data`), plots as inline SVG (`plots`), the pages (`page`, `*.html`, `style.css`) and the summaries, of
the report and of a run that failed (`summary`). Not here: anything that evaluates a check, and anything that reads tables with
personal data: samples come from the masked views, and from what checks told of failing records, masked.
"""

from lakehouse.automation.report.write import Report, write_report

__all__ = ["Report", "write_report"]
