"""What the shell is asked and what it answers: names, refusals, warnings, answers without content, facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blockdrivers.errors import NotFound, OutOfSpace, ProtocolError, VendorError
from blockdrivers.model import GiB, Health
from conformance.simulation.family import Output
from tests.integration.svc.lab import G2, POOL, V3700
from vendors.svc.simulator.array import CommandLine


@pytest.mark.parametrize("rest", [False, True], ids=["ssh", "rest"])
def test_what_is_no_name_is_never_an_id_or_a_parameter(lab, rest):
    started = lab()
    array = started.open(rest=rest)
    array.create_volume("v", GiB, POOL)
    assert array.get_volume("v").id == "0"
    for name in ("0", "-nohdr", "$(reboot)", "a;b", "bd*", " ", "x\" 'y"):
        with pytest.raises(NotFound):
            array.find_volume(name)
        with pytest.raises(NotFound):
            array.manage_volume("w", name)
    assert [volume["name"] for volume in started.state("volumes")] == ["bdvl-v"]


@pytest.mark.parametrize("joins", [True, False], ids=["joined", "one by one"])
def test_every_refusal_names_its_request(lab, joins):
    started = lab(joins=joins)
    array = started.open()
    with pytest.raises(NotFound):
        array.get_volume("v")
    for kind in ("answer", "garbage"):
        started.fault(kind, code="CMMVC9999E", operation="ls*", count=0)
        with pytest.raises((VendorError, ProtocolError)) as raised:
            array.get_volume("v")
        assert "lsvdisk" in str(raised.value)
        started.array.faults.clear()


def test_errors_keep_the_array_s_number_and_words(lab):
    started = lab()
    array = started.open()
    started.fault("pool_full")
    with pytest.raises(OutOfSpace) as full:
        array.create_volume("v", GiB, POOL)
    assert full.value.vendor_code == "CMMVC5860E"
    assert full.value.vendor_text
    assert full.value.request == "mkvdisk"
    started.array.faults.clear()
    started.array.sync_faults()
    started.fault("answer", code="CMMVC1234E", operation="mkvdisk*")
    with pytest.raises(VendorError) as unknown:
        array.create_volume("v", GiB, POOL)
    assert unknown.value.vendor_code == "CMMVC1234E"


def test_a_warning_comes_with_the_object_made(lab, monkeypatch):
    """A licence near its limit: the number is on the error output, and the volume is there."""

    original = CommandLine._one

    def warned(self, words):
        result = original(self, words)
        if "mkvdisk" in words and not result.status:
            return Output("", "CMMVC6372W The licence is nearly used up.\n", 1)
        return result

    monkeypatch.setattr(CommandLine, "_one", warned)
    started = lab()
    array = started.open()
    made = array.create_volume("v", GiB, POOL)
    assert made.wwn == array.get_volume("v").wwn
    array.create_snapshot("s", "v")
    array.clone_volume("c", "v")


def test_an_answer_without_content_is_asked_for_again(lab, monkeypatch):
    """Seen in the field on InStorage: a detailed view that is empty, and noise of the shell on the error output."""

    original = CommandLine._one
    left = [1]

    def empty(self, words):
        result = original(self, words)
        if "lsvdisk" in words and words[-1] == "bdvl-v" and left and not result.status:
            left.pop()
            return Output("", "bash: warning: ignored null byte in input\n", 0)
        return replace(result, stderr=result.stderr + "bash: warning: ignored null byte in input\n")

    monkeypatch.setattr(CommandLine, "_one", empty)
    array = lab(G2).open()
    assert array.create_volume("v", GiB, POOL).size == GiB
    left.append(1)
    assert array.get_volume("v").size == GiB
    assert left == []


def test_facts(lab):
    facts = lab(V3700).open().system()
    assert (facts.vendor, facts.model, facts.health) == ("IBM", "Storwize V3700", Health.NORMAL)
    assert facts.firmware.startswith("7.8.1.11 ")
    assert lab(G2).open().system().model == "InStorage MCS"
