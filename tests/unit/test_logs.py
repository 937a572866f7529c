from __future__ import annotations

import io
import json
import logging

import pytest
from example_array.driver import FileDriver, Options

from blockdrivers.backend import Backend
from blockdrivers.errors import NotFound
from blockdrivers.logs import JsonLines
from blockdrivers.model import GiB


@pytest.fixture
def logger():
    logger = logging.getLogger("blockdrivers")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield logger, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_every_operation_is_a_line_with_fields_of_its_own(logger, tmp_path):
    _, lines = logger
    with Backend(FileDriver(Options(path=tmp_path / "array"), "hall"), "hall") as backend:
        backend.create_volume("卷-1", GiB, "pool_a")
        with pytest.raises(NotFound):
            backend.get_volume("absent")
    made, missed = (line for line in lines() if "outcome" in line)
    assert list(made)[:4] == ["time", "level", "logger", "message"]
    assert made["time"].endswith("+00:00")
    assert (made["backend"], made["operation"], made["subject"], made["outcome"]) == ("hall", "create_volume", "卷-1", "ok")
    assert isinstance(made["seconds"], float)
    assert missed["outcome"] == "NotFound"


def test_whatever_is_logged_stays_one_line_of_json(logger):
    logs, lines = logger
    logs.info("two\nlines of %s", "text", extra={"odd": {1, 2}, "level": "mine", "text": 'a "quote"\n'})
    try:
        raise ValueError("for a reason")
    except ValueError:
        logs.exception("it failed", stack_info=True)
    first, second = lines()
    assert (first["message"], first["odd"], first["level"], first["level_"]) == ("two\nlines of text", "{1, 2}", "INFO", "mine")
    assert set(first) == {"time", "level", "logger", "message", "odd", "level_", "text"}
    assert "ValueError: for a reason" in second["exception"]
    assert "Stack" in second["stack"]
