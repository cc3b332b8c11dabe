#!/usr/bin/env bash
# Question: in VLMEvalKit's POPE without a judge, how does an answer that is read as neither Yes nor No weigh, say
#   `**No**`, as chat models write it?
# Likely guess: the asterisks are dropped with the other signs. If not, it is wrong, for F1 (`Overall`) as for `acc`.
# What is so: asterisks are not among the signs that are dropped, so `**No**` is Unknown. For `acc` it is wrong. For F1
#   all that is not Yes is No, so it is a true negative. A model that answers `Yes` and `**No**`, always rightly, has
#   acc 50 and F1 100. `**Yes**` is a No for F1, a false negative.
# Versions: ms-vlmeval 0.0.20 (VLMEvalKit's package), pandas 2.3.3, Python 3.11.
# Why it matters: the two columns of one table count the same answers in two ways. lmms-eval, with the same answers,
#   leaves them out of F1. So POPE's F1 compares between harnesses only where every answer is read.
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
from runpy import run_path

import pandas

# The package without its first file, which would pull in its command line, and with it torch.
package = types.ModuleType("vlmeval")
package.__path__ = list(find_spec("vlmeval").submodule_search_locations)
sys.modules["vlmeval"] = package
yorn = run_path(f"{package.__path__[0]}/dataset/utils/yorn.py")
path = f"{sys.argv[1]}/answers.xlsx"


def figures(labels, answers):
    """The overall row of the table, for answers that are read without a judge, as the dataset's evaluate() does."""
    extracted = [yorn["YOrN_Extraction"](answer) for answer in answers]
    scores = [label == read for label, read in zip(labels, extracted)]
    table = {"index": range(len(labels)), "category": "random", "answer": labels, "extracted": extracted}
    pandas.DataFrame({**table, "score": scores}).to_excel(path, index=False)
    overall = yorn["POPE_rating"](path).iloc[0]
    return extracted, float(overall["acc"]), float(overall["Overall"])


found = []
for no, yes in (("No", "Yes"), ("**No**", "Yes"), ("No", "**Yes**")):
    extracted, accuracy, f1 = figures(["Yes", "No"], [yes, no])
    print(f"labels Yes, No; answers {yes}, {no}; read as {', '.join(extracted)}: acc {accuracy:g}, F1 {f1:g}")
    found.append((accuracy, f1))
expected = [(100, 100), (50, 100), (50, 0)]
sys.exit(0 if found == expected else f"changed: expected {expected}")
PY
"$folder/venv/bin/python" "$folder/look.py" "$folder"
