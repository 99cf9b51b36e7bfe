"""A study's folder told as one page: what was found, and the five figures of the paper."""

from server.report.study.render import write_study_report

__all__ = ["write_study_report"]
