"""Views of a certificate: JUnit XML for machines, one self-contained page for people. The JSON document stays the original."""

from conformance.report.junit import junit
from conformance.report.page import index, page

__all__ = ["index", "junit", "page"]
