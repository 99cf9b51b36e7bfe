"""A campaign's folder told as one page: `report.html`, self-contained and readable offline."""

from server.report.render import write_report

__all__ = ["write_report"]
