#!/usr/bin/env bash
# Question: which answers of a model come back otherwise from VLMEvalKit's file of predictions (.xlsx by default)?
# Likely guess: none. The column is text, a workbook keeps text as text, and an answer such as `007` does come back.
# What is so: an answer that begins with `=`, or stands in `{=...}`, is written as a formula. Nobody computes it, so
#   it comes back as the number 0, whatever it said. As .tsv it comes back whole. In both, an empty answer, `None`,
#   `N/A`, `null` and `nan` all come back as the same missing value, which the scoring then turns into the text `nan`.
# Versions: ms-vlmeval 0.0.20 (VLMEvalKit's package), pandas 2.3.3, XlsxWriter 3.3.1, openpyxl 3.1.5, Python 3.11.
# Why it matters: for questions with numbers, `= 12` is scored as 0: wrong for the label 12, and right for the label 0.
#   `None` is a plain answer to "how many ...?" and cannot be told from an empty one. Scores from a file of predictions
#   can so differ from scores of the same answers in memory.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pandas==2.3.3 XlsxWriter==3.3.1 openpyxl==3.1.5 \
    huggingface-hub==2.4.0 pillow==13.0.0 sty==1.0.6 validators==0.36.0
"$folder/venv/bin/pip" install --quiet --no-deps ms-vlmeval==0.0.20
cat > "$folder/look.py" <<'PY'
import sys
import types
from importlib.util import find_spec

import pandas

# The package without its first file, which would pull in its command line, and with it torch.
package = types.ModuleType("vlmeval")
package.__path__ = list(find_spec("vlmeval").submodule_search_locations)
sys.modules["vlmeval"] = package
from vlmeval.smp.file import dump, load  # noqa: E402

folder = sys.argv[1]
answers = ["12", "007", "1,000", "= 12", "=12 cats", "{=1}", "None", "N/A", "null", "nan", ""]
found = {}
for ending in ("xlsx", "tsv"):
    path = f"{folder}/model_dataset.{ending}"
    dump(pandas.DataFrame({"index": range(len(answers)), "prediction": answers}), path)
    found[ending] = [str(answer) for answer in load(path)["prediction"]]
print("written       from .xlsx     from .tsv")
for written, xlsx, tsv in zip(answers, found["xlsx"], found["tsv"]):
    print(f"{written!r:<13} {xlsx!r:<13} {tsv!r}")
expected = {
    "xlsx": ["12", "007", "1,000", "0", "0", "0", *["nan"] * 5],
    "tsv": [*answers[:6], *["nan"] * 5],
}
sys.exit(0 if found == expected else f"changed: expected {expected}")
PY
"$folder/venv/bin/python" "$folder/look.py" "$folder"
