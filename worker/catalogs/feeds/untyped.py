"""lxml has no types: said once, here."""

from typing import Any

from lxml import etree as _etree  # pyright: ignore[reportAttributeAccessIssue] # C code without stubs

etree: Any = _etree
