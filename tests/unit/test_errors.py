from __future__ import annotations

import pytest

from blockdrivers.errors import AlreadyExists, InUse, LicenceMissing, NotFound, VendorError


@pytest.mark.parametrize("kind", [InUse, LicenceMissing, AlreadyExists])
@pytest.mark.parametrize("refusal", [VendorError, NotFound])
def test_a_refusal_whose_cause_is_known_keeps_what_the_array_said(refusal, kind):
    refused = refusal("No.", array="lab", request="DELETE /lun/{id}", vendor_code=1077948993, vendor_text="it is in use")
    explained = refused.explained_as(kind, "The LUN has snapshots.")
    assert type(explained) is kind
    assert explained.as_dict() == refused.as_dict() | {"error": kind.__name__, "message": "The LUN has snapshots."}
