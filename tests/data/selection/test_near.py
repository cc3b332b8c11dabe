"""Near hashes: what banding finds is what comparing all with all finds, also where hashes are crowded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pargo.data.selection import near
from pargo.data.selection.near import first_kept, nearest


def brute_distances(left, right):
    return np.unpackbits((left[:, None] ^ right[None]).view(np.uint8), axis=-1).sum(-1).astype(int)


def brute_first_kept(hashes, limit):
    bits = brute_distances(hashes, hashes)
    leaders = np.full(len(hashes), -1)
    for row in range(len(hashes)):
        close = [other for other in range(row) if leaders[other] < 0 and bits[row, other] <= limit]
        if close:
            leaders[row] = close[0]
    return leaders


@st.composite
def crowded_hashes(draw, most=60):
    """Hashes around a few centres, some of them in few bits only: equal, near, flat and unrelated ones."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    count, centres = draw(st.integers(1, most)), draw(st.integers(1, 4))
    words = rng.integers(0, 2**64, (centres, 4), dtype=np.uint64)
    if draw(st.booleans()):
        words &= np.uint64(0xFF)  # flat images: most bits are never set
    hashes = words[rng.integers(0, centres, count)]
    for _ in range(draw(st.integers(0, 40))):
        row, bit = rng.integers(0, count), int(rng.integers(0, 256))
        hashes[row, bit // 64] ^= np.uint64(1 << (bit % 64))
    return hashes


@settings(max_examples=150)
@given(hashes=crowded_hashes(), limit=st.integers(0, 70))
@pytest.mark.parametrize("small", [1 << 20, 8])
def test_first_kept_is_what_comparing_all_gives(hashes, limit, small):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "SMALL", small)
        patch.setattr(near, "LEAF", 512 if small > 8 else 3)
        patch.setattr(near, "GAIN", 3 if small > 8 else 1)
        leaders, bits = first_kept(hashes, limit)
    expected = brute_first_kept(hashes, limit)
    assert leaders.tolist() == expected.tolist()
    found = np.flatnonzero(leaders >= 0)
    assert bits[found].tolist() == brute_distances(hashes, hashes)[found, leaders[found]].tolist()


@settings(max_examples=150)
@given(queries=crowded_hashes(), index=crowded_hashes(), limit=st.integers(0, 70))
@pytest.mark.parametrize("small", [1 << 20, 8])
def test_nearest_is_what_comparing_all_gives(queries, index, limit, small):
    index[: len(index) // 2] = queries[np.arange(len(index) // 2) % len(queries)]  # some are there
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "SMALL", small)
        patch.setattr(near, "GAIN", 3 if small > 8 else 1)
        rows, bits = nearest(queries, index, limit)
    expected = brute_distances(queries, index)
    for query in range(len(queries)):
        best = expected[query].min()
        assert (rows[query], bits[query]) == ((expected[query].argmin(), best) if best <= limit else (-1, 0))


def test_thousands_of_hashes_of_which_most_are_alike():
    rng = np.random.default_rng(0)
    hashes = np.repeat(rng.integers(0, 2**64, (40, 4), dtype=np.uint64), 40, axis=0)
    for row in range(len(hashes)):
        for bit in rng.integers(0, 256, 6).tolist():
            hashes[row, bit // 64] ^= np.uint64(1 << (bit % 64))
    leaders, _ = first_kept(hashes, 16)
    assert leaders.tolist() == brute_first_kept(hashes, 16).tolist()
    assert (leaders < 0).sum() == 40
