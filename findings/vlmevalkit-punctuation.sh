#!/usr/bin/env bash
# Question: which words does VLMEvalKit see in an answer once `process_punctuation` has removed the signs?
# Likely guess: each sign is removed or replaced by a space, one way for all; what stands elsewhere in the answer does
#   not matter to a word, and each full stop at a word's end goes.
# What is so: whether a sign is deleted or becomes a space depends on all of the answer. `No,there is none` reads No:
#   the comma becomes a space. `No,there is none, I think` reads Unknown: one comma with a space after it, anywhere,
#   and all are deleted, which leaves `nothere`. One number such as 1,000 deletes all signs. And only the first 32 full
#   stops go, as a flag of `re` is given where `sub` takes the count: `Yes.` after 32 sentences keeps its full stop.
# Versions: ms-vlmeval 0.0.20 (VLMEvalKit's package), Python 3.11.
# Why it matters: the longer a model reasons before it says `Yes.`, the less often it is read, and the answer is then
#   wrong or goes to the judge. The same rule cleans the answers of the VQA benchmarks.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pandas==2.3.3 huggingface-hub==2.4.0 pillow==13.0.0 sty==1.0.6 validators==0.36.0
"$folder/venv/bin/pip" install --quiet --no-deps ms-vlmeval==0.0.20
cat > "$folder/look.py" <<'PY'
import sys
import types
from importlib.util import find_spec
from runpy import run_path

# The package without its first file, which would pull in its command line, and with it torch.
package = types.ModuleType("vlmeval")
package.__path__ = list(find_spec("vlmeval").submodule_search_locations)
sys.modules["vlmeval"] = package
yorn = run_path(f"{package.__path__[0]}/dataset/utils/yorn.py")

answers = {
    "No,there is none": "No",
    "No,there is none, I think": "Unknown",
    "Yes,there are many": "Yes",
    "Yes,there are 1,000": "Unknown",
    "It is there. " * 31 + "Yes.": "Yes",
    "It is there. " * 32 + "Yes.": "Unknown",
}
found = {answer: yorn["YOrN_Extraction"](answer) for answer in answers}
for answer, read in found.items():
    shown = answer if len(answer) < 40 else f"{answer.count('.') - 1} sentences, then {answer[-4:]!r}"
    print(f"{shown}: read as {read}, cleaned {yorn['process_punctuation'](answer.lower())[-30:]!r}")
sys.exit(0 if found == answers else "changed: expected " + ", ".join(answers.values()))
PY
"$folder/venv/bin/python" "$folder/look.py"
