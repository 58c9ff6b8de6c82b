"""Which cases share a table: those of one dataset with one primary metric."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def table_key(case: Mapping[str, Any]) -> str:
    """Equal for the cases of a table, whose figures can be compared: of one dataset with all its
    parameters, and ranked by one metric.

    Args:
        case: of the document.
    """
    primary = (case.get("primary_metric") or {}).get("name", "")  # "": the task's own
    dataset = [case.get("dataset_label"), case["dataset"], case["dataset_params"]]
    return json.dumps([*dataset, primary], sort_keys=True, default=str)
