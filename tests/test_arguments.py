"""Arguments that are read as more than a word: settings of a stage, directories by name."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.arguments import named_directories, read_settings
from pargo.errors import UsageError

VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
SETTINGS = st.dictionaries(st.text(), VALUES | st.lists(VALUES, max_size=3), max_size=3)


@given(SETTINGS)
def test_settings_as_json(settings) -> None:
    assert read_settings("--settings", json.dumps(settings)) == settings


@given(name=st.text(min_size=1).filter(lambda name: ":" not in name), settings=SETTINGS)
def test_settings_as_an_entry_of_a_file(tmp_path_factory, name, settings) -> None:
    file = tmp_path_factory.mktemp("settings") / "with:colon.json"
    file.write_text(json.dumps({name: {"settings": settings, "code": "1"}, "other": {"settings": {}}}))
    assert read_settings("--settings", f"{file}:{name}") == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--settings: '' is no mapping in JSON"),
        ("{", "--settings: '{' is no mapping in JSON"),
        ("{a:b", "--settings: '{a:b' is no mapping in JSON"),
        ("[1]", "--settings: '[1]' is no mapping in JSON"),
        ('"a:b"', "--settings: '\"a:b\"' is no mapping in JSON"),
        ("3", "--settings: '3' is no mapping in JSON"),
        ("params.json", "--settings: 'params.json' is no mapping in JSON"),
        ("parms.json:a", "--settings: parms.json does not exist; did you mean params.json?"),
        (":a", "--settings: . is a folder, expected a file"),
        ("empty.json:a", "--settings: empty.json is empty"),
        ("list.json:a", "--settings: list.json: '[1]' is no mapping in JSON"),
        ("binary.json:a", "--settings: binary.json is no text in UTF-8, and so no JSON"),
        ("params.json:quick-pretrian", "no entry 'quick-pretrian'; did you mean 'quick-pretrain'?"),
        ("params.json:", "--settings: params.json has no entry ''"),
        ("params.json:bare", "--settings: params.json: bare: settings: expected a mapping"),
        ("params.json:text", "--settings: params.json: text: settings: expected a mapping"),
        ("params.json:listed", "--settings: params.json: listed: settings: expected a mapping"),
    ],
)
def test_what_is_no_settings(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    entries = {"quick-pretrain": {"settings": {}}, "bare": {"seed": 0}, "text": "x", "listed": {"settings": []}}
    Path("params.json").write_text(json.dumps(entries))
    Path("empty.json").touch()
    Path("list.json").write_text("[1]")
    Path("binary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError) as error:
        read_settings("--settings", text)
    assert message in str(error.value)


def test_directories_by_name_keep_their_order() -> None:
    assert list(named_directories(["b=x=y", "a=z"]).items()) == [("b", Path("x=y")), ("a", Path("z"))]
    assert named_directories([]) == {}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [(["a"], "NAME=DIR"), (["=b"], "NAME=DIR"), (["a="], "NAME=DIR"), (["a=b", "a=c"], "'a' is given twice")],
)
def test_directories_by_name_are_checked(pairs: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        named_directories(pairs)
