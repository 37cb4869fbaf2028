"""Instance sizes: names that recipes ask for, and how much each means on this server."""

import math
import re
from dataclasses import dataclass

from runhook.model.quantity import byte_count, shown_bytes

SIZE = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)\s*=\s*(?P<cores>\d+(\.\d+)?)\s*:\s*(?P<memory>.+)$"
)


@dataclass(frozen=True)
class InstanceSize:
    """So many cores and bytes of memory for each instance of a run."""

    name: str
    cores: float
    memory: int

    @property
    def whole_cores(self) -> int:
        """For clients that count in whole ones: at least one."""
        return max(1, math.ceil(self.cores))

    @property
    def shown(self) -> str:
        """`2 cores, 16.0 GB`."""
        return f"{self.cores:g} core{'' if self.cores == 1 else 's'}, {shown_bytes(self.memory)}"


def sizes_of(text: str) -> dict[str, InstanceSize]:
    """`large=2:16GB, xlarge=4:32GB` → each of them by name. ValueError, as a sentence, for anything
    else."""
    sizes: dict[str, InstanceSize] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        match = SIZE.match(item)
        if match is None or float(match["cores"]) <= 0 or match["name"] in sizes:
            raise ValueError(f"{item!r} is no size; write large=2:16GB, xlarge=4:32GB")
        size = InstanceSize(match["name"], float(match["cores"]), byte_count(match["memory"]))
        sizes[size.name] = size
    return sizes
