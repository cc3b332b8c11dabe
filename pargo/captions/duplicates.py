"""Captions that say the same as an earlier one, in the same or nearly the same words."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from pargo.captions.units import per_word, words

SHINGLE = 3  # words


def text_hash(caption: str) -> bytes:
    """Hash of a caption's words alone, 16 bytes: case, spaces and punctuation do not count."""
    return hashlib.blake2b(" ".join(words(caption)).encode(), digest_size=16).digest()


def simhash(found: Sequence[str]) -> bytes:
    """256 bits of which near texts share most (Charikar, STOC 2002): signs of a sum over three-word sequences.

    Where characters stand for words, the sequences have as many characters as make three.
    """
    size = SHINGLE * per_word(found)
    grams = {" ".join(found[place : place + size]) for place in range(max(1, len(found) - size + 1))}
    digests = b"".join(hashlib.blake2b(gram.encode(), digest_size=32).digest() for gram in sorted(grams))
    bits = np.unpackbits(np.frombuffer(digests, np.uint8).reshape(-1, 32), axis=1)
    return np.packbits(2 * bits.sum(0, dtype=np.int64) > len(bits)).tobytes()
