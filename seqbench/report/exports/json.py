"""Export as JSON."""

from __future__ import annotations

import json
from typing import TextIO

from seqbench.report.columns.column import Document


def write_json(document: Document, stream: TextIO) -> None:
    """Write the document in SI units and full precision, in chunks since it may be large."""
    stream.writelines(json.JSONEncoder(indent=1).iterencode(document))
    stream.write("\n")
