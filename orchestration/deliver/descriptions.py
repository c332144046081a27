"""What the columns mean, in the words of the dbt project: read from the manifest that dbt leaves behind."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

Descriptions = Mapping[str, Mapping[str, str]]
"""Model name -> column name -> description; the model's own description stands under ''."""


def read_descriptions(manifest: Path) -> Descriptions:
    """The descriptions of every model in dbt's `target/manifest.json`, white space and Markdown emphasis
    flattened.

    A manifest that is missing or unreadable means no descriptions: a delivery never fails for want of them.
    """
    try:
        nodes = json.loads(manifest.read_bytes())["nodes"].values()
        return {node["name"]: _of(node) for node in nodes if node.get("resource_type") == "model"}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as problem:
        log.warning("no column descriptions: cannot read %s (%s)", manifest, type(problem).__name__)
        return {}


def _of(node: Mapping[str, Any]) -> dict[str, str]:
    columns = {name: _plain(column.get("description")) for name, column in node.get("columns", {}).items()}
    return {"": _plain(node.get("description")), **columns}


def _plain(text: str | None) -> str:
    return " ".join((text or "").replace("`", "").replace("**", "").split())
