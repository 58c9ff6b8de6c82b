"""The document as JSON."""

from __future__ import annotations

import json
from typing import TextIO

from seqbench.report.columns.column import Document


def write_json(document: Document, stream: TextIO) -> None:
    """The document itself, in SI units and full precision; piece by piece, for it may be large."""
    stream.writelines(json.JSONEncoder(indent=1).iterencode(document))
    stream.write("\n")
