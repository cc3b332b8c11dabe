#!/usr/bin/env bash
# Question: what does lmms-eval's MMBench (mmbench_en_dev) do with an answer that names no option, when no OpenAI key
#   is set, as on a cluster's node without a network?
# Likely guess: it stops and asks for the key, or the answer is wrong, since it names no option.
# What is so: after 15 tries at the judge the answer is drawn among A, B, C, D and E, also where the question has two
#   options. The draw has a fixed seed, so the figure looks measured: the same at each run. A model that only ever
#   says "I cannot tell." gets about a fifth. The draws are in a row, so one answer of another question that becomes
#   readable moves all draws after it, and so which of the unread answers are right.
# Versions: lmms-eval 0.7.3, pandas 2.3.3, Python 3.11. Only the pause between tries is set to 0 here (3 s each).
# Why it matters: two models, or two checkpoints, differ by draws; equal figures of two runs do not show otherwise.
#   The file with the details does not tell which were drawn. mmbench_en_dev_static draws nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
"$folder/venv/bin/pip" install --quiet pandas==2.3.3 requests==2.34.2 loguru==0.7.3
cat > "$folder/look.py" <<'PY'
import io
import sys
import threading
from contextlib import redirect_stdout
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import files
from runpy import run_path

# The task's own file; the packages around it would pull in torch.
[path] = [file.locate() for file in files("lmms-eval") if file.match("tasks/mmbench/mmbench_evals.py")]
evals = run_path(str(path))
evals["eval_logger"].remove()
tries = 0


class NoKey(BaseHTTPRequestHandler):
    """Says what the judge's service says to the key that the task has when none is set: 401."""

    def do_POST(self):
        global tries
        tries += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


def accuracy(answers, labels):
    """The figure of eval_result, and the same without the first question."""
    options = {"A": "red", "B": "blue", "C": float("nan"), "D": float("nan"), "E": float("nan")}
    shared = {"question": "Which colour is it?", "category": "colour", "L2-category": "perception", **options}
    rows = [
        {"index": number, "prediction": answer, "answer": label, **shared}
        for number, (answer, label) in enumerate(zip(answers, labels))
    ]
    with redirect_stdout(io.StringIO()):
        overall, _, _ = judge.eval_result(rows, eval_method="openai")
    return round(float(overall) * len(rows))


server = HTTPServer(("127.0.0.1", 0), NoKey)
threading.Thread(target=server.serve_forever, daemon=True).start()
judge = evals["MMBench_Evaluator"](API_KEY="YOUR_API_KEY", API_URL=f"http://127.0.0.1:{server.server_port}/")
judge.get_chat_response = partial(judge.get_chat_response, sleep_time=0)
labels = ["A"] * 50 + ["B"] * 50
unread = ["I cannot tell."] * 100
first, again = accuracy(unread, labels), accuracy(unread, labels)
print(f"100 questions of two options, all answered 'I cannot tell.': {first} right, again: {again} right")
print(f"tries at the judge for one answer: {tries / 200:g}")
one_read = accuracy(["A", *unread[1:]], labels)
print(f"the first question's answer now right and readable: {one_read} right")
sys.exit(0 if (first, again, tries) == (0, 0, 0) else f"changed: {first}, {again}, {tries}, {one_read}")
PY
"$folder/venv/bin/python" -W ignore "$folder/look.py"
