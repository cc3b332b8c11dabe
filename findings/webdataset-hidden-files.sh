#!/usr/bin/env bash
# Question: what does WebDataset make of files whose name begins with a dot, such as the `._a.jpg` that tar on macOS
#   writes before `a.jpg` when the file has extended attributes?
# Likely guess: hidden files are skipped, or `._a.jpg` is one odd sample more. Either way it is the same in a folder as
#   at the top of the archive, and images and captions stay together.
# What is so: at the top of the archive they are skipped. In a folder, the folder becomes their key: `dir/._a.jpg` is
#   the key `dir/` with the suffix `_a.jpg`. As a sample is a run of files of one key, each such file ends the sample
#   before it: two pairs of image and caption become eight samples, none of them a pair.
# Versions: webdataset 1.0.2, Python 3.11.
# Why it matters: the same files give another dataset when they are packed with their folder. to_tuple("jpg", "txt")
#   then fails, or with ignore_and_continue yields nothing. A way out: COPYFILE_DISABLE=1 for tar, or `select_files=`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet webdataset==1.0.2
cat > "$folder/look.py" <<'PY'
import io
import sys
import tarfile

import webdataset

path = sys.argv[1]


def samples(names, **options):
    with tarfile.open(path, "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"1"))
    return [
        (sample["__key__"], sorted(name for name in sample if not name.startswith("__")))
        for sample in webdataset.WebDataset(path, shardshuffle=False, **options)
    ]


def pairs():
    """Images with their captions, out of the archive that samples() wrote last."""
    go_on = webdataset.ignore_and_continue
    return list(webdataset.WebDataset(path, shardshuffle=False).to_tuple("jpg", "txt", handler=go_on))


def hidden(name):
    return name.rpartition("/")[2].startswith(".")


names = ["._a.jpg", "a.jpg", "._a.txt", "a.txt", "._b.jpg", "b.jpg", "._b.txt", "b.txt"]
in_folder = [f"dir/{name}" for name in names]
top = samples(names)
pairs_top = pairs()
inside = samples(in_folder)
pairs_inside = pairs()
mended = samples(in_folder, select_files=lambda name: not hidden(name))
for what, found in (("at the top", top), ("in a folder", inside), ("in a folder, hidden files dropped", mended)):
    print(f"{what}: {len(found)} samples")
    for key, suffixes in found:
        print(f"  key {key!r}, suffixes {suffixes}")
print(f"pairs of jpg and txt: {len(pairs_top)} at the top, {len(pairs_inside)} in a folder")
found = [
    top == [("a", ["jpg", "txt"]), ("b", ["jpg", "txt"])],
    len(inside) == 8 and inside[0] == ("dir/", ["_a.jpg"]) and all(len(suffixes) == 1 for _, suffixes in inside),
    mended == [("dir/a", ["jpg", "txt"]), ("dir/b", ["jpg", "txt"])],
    (len(pairs_top), len(pairs_inside)) == (2, 0),
]
sys.exit(0 if all(found) else f"changed: {found}")
PY
"$folder/venv/bin/python" "$folder/look.py" "$folder/shard.tar"
