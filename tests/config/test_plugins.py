"""Kinds of plug-ins: found by the names of their files, read by a stage as by a config, refused when broken."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, TypeAdapter, ValidationError, create_model

from pargo.code import ROOT, import_closure
from pargo.config import implementations
from pargo.config.base import Settings, canonical_json
from pargo.config.engines import ENGINES, engine_modules
from pargo.config.experiment import parse_config
from pargo.config.implementations import Implementations
from pargo.config.plugins import Kind
from pargo.config.projectors import PROJECTORS, projector_modules
from pargo.config.yaml_file import read_yaml
from pargo.errors import ConfigError, InputError, PargoError

BASE = """
from abc import abstractmethod
from pargo.config.base import Settings

class Shape(Settings):
    @abstractmethod
    def area(self): ...
"""
SETTINGS = """
from typing import Literal
from {package}.kinds import Shape

class {cls}(Shape):
    name: Literal["{name}"]
    sides: tuple[int, ...] = (1,)

    def area(self):
        return self.sides[0]
"""
ABSTRACT = """
from abc import ABC, abstractmethod

class Drawing(ABC):
    def __init__(self, settings): ...

    @abstractmethod
    def draw(self): ...

    @abstractmethod
    def rub_out(self): ...

class Half(Drawing):
    def rub_out(self): ...
"""
DRAWN = """
from {package}.base import Drawing, Half

class Pencil:
    def draw(self): ...

class Square(Half):
    def draw(self): ...
"""
NUMBER = itertools.count()


class World:
    """A kind of plug-ins in packages of its own: `square` is whole, and stands alone until more is written."""

    def __init__(self, root: Path) -> None:
        self.root, self.name = root, f"plugins_{next(NUMBER)}"
        self.write("kinds/__init__.py", BASE)
        self.write("kinds/_shared.py", "")
        self.write("drawn/__init__.py", "")
        self.write("base.py", ABSTRACT)
        self.write("kinds/square.py", SETTINGS, cls="Square", name="square")
        self.write("drawn/square.py", DRAWN)

    def write(self, path: str, text: str, **words: str) -> None:
        file = self.root / self.name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        words = {"package": self.name} | words
        for word, value in words.items():
            text = text.replace(f"{{{word}}}", value)
        file.write_text(text)

    @property
    def kind(self) -> Kind[Any]:
        importlib.invalidate_caches()
        base = importlib.import_module(f"{self.name}.kinds").Shape
        return Kind(f"{self.name}.kinds", base, tag="name", word="shape")

    @property
    def drawings(self) -> Implementations:
        return Implementations(self.kind, f"{self.name}.drawn", f"{self.name}.base.Drawing", takes=("settings",))


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(implementations, "ROOT", tmp_path)
    return World(tmp_path)


@pytest.fixture
def two(world) -> World:
    world.write("kinds/circle.py", SETTINGS, cls="Circle", name="circle")
    world.write("drawn/circle.py", DRAWN.replace("Square", "Circle"))
    return world


def chosen(kind: Kind[Any]) -> type[Settings]:
    """A stage's settings: as a type that a function may name, so that errors have the places of real ones."""
    return create_model("Stage", __base__=Settings, shape=(kind.chosen, ...))


def union(kind: Kind[Any]) -> type[Settings]:
    return create_model("Whole", __base__=Settings, shape=(kind.union, ...))


# What is found --------------------------------------------------------------------------------------------------------


def test_plugins_are_the_files_without_an_underscore(two):
    assert two.kind.names == ("circle", "square")
    assert two.drawings.modules("circle") == (f"{two.name}.kinds.circle", f"{two.name}.drawn.circle")
    assert two.drawings.load("circle").__name__ == "Circle"


