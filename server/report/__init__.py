"""A campaign's or a study's folder told as one page: `report.html`, readable offline."""

from server.report.render import write_report
from server.report.study import write_study_report

__all__ = ["write_report", "write_study_report"]
