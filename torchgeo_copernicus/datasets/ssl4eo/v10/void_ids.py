"""The places of SSL4EO-S12 v1.0 by number: which exist, and the gaps that a counter falls into.

251,079 places are numbered 0 to 251,175, so 97 numbers have no images. TorchGeo's class takes the index for
the number: it fails on the gaps and never reads the last 97 places.
"""

from __future__ import annotations

#: Numbers without a place. Source: `data/void_ids.csv` of the official repository (Apache-2.0).
# fmt: off
VOID_IDS: tuple[int, ...] = (
    124990, 124991, 124992, 124993, 124994, 124995, 124996, 124997, 124998, 124999, 125000, 125001,
    125002, 125003, 125004, 125005, 125006, 125007, 125008, 125009, 125010, 125011, 125012, 125013,
    125014, 125015, 125016, 125017, 125018, 125019, 125020, 125021, 125022, 125023, 125024, 125025,
    125026, 125027, 125028, 125029, 125030, 125031, 125032, 125033, 125034, 125035, 125036, 125037,
    125038, 125039, 125040, 125041, 125042, 125043, 125044, 125045, 125046, 125047, 125048, 125049,
    125050, 125051, 125052, 125054, 125055, 125058, 125059, 125060, 125061, 125062, 125063, 125064,
    125066, 125067, 125069, 125070, 125071, 125072, 125073, 125074, 125075, 125076, 125079, 125083,
    125084, 125087, 125089, 125090, 125094, 125095, 125103, 125104, 125112, 125125, 125129, 125140,
    179723,
)
# fmt: on
#: The largest number of a place.
LAST_ID = 251_175

_VOID = frozenset(VOID_IDS)


def is_released(place_id: int) -> bool:
    """Return whether there is a place of this number in the release."""
    return 0 <= place_id <= LAST_ID and place_id not in _VOID


def released_ids() -> tuple[int, ...]:
    """Return the numbers of all 251,079 places in ascending order."""
    return tuple(place_id for place_id in range(LAST_ID + 1) if place_id not in _VOID)
