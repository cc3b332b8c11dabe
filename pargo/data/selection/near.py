"""Which of millions of perceptual hashes differ in few bits: exact, in bounded memory, on numpy alone.

Banding (multi-index hashing: Norouzi, Punjani, Fleet, CVPR 2012): of b disjoint groups of bits, two hashes that differ
in at most d bits differ in at most r = d // b bits of one group, so only hashes whose keys are that close in some group
are compared. It misses nothing, whichever bits the groups hold; those that vary most are dealt out evenly, which makes
the groups tell most apart. Where many hashes share a key (flat images), they are searched in the same way with the bits
that still differ among them; where no grouping helps, all are compared. So the work is never more than that of
comparing all with all, and the memory does not depend on the number of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pargo.data.selection.phash import NUM_BITS, NUM_BYTES

Words = NDArray[np.uint64]  # [n, 4]
Rows = NDArray[np.intp]
Pairs = tuple[Rows, Rows, NDArray[np.int64]]

SMALL = 1 << 20  # comparisons that are done at once
LEAF = 512  # hashes compared one by one
SAMPLE = 2048  # hashes that show which bits vary
KEY_BITS = 16  # of a group, at most: a table of that many keys is small
EXACT_KEY_BITS = 14  # of a group; with fewer, one differing bit in larger groups is cheaper
GAIN = 3  # a comparison by groups costs that many of a comparison of all


def as_words(hashes: bytes) -> Words:
    """Concatenated hashes of 32 bytes as an array [n, 4]."""
    return np.frombuffer(hashes, np.uint64).reshape(-1, NUM_BYTES // 8)


def first_kept(hashes: Words, max_distance: int) -> tuple[Rows, NDArray[np.int64]]:
    """Which hashes to keep so that no two kept ones differ in at most `max_distance` bits.

    In the order given, a hash is kept unless it is near one that was kept before it. A chain of small steps is thus not
    dropped as a whole: each hash is compared with kept ones only.

    Args:
        hashes: [n, 4].
        max_distance: bits, from 0 to 256.

    Returns:
        For each hash the row of the first kept one that it is near, -1 for a kept one; and the distance, 0 for those.
    """
    distinct, rows, inverse = _distinct(hashes)
    near = np.full(len(distinct), -1, np.intp)
    distance = np.zeros(len(distinct), np.int64)
    _keep(distinct, np.arange(len(distinct)), max_distance, near, distance)
    first, bits = near[inverse], distance[inverse]
    leaders = np.where(first >= 0, rows[first], rows[inverse])
    leaders[rows[near < 0]] = -1
    return leaders, bits


def nearest(queries: Words, index: Words, max_distance: int) -> tuple[Rows, NDArray[np.int64]]:
    """For each query the row of the nearest hash of the index (the first of equally near ones), and the bits between.

    -1 and 0 where none is within `max_distance` bits.
    """
    found, _, inverse = _distinct(queries)
    kept, rows, _ = _distinct(index)
    none = (NUM_BITS + 1) << 40
    best = np.full(len(found), none, np.int64)
    for query, row, bits in near_pairs(found, kept, max_distance):
        np.minimum.at(best, query, (bits << 40) | rows[row])
    best = best[inverse]
    hit = best < none
    return np.where(hit, best & ((1 << 40) - 1), -1), np.where(hit, best >> 40, 0)


def near_pairs(queries: Words, index: Words, max_distance: int) -> Iterator[Pairs]:
    """All pairs within `max_distance` bits as blocks (rows of queries, rows of index, bits); some come repeatedly."""
    total = len(queries) * len(index)
    if total > SMALL:
        groups, radius = _groups(queries, index, max_distance)
        keys = [(_keys(queries, group), _keys(index, group)) for group in groups]
        probes = [0, *(1 << bit for bit in range(len(groups[0])))][: None if radius else 1] if groups else []
        work = sum(_work(left, right, probe) for left, right in keys for probe in probes)
        if probes and work * GAIN < total:
            for left, right in keys:
                yield from _search_group(queries, index, left, right, probes, max_distance)
            return
    yield from _compare_all(queries, index, max_distance)


def _distinct(hashes: Words) -> tuple[Words, Rows, Rows]:
    """The different hashes in order of their first rows, those rows, and for each hash which of them it is."""
    whole = np.ascontiguousarray(hashes).view(np.dtype((np.void, NUM_BYTES))).ravel()
    _, rows, inverse = np.unique(whole, return_index=True, return_inverse=True)
    order = np.argsort(rows)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return hashes[rows[order]], rows[order], rank[inverse]


def _keep(hashes: Words, rows: Rows, max_distance: int, near: Rows, distance: NDArray[np.int64]) -> Rows:
    """Fill `near` and `distance` of some rows, in order, and return the kept ones.

    The second half is searched only among what is kept of the first, so a dense cluster costs little.
    """
    if len(rows) <= LEAF:
        return _keep_one_by_one(hashes, rows, max_distance, near, distance)
    half = len(rows) // 2
    kept, rest = _keep(hashes, rows[:half], max_distance, near, distance), rows[half:]
    none = len(hashes) << 16
    best = np.full(len(rest), none, np.int64)
    for query, row, bits in near_pairs(hashes[rest], hashes[kept], max_distance):
        np.minimum.at(best, query, (kept[row] << 16) | bits)
    dropped = best < none
    near[rest[dropped]], distance[rest[dropped]] = best[dropped] >> 16, best[dropped] & 0xFFFF
    return np.concatenate([kept, _keep(hashes, rest[~dropped], max_distance, near, distance)])


def _keep_one_by_one(hashes: Words, rows: Rows, max_distance: int, near: Rows, distance: NDArray[np.int64]) -> Rows:
    bits = _distances(hashes[rows][:, None], hashes[rows][None])
    close = np.tril(bits <= max_distance, -1)
    kept = np.ones(len(rows), bool)
    for row in np.flatnonzero(close.any(1)):
        found = close[row] & kept
        if found.any():
            first = found.argmax()
            kept[row] = False
            near[rows[row]], distance[rows[row]] = rows[first], bits[row, first]
    return rows[kept]


def _groups(queries: Words, index: Words, max_distance: int) -> tuple[list[Rows], int]:
    """Groups of bits, and in how many bits of one of them near hashes differ at most; none where bits are too few."""
    sample = np.concatenate([part[:: max(1, len(part) // SAMPLE)] for part in (queries, index)])
    share = np.array([_bit(sample, bit).mean() for bit in range(NUM_BITS)])
    order = np.argsort(np.abs(share - 0.5), kind="stable")
    order = order[: np.count_nonzero((share > 0) & (share < 1))]
    number, radius = max_distance + 1, 0
    if len(order) // number < EXACT_KEY_BITS:
        number, radius = max_distance // 2 + 1, 1
    if len(order) < number:
        return [], radius
    return [order[start::number][: min(KEY_BITS, len(order) // number)] for start in range(number)], radius


def _bit(hashes: Words, bit: int) -> NDArray[np.uint64]:
    return (hashes[:, bit // 64] >> np.uint64(bit % 64)) & np.uint64(1)


def _keys(hashes: Words, group: Rows) -> NDArray[np.uint16]:
    keys = np.zeros(len(hashes), np.uint64)
    for place, bit in enumerate(group):
        keys |= _bit(hashes, int(bit)) << np.uint64(place)
    return keys.astype(np.uint16)


def _counts(keys: NDArray[np.uint16]) -> NDArray[np.int64]:
    return np.bincount(keys, minlength=1 << KEY_BITS)


def _work(left: NDArray[np.uint16], right: NDArray[np.uint16], probe: int) -> int:
    """Comparisons of a probe: the keys of the queries with one bit (or none) turned."""
    return int(_counts(left ^ np.uint16(probe)) @ _counts(right)) + len(left)


def _search_group(
    queries: Words,
    index: Words,
    left: NDArray[np.uint16],
    right: NDArray[np.uint16],
    probes: list[int],
    max_distance: int,
) -> Iterator[Pairs]:
    """Pairs whose keys differ as one of the probes."""
    by_key, rows = np.argsort(left, kind="stable"), np.argsort(right, kind="stable")
    left, sorted_queries, sorted_index = left[by_key], queries[by_key], index[rows]
    counts = _counts(right)
    starts = np.cumsum(counts) - counts
    for probe in probes:
        keys = left ^ np.uint16(probe)
        crowded = _counts(keys) * counts > SMALL
        for key in np.flatnonzero(crowded):
            some = np.flatnonzero(keys == key)
            others = slice(starts[key], starts[key] + counts[key])
            for query, row, bits in near_pairs(sorted_queries[some], sorted_index[others], max_distance):
                yield by_key[some[query]], rows[others][row], bits
        number = np.where(crowded[keys], 0, counts[keys])
        ends = np.cumsum(number)
        cuts = np.searchsorted(ends, np.arange(SMALL, ends[-1], SMALL)).tolist()
        for begin, end in zip([0, *cuts], [*cuts, len(keys)], strict=True):
            each = number[begin:end]
            query = np.repeat(np.arange(begin, end), each)
            place = np.arange(len(query)) + np.repeat(starts[keys[begin:end]] - np.cumsum(each) + each, each)
            for word in (slice(0, 1), slice(1, 4)):  # most differ enough in the first
                near = _distances(sorted_queries[query, word], sorted_index[place, word]) <= max_distance
                query, place = query[near], place[near]
            if len(query):
                bits = _distances(sorted_queries[query], sorted_index[place])
                close = bits <= max_distance
                yield by_key[query[close]], rows[place[close]], bits[close]


def _compare_all(queries: Words, index: Words, max_distance: int) -> Iterator[Pairs]:
    """Pairs found by comparing all with all, tile by tile."""
    side = 512
    for top in range(0, len(queries), side):
        for left in range(0, len(index), side):
            ours, theirs = queries[top : top + side], index[left : left + side]
            query, row = np.nonzero(_distances(ours[:, None, :2], theirs[None, :, :2]) <= max_distance)
            if len(query):
                bits = _distances(ours[query], theirs[row])
                close = bits <= max_distance
                yield query[close] + top, row[close] + left, bits[close]


def _distances(left: Words, right: Words) -> NDArray[np.int64]:
    """Differing bits of hashes along the last axis."""
    total = np.bitwise_count(left[..., 0] ^ right[..., 0]).astype(np.int64)
    for word in range(1, left.shape[-1]):
        total += np.bitwise_count(left[..., word] ^ right[..., word])
    return total
