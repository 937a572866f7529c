"""What a device identification page says, and what it must not be taken to say."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockdrivers.host import scsi

NAA, EUI, T10, RELATIVE_PORT = 3, 2, 1, 4
UNIT, PORT = 0, 1


def descriptor(kind, association, identifier):
    return bytes([1, association << 4 | kind, 0, len(identifier)]) + identifier


def page(*descriptors, first=0, number=0x83):
    body = b"".join(descriptors)
    return bytes([first, number]) + len(body).to_bytes(2) + body


identifiers = st.binary(min_size=1, max_size=40)


@given(
    st.lists(st.tuples(st.sampled_from([NAA, EUI, T10, RELATIVE_PORT, 8]), st.sampled_from([UNIT, PORT, 2]), identifiers)),
    st.binary(),
)
def test_exactly_the_unit_s_own_identities_are_found(entries, beyond):
    found = scsi.parse_page_83(page(*(descriptor(*entry) for entry in entries)) + beyond)
    assert found == {identifier.hex() for kind, association, identifier in entries if association == UNIT and kind in {NAA, EUI}}


@given(st.lists(identifiers, min_size=1), st.data())
def test_a_page_that_was_cut_off_proves_nothing_that_was_cut(ids, data):
    whole = page(*(descriptor(NAA, UNIT, identifier) for identifier in ids))
    cut = whole[: data.draw(st.integers(4, len(whole) - 1))]
    assert scsi.parse_page_83(cut) <= {identifier.hex() for identifier in ids[:-1]}


@given(st.binary(max_size=300))
def test_garbage_is_an_answer_or_a_clear_refusal(answer):
    with contextlib.suppress(scsi.NoLun, scsi.NoAnswer):
        assert all(bytes.fromhex(identity) in answer for identity in scsi.parse_page_83(answer))


@pytest.mark.parametrize("qualifier", [1, 3])
def test_a_number_without_a_lun_is_said_to_be_one(qualifier):
    with pytest.raises(scsi.NoLun):
        scsi.parse_page_83(page(descriptor(NAA, UNIT, bytes(16)), first=qualifier << 5 | 0x1F))


def test_another_page_is_no_answer():
    with pytest.raises(scsi.NoAnswer, match="page 80h"):
        scsi.parse_page_83(page(number=0x80))


def test_what_is_no_device_does_not_answer(tmp_path):
    with pytest.raises(scsi.NoAnswer):
        scsi.identities(str(tmp_path / "sda"))
    (tmp_path / "file").write_bytes(bytes(4096))
    with pytest.raises(scsi.NoAnswer):
        scsi.identities(str(tmp_path / "file"))
