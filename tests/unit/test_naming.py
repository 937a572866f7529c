from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockdrivers.errors import InvalidRequest
from blockdrivers.naming import MAX_ID_LENGTH, Kind, Label, array_name, check_id, identifier_of, kind_of

IDS = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=MAX_ID_LENGTH)
LIKELY = st.one_of(IDS, st.uuids().map(str), st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,40}", fullmatch=True))
LENGTHS = st.integers(16, 63)


@given(LIKELY, LIKELY, st.sampled_from(Kind), LENGTHS)
def test_two_ids_never_share_a_name(first, second, kind, length):
    assert (array_name(kind, first, length) == array_name(kind, second, length)) == (first == second)


@given(LIKELY, st.sampled_from(Kind), LENGTHS)
def test_every_name_is_plain_short_and_says_what_it_is_for(identifier, kind, length):
    name = array_name(kind, identifier, length)
    assert len(name) <= length
    assert re.fullmatch(r"bd[vsthg][ulh]-[a-z0-9][a-z0-9_.-]*", name)
    assert kind_of(name) is kind


@given(LIKELY)
def test_the_id_is_found_again_by_name_or_description(identifier):
    name = array_name(Kind.VOLUME, identifier, 31)
    description = Label(id=identifier).encode(4096)
    assert identifier_of(name, description) == identifier


@given(st.uuids())
def test_a_canonical_uuid_needs_no_description_and_another_spelling_is_another_id(identifier):
    name = array_name(Kind.VOLUME, str(identifier), 31)
    assert (len(name), identifier_of(name)) == (31, str(identifier))
    if str(identifier).upper() != str(identifier):
        assert array_name(Kind.VOLUME, str(identifier).upper(), 31) != name


@pytest.mark.parametrize("name", ["", "vol-1", "bdvx-a", "bdv", "BDVL-a", "bdvl-", "bdvl-A", "openstack_17"])
def test_foreign_names_are_nobody_s(name):
    assert kind_of(name) is None
    assert identifier_of(name) is None


@given(IDS, st.booleans(), st.integers(60, 300))
def test_a_label_fits_its_field_and_still_tells_ids_apart(identifier, copying, room):
    label = Label(id=identifier, source="bdvl-a", copying=copying)
    text = label.encode(room)
    assert len(text.encode()) <= room
    assert text.isascii()
    if text:
        read = Label.parse(text)
        assert (read.source, read.copying) == ("bdvl-a", copying)
        assert not read.names_other_than(identifier)
        assert read.names_other_than(f"{identifier}!")


@pytest.mark.parametrize("text", ["", "made by hand", "blockdriversX;id=a", "volume-17 of tenant b"])
def test_a_foreign_description_claims_nothing(text):
    assert Label.parse(text) == Label()
    assert not Label.parse(text).names_other_than("a")


@pytest.mark.parametrize("bad", ["", "a\nb", "\x00", "\ud800", "x" * (MAX_ID_LENGTH + 1), 7, None])
def test_ids_that_cannot_be_are_refused(bad):
    with pytest.raises(InvalidRequest, match="volume id"):
        check_id(bad, "volume")


def test_an_id_may_be_any_printable_text():
    for good in ("卷-1", "a b;c|d&e$(f)", "🙂", str(uuid.uuid4()), "x" * MAX_ID_LENGTH, "../../etc"):
        assert check_id(good, "volume") == good
