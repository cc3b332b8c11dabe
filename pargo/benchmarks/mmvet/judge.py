"""Grades MM-Vet's answers by a judge model behind an OpenAI-compatible endpoint, into the official grades file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pargo.answers import answer_files, shared, shared_folder
from pargo.benchmarks.formats.rows import read_text
from pargo.benchmarks.mmvet.entries import parse_entries
from pargo.benchmarks.mmvet.judge_client import JudgeClient, Refused
from pargo.benchmarks.mmvet.judge_log import Finished, GradeLog
from pargo.benchmarks.mmvet.judge_prompt import PROMPT, Prompt, parse_grade, read_prompt
from pargo.benchmarks.mmvet.notebook import AGAIN, MAX_TOKENS, NO_GRADE, TEMPERATURES, VERSION, first_word
from pargo.benchmarks.mmvet.results import read
from pargo.benchmarks.records import Answered, check_ids
from pargo.config.base import canonical_json
from pargo.config.judge import Judge
from pargo.errors import PargoError
from pargo.files import sha256_text, write_atomic
from pargo.progress import track
from pargo.remote.threads import in_threads


class Grading(NamedTuple):
    """What came of it: number of graded answers, ids of the others with the reason, and requests for a reply.

    `given_up` are those of the graded ones that got 0.0, in the notebook's way, as no reply was a grade.
    """

    graded: int
    ungraded: dict[str, str]
    replies: int
    given_up: tuple[str, ...] = ()


class _Request(NamedTuple):
    key: str
    answer: Answered
    run: int
    text: str


def judge_files(
    meta: Path, results: Path, output: Path, judge: Judge, prompt: Path | None = None, *, notebook: bool = False
) -> Grading:
    """Grade a results file {id: text}; see `grade`.

    Args:
        meta: the questions, mm-vet.json.
        results: an answer to each of them.
        output: grades file to write.
        judge: the judge model.
        prompt: text file with `{question}`, `{reference}` and `{answer}` in place of the prompt here.
        notebook: grade as MM-Vet's notebook does; `prompt` is the text of its variable of that name. Answers are sent
            as the file has them, with the space around them.

    Raises:
        PargoError: `notebook` without prompt, files that cannot be read, grades instead of results, `output` is one of
            the inputs, or `grade`'s.
    """
    if notebook and prompt is None:
        raise PargoError("--notebook needs --prompt FILE with the text of the notebook's variable `prompt`")
    for path in (meta, results, *([prompt] if prompt else [])):
        if path.resolve() == output.resolve():
            raise PargoError(f"{output} is an input: name another file for the grades")
    answers = read([meta, results], parser="judge", partial=False)
    if any("grade" in answer.details for answer in answers):
        raise PargoError(f"{results} holds grades already; a judge grades results, {{id: text}}")
    if notebook:
        judge = judge.model_copy(update={"max_tokens": MAX_TOKENS, "temperature": TEMPERATURES[0]})
        texts = {entry.key: entry.value for entry in parse_entries(read_text(results), str(results))}
        answers = [answer.model_copy(update={"answer": texts[answer.id]}) for answer in answers]
    return grade(answers, judge, output, read_prompt(prompt, notebook=notebook) if prompt else PROMPT)


def log_path(output: Path) -> Path:
    """The grades so far, beside the output; they stay, so that another run asks only for what is missing."""
    return output.with_name(f"{output.name}.log.jsonl")


def grade(
    answers: Sequence[Answered],
    judge: Judge,
    output: Path,
    prompt: Prompt = PROMPT,
    run_directory: Path | None = None,
) -> Grading:
    """Ask the judge for each answer's grades and write them as the official grades file {id: {model, content, score}},
    with the version of our prompt and the answer that was graded.

    A reply that is not one number from 0 to 1 is asked for again, `max_replies` times in all. Answers that stay
    ungraded are left out of the file, never written as 0, unless the prompt is the notebook's: then replies are read,
    asked for again and given up in its way (`notebook.py`). Grades are kept as they come (`log_path`): a run after an
    interruption, or after some stayed ungraded, asks for the missing ones alone, given the same model, prompt,
    temperature and answers. Those of other jobs of the project count as well, where `run_directory` is one of its.

    Raises:
        PargoError: an id twice, no answers, the server refuses key, model or address or stays out of reach (what is
            graded is kept), or not one answer could be graded.
    """
    check_ids(answers, "answers to grade")
    if not answers:
        raise PargoError("no answers to grade")
    if output.is_dir():
        raise PargoError(f"{output} is a directory, expected a file to write")
    requests = [_request(answer, run, judge, prompt) for answer in answers for run in range(judge.num_runs)]
    reasons: dict[str, str] = {}
    replies = 0
    log = GradeLog(log_path(output))
    try:
        whom = sha256_text(canonical_json(_asked(judge)))
        folder = None if run_directory is None else shared_folder(run_directory, whom)
        with log, shared(log.path, folder):
            for other in answer_files(folder):
                log.adopt(other, {request.key for request in requests})
            missing = [request for request in requests if request.key not in log.finished]
            for request, reason, count in _ask(missing, judge, prompt, log):
                replies += count
                if reason:
                    reasons.setdefault(request.answer.id, reason)
    except PargoError as error:
        kept = sum(request.key in log.finished for request in requests)
        kept_words = f" ({kept} of {len(requests)} grades are kept; run again to go on)" if kept else ""
        raise PargoError(f"{error}{kept_words}") from None
    grades: dict[str, dict[str, Any]] = {}
    for answer in answers:
        if answer.id not in reasons:
            own = [log.finished[request.key] for request in requests if request.answer.id == answer.id]
            grades[answer.id] = {
                "answer": answer.answer,
                "model": [record.model for record in own],
                "content": [record.content for record in own],
                "score": [record.score for record in own],
                "prompt": [record.prompt for record in own],
            }
    if not grades:
        first = next(iter(reasons))
        raise PargoError(f"the judge {judge.model!r} graded none of {len(answers)} answers; {first}: {reasons[first]}")
    write_atomic(output, json.dumps(grades, indent=4, ensure_ascii=False) + "\n")
    given_up = [
        name
        for name, entry in grades.items()
        if prompt.notebook and any(first_word(content) is None for content in entry["content"])
    ]
    return Grading(len(grades), reasons, replies, tuple(given_up))


def _request(answer: Answered, run: int, judge: Judge, prompt: Prompt) -> _Request:
    text = prompt.fill(answer, answer.answer)
    way = [VERSION] if prompt.notebook else []
    return _Request(sha256_text(canonical_json([_asked(judge), text, answer.id, run, *way])), answer, run, text)


def _asked(judge: Judge) -> dict[str, Any]:
    """Whom is asked, and with which settings of the reply."""
    return judge.model_dump(include={"model", "temperature", "max_tokens"})


def _ask(
    requests: Sequence[_Request], judge: Judge, prompt: Prompt, log: GradeLog
) -> Iterable[tuple[_Request, str, int]]:
    """Each request as it is done, why it has no grade (else empty), and how many replies that took."""
    if not requests:
        return []
    client = JudgeClient(judge)

    def work(request: _Request) -> tuple[_Request, str, int]:
        return request, *_grade_one(client, request, judge, prompt, log)

    done = in_threads(work, requests, min(judge.num_threads, len(requests)))
    return track(done, "Judging (answers)", total=len(requests))


def _grade_one(client: JudgeClient, request: _Request, judge: Judge, prompt: Prompt, log: GradeLog) -> tuple[str, int]:
    """Log the grade; why there is none (else empty), and how often the judge was asked."""
    read_grade = first_word if prompt.notebook else parse_grade
    temperatures = TEMPERATURES if prompt.notebook else [judge.temperature] * judge.max_replies
    count, content, model = 0, "", judge.model
    score: float | None = None
    while score is None and count < len(temperatures):
        text = request.text + AGAIN if prompt.notebook and count else request.text
        count += 1
        try:
            content, model, *_ = client.ask(text, temperatures[count - 1])
        except Refused as error:
            return str(error), count
        score = read_grade(content)
    if score is None and not prompt.notebook:
        return f"no number from 0 to 1 in {count} replies, the last {content!r:.60}", count
    log.add(
        Finished(
            request=request.key,
            id=request.answer.id,
            run=request.run,
            prompt=prompt.version,
            model=model,
            content=content,
            score=NO_GRADE if score is None else score,
        )
    )
    return "", count
