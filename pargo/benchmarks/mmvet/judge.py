"""Grades MM-Vet's answers by a judge model behind an OpenAI-compatible endpoint, into the official grades file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pargo.benchmarks.mmvet.judge_client import JudgeClient, Refused
from pargo.benchmarks.mmvet.judge_log import Finished, GradeLog
from pargo.benchmarks.mmvet.judge_prompt import PROMPT, Prompt, parse_grade, read_prompt
from pargo.benchmarks.mmvet.results import read
from pargo.benchmarks.records import Answered, check_ids
from pargo.config.base import canonical_json
from pargo.config.judge import Judge
from pargo.errors import PargoError
from pargo.files import sha256_text, write_atomic
from pargo.progress import track
from pargo.threads import in_threads


class Grading(NamedTuple):
    """What came of it: number of graded answers, ids of the others with the reason, and requests for a reply."""

    graded: int
    ungraded: dict[str, str]
    replies: int


class _Request(NamedTuple):
    key: str
    answer: Answered
    run: int
    text: str


def judge_files(meta: Path, results: Path, output: Path, judge: Judge, prompt: Path | None = None) -> Grading:
    """Grade a results file {id: text}; see `grade`.

    Args:
        meta: the questions, mm-vet.json.
        results: an answer to each of them.
        output: grades file to write.
        judge: the judge model.
        prompt: text file with `{question}`, `{reference}` and `{answer}` in place of the prompt here.

    Raises:
        PargoError: files that cannot be read, grades instead of results, `output` is one of the inputs, or `grade`'s.
    """
    for path in (meta, results, *([prompt] if prompt else [])):
        if path.resolve() == output.resolve():
            raise PargoError(f"{output} is an input: name another file for the grades")
    answers = read([meta, results], parser="judge", partial=False)
    if any("grade" in answer.details for answer in answers):
        raise PargoError(f"{results} holds grades already; a judge grades results, {{id: text}}")
    return grade(answers, judge, output, read_prompt(prompt) if prompt else PROMPT)


def log_path(output: Path) -> Path:
    """The grades so far, beside the output; they stay, so that another run asks only for what is missing."""
    return output.with_name(f"{output.name}.log.jsonl")


def grade(answers: Sequence[Answered], judge: Judge, output: Path, prompt: Prompt = PROMPT) -> Grading:
    """Ask the judge for each answer's grades and write them as the official grades file {id: {model, content, score}},
    with the version of our prompt and the answer that was graded.

    A reply that is not one number from 0 to 1 is asked for again, `max_replies` times in all. Answers that stay
    ungraded are left out of the file, never written as 0. Grades are kept as they come (`log_path`): a run after an
    interruption, or after some stayed ungraded, asks for the missing ones alone, given the same model, prompt,
    temperature and answers.

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
        with log:
            missing = [request for request in requests if request.key not in log.finished]
            for request, reason, count in _ask(missing, judge, prompt, log):
                replies += count
                if reason:
                    reasons.setdefault(request.answer.id, reason)
    except PargoError as error:
        kept = sum(request.key in log.finished for request in requests)
        kept_words = f" ({kept} of {len(requests)} grades are kept; run again to go on)" if kept else ""
        raise PargoError(f"{error}{kept_words}") from None
    grades = {}
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
    return Grading(len(grades), reasons, replies)


def _request(answer: Answered, run: int, judge: Judge, prompt: Prompt) -> _Request:
    text = prompt.fill(answer, answer.answer)
    asked = judge.model_dump(include={"model", "temperature", "max_tokens"})
    return _Request(sha256_text(canonical_json([asked, text, answer.id, run])), answer, run, text)


def _ask(
    requests: Sequence[_Request], judge: Judge, prompt: Prompt, log: GradeLog
) -> Iterable[tuple[_Request, str, int]]:
    """Each request as it is done, why it has no grade (else empty), and how many replies that took."""
    if not requests:
        return []
    client = JudgeClient(judge)

    def work(request: _Request) -> tuple[_Request, str, int]:
        return request, *_grade_one(client, request, judge.max_replies, prompt.version, log)

    done = in_threads(work, requests, min(judge.num_threads, len(requests)))
    return track(done, "Judging (answers)", total=len(requests))


def _grade_one(
    client: JudgeClient, request: _Request, max_replies: int, version: str, log: GradeLog
) -> tuple[str, int]:
    """Log the grade; why there is none (else empty), and how often the judge was asked."""
    content = ""
    for count in range(1, max_replies + 1):
        try:
            content, model, *_ = client.ask(request.text)
        except Refused as error:
            return str(error), count
        if (score := parse_grade(content)) is not None:
            log.add(
                Finished(
                    request=request.key,
                    id=request.answer.id,
                    run=request.run,
                    prompt=version,
                    model=model,
                    content=content,
                    score=score,
                )
            )
            return "", count
    return f"no number from 0 to 1 in {max_replies} replies, the last {content!r:.60}", max_replies
