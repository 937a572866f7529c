"""The codes that the simulated array answers with. Source: protocol sheet, section 4.

The second part is invented: the sheet lists these refusals without a code. Clients may only read their descriptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

UNAUTHORISED: Final = -401
BAD_PARAMETER: Final = 50331651
WRONG_PASSWORD: Final = 1077949061
TOO_MANY_SESSIONS: Final = 1077949067
BUSY: Final = 1077949006
NOT_SUPPORTED: Final = 1077949002
NAME_EXISTS: Final = 1077948993
ID_EXISTS: Final = 1077948997
NO_OBJECT: Final = 1077948996
NAME_LENGTH: Final = 1077949103
NAME_CHARACTER: Final = 1077949106
NO_LUN: Final = 1077936859
NO_LUN_GROUP: Final = 1077936861
LUN_IN_GROUP: Final = 1077936862
LUN_MAPPED: Final = 1077936864
NO_HOST: Final = 1077937498
NO_HOST_GROUP: Final = 1077937500
HOST_IN_GROUP: Final = 1077937501
HOST_NOT_IN_GROUP: Final = 1073745412
NO_SNAPSHOT: Final = 1077937880
SNAPSHOT_NOT_ACTIVE: Final = 1077937891
NO_VIEW: Final = 1077951819
NOT_IN_VIEW: Final[Mapping[str, int]] = {"14": 1073804552, "257": 1073804553, "256": 1073804554}
IN_VIEW: Final[Mapping[str, int]] = {"14": 1073804556, "257": 1073804558, "256": 1073804560}
NO_MAPPING: Final = 1073804587
MAPPING_EXISTS: Final = 1073804588
NO_PORT_GROUP: Final = 1077951832
PORT_IN_GROUP: Final = 1077951833
PORT_NOT_IN_GROUP: Final = 1073807618
INITIATOR_NOT_BOUND: Final = 1077950342
NO_LUN_COPY: Final = 50338560
COPY_STOPPED: Final = 1077950178
COPY_COMPLETE: Final = 1077950180
NO_CLONE_PAIR: Final = 1073798147
NO_SYNCHRONISATION: Final = 1073798172
SYNCHRONISED: Final = 1073798176
NO_MIGRATION: Final = 1073806607
NO_MIGRATION_LICENCE: Final = 1073806606
QOS_IN_THE_PAST: Final = 1077950863

# Invented: the sheet names these cases and no codes.
OUT_OF_SPACE: Final = 1079990001
LUN_IN_USE: Final = 1079990002
LUN_HAS_SNAPSHOTS: Final = 1079990003
LUN_NOT_IN_GROUP: Final = 1079990004
INITIATOR_BOUND: Final = 1079990005
OBJECT_IN_USE: Final = 1079990006
SNAPSHOT_ACTIVE: Final = 1079990007
SNAPSHOT_IN_USE: Final = 1079990008
NO_LICENCE: Final = 1079990009
COPY_RUNNING: Final = 1079990010
LUN_IN_POLICY: Final = 1079990011
POLICY_ACTIVE: Final = 1079990012
NO_LUN_ID: Final = 1079990013
SIZES_DIFFER: Final = 1079990014
REVERTING: Final = 1079990015
NO_SNAPSHOT_LICENCE: Final = 1079990016
LUN_INITIALISING: Final = 1079990017

TEXTS: Final[Mapping[int, str]] = {
    UNAUTHORISED: "The session is not authorised.",
    BAD_PARAMETER: "A parameter is not valid.",
    WRONG_PASSWORD: "User name or password is wrong.",
    TOO_MANY_SESSIONS: "The number of sessions has reached its limit.",
    BUSY: "The system is busy.",
    NOT_SUPPORTED: "The operation is not supported.",
    NAME_EXISTS: "An object of this name exists.",
    ID_EXISTS: "An object of this id exists.",
    NO_OBJECT: "The object does not exist.",
    NAME_LENGTH: "The length of the name is not allowed.",
    NAME_CHARACTER: "The name holds a character that is not allowed.",
    NO_LUN: "The LUN does not exist.",
    NO_LUN_GROUP: "The LUN group does not exist.",
    LUN_IN_GROUP: "The LUN is in the LUN group already.",
    LUN_MAPPED: "The LUN is mapped to the host through another mapping view.",
    NO_HOST: "The host does not exist.",
    NO_HOST_GROUP: "The host group does not exist.",
    HOST_IN_GROUP: "The host is in the host group already.",
    HOST_NOT_IN_GROUP: "The host is not in the host group.",
    NO_SNAPSHOT: "The snapshot does not exist.",
    SNAPSHOT_NOT_ACTIVE: "The snapshot is not activated.",
    NO_VIEW: "The mapping view does not exist.",
    NO_MAPPING: "The mapping does not exist.",
    MAPPING_EXISTS: "The mapping exists.",
    NO_PORT_GROUP: "The port group does not exist.",
    PORT_IN_GROUP: "The port is in the port group already.",
    PORT_NOT_IN_GROUP: "The port is not in the port group.",
    INITIATOR_NOT_BOUND: "The initiator is not bound to a host.",
    NO_LUN_COPY: "The LUN copy does not exist.",
    COPY_STOPPED: "The LUN copy has been stopped.",
    COPY_COMPLETE: "The LUN copy is complete.",
    NO_CLONE_PAIR: "The clone pair does not exist.",
    NO_SYNCHRONISATION: "The clone pair is not being synchronised.",
    SYNCHRONISED: "The synchronisation of the clone pair is complete.",
    NO_MIGRATION: "The LUN migration does not exist.",
    NO_MIGRATION_LICENCE: "There is no licence for LUN migration.",
    QOS_IN_THE_PAST: "The start of the schedule has passed.",
    OUT_OF_SPACE: "The storage pool has not enough free capacity.",
    LUN_IN_USE: "The LUN is in use.",
    LUN_HAS_SNAPSHOTS: "The LUN has snapshots.",
    LUN_NOT_IN_GROUP: "The LUN is not in the LUN group.",
    INITIATOR_BOUND: "The initiator is bound to another host.",
    OBJECT_IN_USE: "The object has members or is associated and cannot be deleted.",
    SNAPSHOT_ACTIVE: "The snapshot is active and cannot be deleted.",
    SNAPSHOT_IN_USE: "The snapshot is in use.",
    NO_LICENCE: "The feature is not available.",
    COPY_RUNNING: "The copy is running.",
    LUN_IN_POLICY: "The LUN is in a QoS policy.",
    POLICY_ACTIVE: "The QoS policy is active and cannot be deleted.",
    NO_LUN_ID: "The host has no LUN id left.",
    SIZES_DIFFER: "Source and target differ in size.",
    REVERTING: "A rollback is under way.",
    # This text, not its code, is known: clients look for it (sheet, section 3.4).
    NO_SNAPSHOT_LICENCE: "The snapshot license file is unavailable.",
    LUN_INITIALISING: "The LUN is being initialised.",
}
