#!/usr/bin/env bash
# Question: does transformers' LlamaTokenizer put `<s>` before a text when it is loaded from a `tokenizer.model` alone,
#   as the original weights of LLaMA-like models have it?
# Likely guess: yes. Its documentation says `add_bos_token` is True by default and shows an encoding that begins with
#   the id 1, and transformers 4 does so.
# What is so: with transformers 5 it does not, and not a word is said. `<s>` is known (bos_token_id is 1), but it comes
#   only where tokenizer_config.json, or the call, says add_bos_token=True.
# Versions: transformers 5.24.0 against 4.57.6, sentencepiece 0.2.3, Python 3.11.
# Why it matters: the same folder gives other ids after an upgrade. A model trained with `<s>` is then evaluated, or
#   tuned, without it: nothing fails, figures are just lower. Folders that transformers 4 saved hold the setting; those
#   made by hand or by conversion scripts often do not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/train.py" <<'PY'
import sys

import sentencepiece

lines = (f"the cat number {number} sat on the mat and looked at the red dog" for number in range(200))
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=lines,
    model_prefix=sys.argv[1],
    model_type="bpe",
    byte_fallback=True,
    vocab_size=320,
    hard_vocab_limit=False,
    minloglevel=2,
)
PY
cat > "$folder/look.py" <<'PY'
import json
import shutil
import sys
from pathlib import Path

import transformers

folder = Path(sys.argv[1])
expected = json.loads(sys.argv[2])
found = []
for settings in (None, {"tokenizer_class": "LlamaTokenizer"}, {"add_bos_token": True}, {"add_bos_token": False}):
    model = folder / "model"
    shutil.rmtree(model, ignore_errors=True)
    model.mkdir()
    shutil.copy(folder / "tokenizer.model", model)
    if settings is not None:
        (model / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = transformers.LlamaTokenizer.from_pretrained(model)
    first = tokenizer.convert_ids_to_tokens(tokenizer("the cat").input_ids)[0]
    found.append(first == "<s>")
    held = "no tokenizer_config.json" if settings is None else json.dumps(settings)
    print(f"transformers {transformers.__version__}, {held}: 'the cat' begins with {first!r}")
sys.exit(0 if found == expected else f"changed: expected {expected}, found {found}")
PY
for version in 4.57.6 5.24.0; do
    python3 -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet "transformers==$version" sentencepiece==0.2.3 protobuf==7.36.2
    if [ ! -e "$folder/tokenizer.model" ]; then
        "$folder/venv/bin/python" "$folder/train.py" "$folder/tokenizer"
    fi
    expected="[true, true, true, false]"
    if [ "$version" = 5.24.0 ]; then expected="[false, false, true, false]"; fi
    TRANSFORMERS_VERBOSITY=error "$folder/venv/bin/python" "$folder/look.py" "$folder" "$expected"
done
