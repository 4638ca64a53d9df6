"""The report on a run: all that it left in its folder, as one HTML page that needs nothing else."""

from hspace.report.page import write_report as write_report
