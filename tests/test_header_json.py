import json

import pytest

from django_dlq.header_json import pack, unpack

pytestmark = pytest.mark.once

HEADERS = (("a", b"ok"), ("a", b"\xff"), ("n", None), ("", b""), ("d\x00", None))


def test_headers_come_back_from_their_json():
    assert unpack(json.loads(json.dumps(pack(HEADERS)))) == HEADERS


@pytest.mark.parametrize(
    "items",
    [None, 5, [5], ["ab", 5], [["a"]], [["a", 5]], [[None, "b"]], [["a", "b", "%"]], [["a", "b", 5]], [["", "\ud800"]]],
)  # fmt: skip
def test_what_is_not_the_work_of_pack_is_refused(items):
    with pytest.raises((ValueError, TypeError)):
        unpack(items)
