"""Kinds of plug-ins: a module of settings each, found by its name, so that adding one changes no other's code.

A kind is a package below `pargo.config`, e.g. `pargo.config.projectors`. Its module `qformer` holds the settings of the
plug-in that a config calls `qformer`: one class whose tag field (`name` or `kind`) is a `Literal` of the module's name.
Modules that begin with an underscore are shared by plug-ins, and are none.

A stage reads the settings of its own plug-in through `Kind.chosen`, and imports nothing of the others. The union of all
is made for a whole `Config` alone.
"""

from __future__ import annotations

import importlib
import inspect
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, Union, get_args

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationInfo
from pydantic_core import PydanticKnownError

from pargo.code import plugin_names
from pargo.config.base import Settings
from pargo.errors import InputError, PargoError

Base = TypeVar("Base", bound=Settings)


class Kind(Generic[Base]):
    """A package of plug-ins' settings.

    Args:
        package: dotted name of the package.
        base: class that all settings of the kind derive from; what a stage may expect of any of them.
        tag: the field that names the plug-in.
        word: what one is called in messages, e.g. `projector`.
    """

    def __init__(self, package: str, base: type[Base], *, tag: str, word: str) -> None:
        self.package, self.base, self.tag, self.word = package, base, tag, word

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all plug-ins, sorted.

        Raises:
            PargoError: a file and a folder have the same name, of which Python would see the folder alone.
        """
        (folder,) = importlib.import_module(self.package).__path__
        try:
            return plugin_names(Path(folder))
        except ValueError as error:
            raise PargoError(f"{self.word} {error}") from None

    def module(self, name: str) -> str:
        """Dotted name of the module of a plug-in's settings; InputError lists the choices."""
        if name not in self.names:
            raise InputError(f"unknown {self.word} {name!r}; choices: {', '.join(self.names)}")
        return f"{self.package}.{name}"

    def settings(self, name: str) -> type[Base]:
        """The settings class of a plug-in.

        Raises:
            PargoError: no such plug-in, or its module does not hold exactly one whole class that carries its name.
        """
        try:
            module = importlib.import_module(self.module(name))
        except SyntaxError as error:
            raise PargoError(f"{error.filename}:{error.lineno}: {error.msg}") from None
        except ImportError as error:
            raise PargoError(f"{self.package}.{name} cannot be imported: {error}") from None
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, self.base) and value.__module__ == module.__name__
        ]
        classes = [value for value in own if self.tag in value.model_fields and self._tags(value)]
        if len(classes) != 1:
            raise PargoError(
                f"{module.__name__}: expected one subclass of {self.base.__name__} with a field "
                f"`{self.tag}: Literal[{name!r}]`, found {len(classes)}"
            )
        if (tags := self._tags(classes[0])) != (name,):
            raise PargoError(
                f"{module.__name__}: {classes[0].__name__}.{self.tag} is {', '.join(map(repr, tags))}; "
                f"expected {name!r}, the name of the file"
            )
        if inspect.isabstract(classes[0]):
            lacking = ", ".join(sorted(classes[0].__abstractmethods__))
            raise PargoError(f"{module.__name__}: {classes[0].__name__} lacks {lacking}, see {self.base.__name__}")
        return classes[0]

    def _tags(self, settings: type[Settings]) -> tuple[Any, ...]:
        return get_args(settings.model_fields[self.tag].annotation)

    def parse(self, value: Any, info: ValidationInfo) -> Any:
        """A mapping as the settings of the plug-in that it names; anything else as it is, for pydantic to judge.

        Raises:
            ValueError: no such plug-in, or not its settings; the error's places and kinds are those of the union.
        """
        if not isinstance(value, dict):
            return value
        name, field = value.get(self.tag), repr(self.tag)
        if name is None:
            raise PydanticKnownError("union_tag_not_found", {"discriminator": field})
        if name not in self.names:
            choices = ", ".join(map(repr, self.names))
            raise PydanticKnownError(
                "union_tag_invalid", {"discriminator": field, "tag": str(name), "expected_tags": choices}
            )
        try:
            settings = self.settings(name)
        except PargoError as error:
            raise ValueError(str(error)) from None
        # strict settings take a list for a tuple where the value comes from JSON, and only there
        read = settings.model_validate_json
        return read(json.dumps(value)) if info.mode == "json" else settings.model_validate(value)

    @property
    def chosen(self) -> Any:
        """Type of a stage's field that holds the settings of one plug-in of this kind."""
        return Annotated[self.base, SerializeAsAny(), BeforeValidator(self.parse)]

    @property
    def union(self) -> Any:
        """Type of a config's field: the settings of any plug-in; imports them all."""
        classes = tuple(self.settings(name) for name in self.names)
        return Annotated[Union[classes], Field(discriminator=self.tag)]  # noqa: UP007 - of a tuple
