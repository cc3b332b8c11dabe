#!/usr/bin/env bash
# Question: how does a local job of submitit get certain GPUs, say the second one, or one named by its UUID?
# Likely guess: the caller's CUDA_VISIBLE_DEVICES is inherited, as by any child process; or
#   AutoExecutor(cluster="local").update_parameters(local_visible_gpus=[1]), since LocalExecutor documents
#   `visible_gpus` and AutoExecutor takes parameters of one executor with its name before them.
# What is so: the caller's variable is overwritten with an empty one, so the job sees no GPU. AutoExecutor refuses
#   `local_visible_gpus` as unknown, and `visible_gpus` too. Only LocalExecutor itself takes `visible_gpus`, as whole
#   numbers: the text that CUDA names devices by (UUID, MIG) is refused.
# Versions: submitit 1.5.4, Python 3.11.
# Why it matters: a training that is tried out locally before it goes to SLURM computes on the CPU, without a word.
#   A way out: LocalExecutor(folder, python="env CUDA_VISIBLE_DEVICES=GPU-... python").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet submitit==1.5.4
cat > "$folder/job.py" <<'PY'
import os


def seen():
    return os.environ.get("CUDA_VISIBLE_DEVICES")
PY
cat > "$folder/look.py" <<'PY'
import sys

import submitit
from job import seen

folder = sys.argv[1]
found = {}
executor = submitit.AutoExecutor(folder, cluster="local")
executor.update_parameters(timeout_min=1)
found["caller has 1"] = executor.submit(seen).result()
for name, value in (("local_visible_gpus", [1]), ("visible_gpus", [1])):
    try:
        submitit.AutoExecutor(folder, cluster="local").update_parameters(gpus_per_node=1, **{name: value})
        found[f"AutoExecutor, {name}"] = "taken"
    except Exception as error:
        found[f"AutoExecutor, {name}"] = type(error).__name__
for value in (1, "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"):
    executor = submitit.LocalExecutor(folder)
    try:
        executor.update_parameters(timeout_min=1, gpus_per_node=1, visible_gpus=[value])
        found[f"LocalExecutor, visible_gpus=[{value!r}]"] = executor.submit(seen).result()
    except ValueError as error:
        found[f"LocalExecutor, visible_gpus=[{value!r}]"] = type(error).__name__
for what, saw in found.items():
    print(f"{what}: {saw!r}")
expected = ["", "NameError", "NameError", "1", "ValueError"]
sys.exit(0 if list(found.values()) == expected else f"changed: expected {expected}")
PY
cd "$folder"
CUDA_VISIBLE_DEVICES=1 PYTHONPATH="$folder" "$folder/venv/bin/python" look.py "$folder/jobs"
