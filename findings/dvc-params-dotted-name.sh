#!/usr/bin/env bash
# Question: does DVC find a parameter below a top-level key of a JSON or YAML file that holds a dot, such as `v1.5.lr`?
# Likely guess: yes, since the file has exactly this key, and `dvc.yaml` names it in full.
# What is so: no. A name in `params` is split at its dots, so a key `v1.5` is not found: `dvc repro` stops and says that
#   the parameter is missing from the file that holds it. Keys with hyphens and underscores work.
# Versions: DVC 3.67.1, Python 3.11.
# Why it matters: names of models and datasets hold dots (`qwen2.5`, `llama-3.1`, `mme-1.0`). Parameters that are filed by
#   such a name cannot be tracked one by one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dvc==3.67.1
export DVC_NO_ANALYTICS=1
dvc=("$folder/venv/bin/python" -m dvc)
changed=0
for name in llama-3_1 llama-3.1; do
    project="$folder/$name"
    mkdir "$project"
    cd "$project"
    "${dvc[@]}" init --quiet --no-scm
    printf '{"%s": {"lr": 0.1}}\n' "$name" > params.json
    printf 'stages:\n  train:\n    cmd: echo trained > model\n    params:\n    - params.json:\n      - %s.lr\n    outs:\n    - model\n' \
        "$name" > dvc.yaml
    if output=$("${dvc[@]}" repro 2>&1); then found=runs; else found=refused; fi
    echo "dvc repro with the parameter $name.lr of $(cat params.json): $found" "($(grep -m 1 ERROR <<< "$output" || echo no error))"
    case "$name/$found" in llama-3_1/runs | llama-3.1/refused) ;; *) changed=1 ;; esac
done
if [ "$changed" = 1 ]; then
    echo "changed: a dot in a top-level key is treated otherwise than before"
    exit 1
fi
