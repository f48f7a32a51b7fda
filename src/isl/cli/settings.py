"""Settings of a training run: a YAML file, and flags that win over it."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, get_args, get_origin

from cyclopts import Group, Parameter
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from isl.cli.flags import split_names
from isl.core.config import TrainConfig, merge_settings
from isl.core.errors import ConfigError

SETTINGS = Group(
    "Settings", help="Each can also stand in the file given by --config, with _ in place of -."
)


def flags_of(*configs: type[BaseModel]) -> Any:
    """Typed dictionary with one flag per field; only what the user gives will be in it.

    Parameters
    ----------
    *configs
        Models whose fields become flags; the docstring under a field is its help.  Where there are
        several, one of them is chosen by the field ``name``.

    Returns
    -------
    type
        A ``TypedDict`` that cyclopts reads.
    """
    fields = {
        name: _flag(name, field)
        for c in reversed(configs)  # where several have a field, the help of the first is shown
        for name, field in c.model_fields.items()
    }
    if len(configs) > 1:
        choices = [
            choice for c in configs for choice in get_args(c.model_fields["name"].annotation)
        ]
        text = configs[0].model_fields["name"].description
        fields["name"] = Annotated[Literal[tuple(choices)], Parameter(help=text, group=SETTINGS)]
    return TypedDict(f"{configs[0].__name__}Flags", fields, total=False)  # type: ignore[operator]


def read_settings(
    path: Path | None,
    flags: Mapping[str, Any] | None = None,
    of_data: Mapping[str, Any] | None = None,
) -> TrainConfig:
    """Settings from a YAML file and from flags; flags win.

    Parameters
    ----------
    path
        YAML file; None for none.
    flags
        Settings given on the command line; names may be nested.
    of_data
        Settings that come with the images; file and flags win over them.

    Returns
    -------
    TrainConfig
        Checked settings.

    Raises
    ------
    ConfigError
        Where the file cannot be read, or a setting is unknown or makes no sense; the message names
        the file, the setting and the nearest name that exists.
    """
    from_file = {} if path is None else read_yaml(path)
    given = {name: _split(value) for name, value in (flags or {}).items()}
    try:
        return TrainConfig.model_validate(merge_settings(of_data or {}, from_file, given))
    except ValidationError as error:
        lines = [_explain(dict(e), path, given) for e in error.errors()]
        raise ConfigError("\n".join(lines)) from error


def _flag(name: str, field: FieldInfo) -> Any:
    """Type and help of one flag."""
    kind = _plain_type(field.annotation)
    text = " ".join((field.description or "").split())
    extra = field.json_schema_extra
    flag = str(extra["flag"]) if isinstance(extra, dict) and "flag" in extra else None
    if isinstance(field.default, BaseModel):
        return Annotated[kind, Parameter(help=text, group=SETTINGS)]
    if field.default is not None:
        text += f" [default: {_text(field.default)}]"
    negative = _negative(kind)
    if flag is not None:
        names = (flag, f"--{name.replace('_', '-')}")
        return Annotated[kind, Parameter(name=names, help=text, group=SETTINGS, negative=negative)]
    return Annotated[kind, Parameter(help=text, group=SETTINGS, negative=negative)]


def _plain_type(annotation: Any) -> Any:
    """Type without constraints, which pydantic checks, and without None, which no flag can be."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain_type(args[0])
    if origin in (typing.Union, types.UnionType):
        models = _models(annotation)
        if any(get_origin(a) is tuple for a in args):
            return list[str]
        return flags_of(*models) if models else _plain_type(next(a for a in args if a is not _NONE))
    if origin is tuple:
        return list[str]
    return flags_of(*_models(annotation)) if _models(annotation) else annotation


def _models(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The groups of settings that a field may hold."""
    kinds = get_args(annotation) or (annotation,)
    return tuple(k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel))


def _negative(kind: Any) -> str | None:
    """Only switches have a ``--no-`` form."""
    return None if kind is bool else ""


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _split(value: Any) -> Any:
    """Let ``A,B`` stand for two words."""
    if isinstance(value, list):
        return split_names(value)
    if isinstance(value, Mapping):
        return {name: _split(part) for name, part in value.items()}
    return value


def read_yaml(path: Path) -> dict[str, Any]:
    """What a YAML file of settings holds; raises `ConfigError` where it cannot be read."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; check --config") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"{path} must hold lines such as 'max_minutes: 20', not a {_kind(found)}")
    return found


def _kind(value: Any) -> str:
    return "list" if isinstance(value, list) else "single value"


_NONE = type(None)


def _explain(problem: dict[str, Any], path: Path | None, flags: Mapping[str, Any]) -> str:
    """One message in the words of whoever wrote the setting: file and key, or flag."""
    where, model = _located([str(part) for part in problem["loc"]])
    name = ".".join(where)
    by_flag = path is None or (bool(where) and where[0] in flags)
    origin = f"--{name.replace('_', '-')}" if by_flag else f"{path}: {name}"
    if not where:
        origin = "the settings" if path is None else str(path)
    if problem["type"] == "extra_forbidden":
        return f"{origin} is not a setting{_nearest(where, model)}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    given = f", not {problem['input']!r}" if where else ""
    return f"{origin}: {message[:1].lower()}{message[1:]}{given}"


def _located(parts: list[str]) -> tuple[list[str], type[BaseModel]]:
    """Names that lead to a setting, and the group that it should be in.

    Where a group is one of several, pydantic puts the chosen one's name between.
    """
    model: type[BaseModel] = TrainConfig
    names: list[str] = []
    for part in parts:
        choices = {c.model_fields["name"].default: c for c in _below(model, names)}
        if part in choices:
            model = choices[part]
        else:
            names.append(part)
    return names, model


def _below(model: type[BaseModel], names: list[str]) -> tuple[type[BaseModel], ...]:
    """Groups of settings that the last name may hold."""
    field = model.model_fields.get(names[-1]) if names else None
    return () if field is None else _models(field.annotation)


def _nearest(where: list[str], model: type[BaseModel]) -> str:
    """The settings that resemble an unknown one, or all of them."""
    names = list(model.model_fields)
    close = get_close_matches(where[-1].replace("-", "_"), names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {'.'.join([*where[:-1], *close])}?"
    return f"; the settings are: {', '.join(names)}"
