"""Outputs as lines of a log."""

from collections.abc import Mapping
from typing import Any


def text_of(message: Mapping[str, Any]) -> str:
    """What an output message shows as plain text."""
    content = message["content"]
    match message["header"]["msg_type"]:
        case "stream":
            return str(content["text"])
        case "execute_result" | "display_data":
            text = content["data"].get("text/plain", "")
            return f"{text}\n" if text else ""
        case "error":
            return "\n".join([*content["traceback"], ""])
    return ""
