"""Log records as JSON lines: one object per record, with what the library passes along as `extra` in fields of its own.

```python
handler = logging.StreamHandler()
handler.setFormatter(blockdrivers.logs.JsonLines())
logging.getLogger("blockdrivers").addHandler(handler)
```

Operations of `Backend` (level INFO) carry ``backend``, ``operation``, ``subject``, ``outcome`` and ``seconds``; requests of a
transport (level DEBUG) ``array``, ``controller``, ``operation``, ``status`` and ``seconds``.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

_OF_EVERY_RECORD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; what JSON has no form for is written as text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end: time (UTC), level, logger, message, then the record's own fields."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        own = {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}
        line |= {f"{name}_" if name in line else name: value for name, value in own.items()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line, ensure_ascii=False, default=str)