@pytest.mark.parametrize("model", [chosen, union])
def test_a_stage_and_the_config_read_and_write_the_same(two, model):
    given = {"shape": {"name": "circle", "sides": (2, 3)}}
    read = model(two.kind).model_validate(given)
    assert type(read.shape).__name__ == "Circle"
    assert canonical_json(read) == '{"shape":{"name":"circle","sides":[2,3]}}'
    assert model(two.kind).model_validate_json(canonical_json(read)).shape == read.shape


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"sides": (1,)}, "union_tag_not_found"),
        ({"name": "oval"}, "union_tag_invalid"),
        ({"name": 3}, "union_tag_invalid"),
        ({"name": "_shared"}, "union_tag_invalid"),
        ({"name": "circle", "sides": "x"}, "tuple_type"),
        ({"name": "circle", "sids": 1}, "extra_forbidden"),
    ],
)
def test_a_stage_refuses_what_the_config_refuses(two, value, kind):
    found = []
    for model in (chosen, union):
        with pytest.raises(ValidationError) as caught:
            model(two.kind).model_validate({"shape": value})
        (error,) = caught.value.errors()
        found.append((error["type"], error["ctx"] if "union" in kind else None, error["loc"][-1]))
    assert found[0] == found[1]
    assert found[0][0] == kind


def test_a_value_that_is_no_mapping_is_refused(two):
    for value in (3, "circle", None, ["circle"]):
        with pytest.raises(ValidationError, match="shape"):
            chosen(two.kind).model_validate({"shape": value})


def test_strictness_is_that_of_the_source(two):
    with pytest.raises(ValidationError, match="sides"):  # a list is a tuple in JSON alone
        chosen(two.kind).model_validate({"shape": {"name": "circle", "sides": [1]}})


def test_a_stage_imports_its_own_plugin_alone(two):
    chosen(two.kind).model_validate({"shape": {"name": "circle"}})
    two.drawings.modules("circle")
    assert f"{two.name}.kinds.circle" in sys.modules
    assert f"{two.name}.kinds.square" not in sys.modules
    assert f"{two.name}.drawn.circle" not in sys.modules


# What is broken -------------------------------------------------------------------------------------------------------


def extra_class(world: World) -> None:
    world.write("kinds/circle.py", SETTINGS + SETTINGS.replace("class {cls}", "class {cls}2"), cls="C", name="circle")


def same_name(world: World) -> None:
    world.write("kinds/circle.py", SETTINGS, cls="Circle", name="square")


def two_names(world: World) -> None:
    world.write("kinds/circle.py", SETTINGS, cls="Circle", name='circle", "square')


def file_and_folder(world: World) -> None:
    world.write("kinds/square/__init__.py", SETTINGS, cls="Square", name="square")


def abstract_settings(world: World) -> None:
    world.write("kinds/circle.py", SETTINGS.replace("def area", "def aera"), cls="Circle", name="circle")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda world: world.write("kinds/circle.py", ""), "expected one subclass of Shape with a field .* found 0"),
        (
            lambda world: world.write("kinds/circle.py", "from {package}.kinds.square import Square"),
            "expected one subclass of Shape with a field .* found 0",
        ),
        (extra_class, "expected one subclass of Shape with a field .*circle.* found 2"),
        (same_name, "kinds.circle: Circle.name is 'square'; expected 'circle', the name of the file"),
        (two_names, "Circle.name is 'circle', 'square'; expected 'circle', the name of the file"),
        (file_and_folder, "shape 'square' is claimed twice: .*square.py and .*square"),
        (abstract_settings, "kinds.circle: Circle lacks area, see Shape"),
    ],
)
def test_broken_settings_are_one_clear_error(world: World, broken: Callable[[World], None], message: str):
    broken(world)
    with pytest.raises(PargoError, match=message) as caught:
        union(world.kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"shape 'circle' has settings \(.*kinds\.circle\) but no implementation: expected .*/drawn/circle\.py"),
        ("", r"drawn/circle\.py: expected one class that derives from Drawing, found none"),
        ("class Circle:\n    def draw(self): ...", "expected one class that derives from Drawing, found none"),
        (DRAWN + "\nclass Second(Square): ...", "derives from Drawing, found Square, Second"),
        (DRAWN.replace("def draw", "def drwa"), r"drawn/circle\.py: Square lacks draw, which Drawing asks for"),
        (DRAWN.replace("Square(Half)", "Square(Drawing)"), "Square lacks rub_out, which Drawing asks for"),
        ("class Circle(Half)\n", r"drawn/circle\.py:1: expected ':'"),
        (
            DRAWN + "    def __init__(self): ...",
            r"Square is made with \(settings\), but its __init__ takes others",
        ),
        (DRAWN + "    def __init__(self, a, b): ...", r"made with \(settings\), but its __init__ takes others"),
        (DRAWN + "    def __init__(self, a, *, b): ...", r"made with \(settings\), but its __init__ takes others"),
    ],
)
def test_a_broken_implementation_is_one_clear_error(two: World, text: str | None, message: str):
    if text is None:
        (two.root / two.name / "drawn/circle.py").unlink()
    else:
        two.write("drawn/circle.py", text)
    two.drawings.modules("square")
    for use in (two.drawings.modules, two.drawings.load):
        with pytest.raises(PargoError, match=message):
            use("circle")
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Annotated[Any, AfterValidator(two.drawings.checked)]).validate_python(
            two.kind.settings("circle")(name="circle")
        )


