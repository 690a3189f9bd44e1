"""Names of a profile's numbers lie where their places say."""

from __future__ import annotations

from models.fraud import layout


def test_each_place_is_that_of_its_name() -> None:
    places = {
        layout.TRANSACTIONS: {**dict.fromkeys(layout.COUNTS, ""), **dict.fromkeys(layout.MOMENTS, ".count")},
        layout.TRANSFERS: {**dict.fromkeys(layout.TOKEN_COUNTS, ""), **dict.fromkeys(layout.TOKEN_MOMENTS, ".count")},
        layout.OWN: {**dict.fromkeys(layout.OWN_COUNTS, ""), **dict.fromkeys(layout.OWN_MOMENTS, ".count")},
    }
    for names, told in places.items():
        assert len(set(names)) == len(names)
        for name, part in told.items():
            assert names[getattr(layout, name.upper())] == name + part
