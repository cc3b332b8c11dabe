"""Keys of samples as webdataset has them, and the ids that they become: any key works, and comes back from its id."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_META = re.compile(r"__[^/]*__(/|$)")  # webdataset's own notes
_OTHER = re.compile(rb"[^A-Za-z0-9_-]")


def split_name(name: str) -> tuple[str, str] | None:
    """(key, suffix) of a file in a tar as webdataset tells them apart; None for a file that is of no sample.

    The key ends at the first dot of the name's last part, and includes the folders; the suffix, in lower case, is all
    that follows: `dir/a.b.JPG` is the file `b.jpg` of the sample `dir/a`. A file without a dot is of no sample; one
    whose name begins with a dot is of its folder's (`dir/.a.jpg`: key `dir/`), or of none where there is no folder or
    its name has a dot. Two things differ from webdataset: `./` in front is no part of the key, and `._a.jpg`, which
    macOS writes beside `a.jpg`, is of no sample.
    """
    name = name.removeprefix("./")
    folder, slash, last = name.rpartition("/")
    stem, dot, suffix = last.partition(".")
    if not dot or _META.match(name) or last.startswith("._"):
        return None
    if not stem and (not slash or "." in folder):
        return None
    return f"{folder}{slash}{stem}", suffix.lower()


def escape(text: str) -> str:
    """The text as a part of an id: letters, digits, `_` and `-` of ASCII stay, other bytes of its UTF-8 become `%XX`.

    Bytes of a tar's header that are no UTF-8 are kept as they are (Python has them as lone surrogates).
    """
    data = text.encode(errors="surrogateescape")
    return _OTHER.sub(lambda match: b"%%%02X" % match[0][0], data).decode()


def unescape(text: str) -> str:
    """The text that `escape` made a part of an id of."""
    return unquote_to_bytes(text).decode(errors="surrogateescape")
