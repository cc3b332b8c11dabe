"""The report: tables, figures and a page, in which every number leads back to the files that made it."""