@pytest.mark.parametrize(
    "text",
    [
        DRAWN,
        DRAWN + "    def __init__(self, settings): ...",
        DRAWN + "    def __init__(self, settings, extra=1, *, more=2): ...",
        DRAWN + "    def __init__(self, *parts): ...",
        DRAWN + "\nclass _Own(Square): ...",
        DRAWN.replace("    def draw(self): ...", "    rub_out = draw = print"),
        "import abc\nfrom {package}.base import Half as Base\nfrom typing import Generic, TypeVar\nT = TypeVar('T')\n"
        "class _Middle(Base, Generic[T]):\n    @abc.abstractmethod\n    def rub_out(self): ...\n"
        "class Circle(_Middle[int]):\n    def draw(self): ...\n    def rub_out(self): ...",
        "from {package}.drawn.square import Square\nclass Circle(Square): ...",  # of another plug-in's class
    ],
)
def test_a_whole_implementation_is_taken(two: World, text: str):
    two.write("drawn/circle.py", text)
    assert issubclass(two.drawings.load("circle"), two.drawings.load("square").__mro__[-3])


def test_an_unknown_name_lists_the_choices(two):
    for use in (two.kind.module, two.kind.settings, two.drawings.modules):
        with pytest.raises(InputError, match="unknown shape 'oval'; choices: circle, square"):
            use("oval")


# Those of the project -------------------------------------------------------------------------------------------------

FOUND = [(PROJECTORS, projector_modules, name) for name in PROJECTORS.names]
FOUND += [(ENGINES, engine_modules, name) for name in ENGINES.names]


@pytest.mark.parametrize(("kind", "modules", "name"), FOUND, ids=lambda value: value if isinstance(value, str) else "")
def test_every_plugin_is_whole_and_depends_on_no_other(kind, modules, name):
    kind.settings(name)
    found = {path.as_posix() for path in import_closure(*modules(name))}
    folders = [module.rsplit(".", 1)[0].replace(".", "/") for module in modules(name)]
    own = {module.replace(".", "/") + ".py" for module in modules(name)}
    others = {f"{folder}/{other}.py" for folder in folders for other in kind.names} - own
    assert own <= found
    assert not found & others


def test_a_config_that_uses_a_broken_plugin_is_refused(monkeypatch):
    data = read_yaml(ROOT / "config" / "micro.yaml")
    path = implementations._path
    missing = {"pargo.models.projectors.qformer", "pargo.captions.engines.conversation"}
    monkeypatch.setattr(implementations, "_path", lambda module: None if module in missing else path(module))
    with pytest.raises(ConfigError) as caught:
        parse_config(data)
    assert str(caught.value) == (
        "config: projectors.qformer: projector 'qformer' has settings (pargo.config.projectors.qformer) but no "
        "implementation: expected pargo/models/projectors/qformer.py"
    )
    del data["projectors"]["qformer"], data["arms"]["qformer"]
    data["arms"]["other"] = {"projector": {"num_layers": 3}}
    data["report"]["reference_arm"] = "other"
    parse_config(data)
    with pytest.raises(ConfigError, match=r"^config: captions\.engine: caption engine 'conversation' has settings"):
        parse_config(data | {"captions": {"engine": "conversation"}})
