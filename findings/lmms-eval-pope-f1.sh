#!/usr/bin/env bash
# Question: in lmms-eval's POPE, how does an answer that is neither yes nor no weigh on F1, and what is the yes ratio?
# Likely guess: such an answer is a miss, for F1 as for accuracy (POPE's own code takes it for yes); the yes ratio is
#   the share of questions that the model answers with yes, as in POPE's paper, where it shows a model's bias.
# What is so: accuracy wants exactly "yes" or "no", so "Yes." is wrong; precision and recall leave what is neither out
#   of every count. With four labels yes and the answers "yes", "Yes.", "Yes.", "It is", accuracy is 0.25 and F1 1.0.
#   pope_yes_ratio counts the labels, not the answers: it is the same for a model that always says yes and one that
#   always says no.
# Versions: lmms-eval 0.7.3, Python 3.11.
# Why it matters: F1 is the figure that papers print for POPE. A model that ignores "a single word" gets the F1 of the
#   answers that obeyed, up to 1, and nothing in the table tells: the yes ratio cannot.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
cat > "$folder/look.py" <<'PY'
import sys
from importlib.metadata import files
from runpy import run_path

# The task's own file. It imports nothing; the packages around it would pull in torch.
[path] = [file.locate() for file in files("lmms-eval") if file.match("lmms_eval/tasks/pope/utils.py")]
pope = run_path(str(path))


def figures(labels, answers):
    rows = [
        pope["pope_process_results"]({"question_id": number, "answer": label}, [answer])
        for number, (label, answer) in enumerate(zip(labels, answers))
    ]
    names = ("accuracy", "precision", "recall", "f1_score", "yes_ratio")
    return {name: pope[f"pope_aggregate_{name}"]([row[f"pope_{name}"] for row in rows]) for name in names}


unread = figures(["yes"] * 4, ["yes", "Yes.", "Yes.", "It is"])
always_yes = figures(["yes", "no"] * 2, ["yes"] * 4)
always_no = figures(["yes", "no"] * 2, ["no"] * 4)
print("yes, Yes., Yes., It is (all labels yes):", unread)
print("always yes (half of the labels yes):    ", always_yes)
print("always no (half of the labels yes):     ", always_no)
found = [unread["accuracy"], unread["f1_score"], always_yes["yes_ratio"], always_no["yes_ratio"]]
expected = [0.25, 1.0, 0.5, 0.5]
sys.exit(0 if found == expected else f"changed: expected {expected}, found {found}")
PY
"$folder/venv/bin/python" "$folder/look.py"
