"""Option values from `cnnaudit.toml`, or from `[tool.cnnaudit]` in pyproject.toml, in the current folder."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click


def read_config(verbs: Mapping[str, click.Command]) -> dict[str, dict[str, Any]]:
    """Defaults for each verb: the common keys, overlaid by the verb's own table (`[tool.cnnaudit.explain]`).

    Keys are the long options without their dashes: `model`, `input-size`, `save-maps`. A common key
    counts for the verbs that have the option.

    Raises:
        click.UsageError: the file is no TOML, or has a key that no verb knows.
    """
    path, table = _table()
    common = {key: value for key, value in table.items() if not isinstance(value, dict)}
    known = {verb: _options(command) for verb, command in verbs.items()}
    for key in common:
        _check(path, key, {option for options in known.values() for option in options})
    for key in table.keys() - common.keys():
        _check(path, key, set(verbs))
    return {verb: _values(path, common, table.get(verb, {}), options) for verb, options in known.items()}


def _options(command: click.Command) -> dict[str, click.Parameter]:
    return {
        flag.removeprefix("--"): parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for flag in parameter.opts
        if flag.startswith("--")
    }


def _values(
    path: Path, common: Mapping[str, Any], own: Mapping[str, Any], options: Mapping[str, click.Parameter]
) -> dict[str, Any]:
    for key in own:
        _check(path, key, set(options))
    chosen = {key: value for key, value in common.items() if key in options} | dict(own)
    return {str(options[key].name): _fit(options[key], value) for key, value in chosen.items()}


def _fit(option: click.Parameter, value: Any) -> Any:
    if isinstance(value, list) and not option.multiple:
        return ",".join(map(str, value))
    return [value] if option.multiple and isinstance(value, str) else value


def _check(path: Path, key: str, known: set[str]) -> None:
    if key not in known:
        from cnnaudit.errors import near_matches

        raise click.UsageError(f"{path} sets {key!r}, which is no option or verb.{near_matches(key, known)}")


def _table() -> tuple[Path, dict[str, Any]]:
    for path, keys in ((Path("cnnaudit.toml"), ()), (Path("pyproject.toml"), ("tool", "cnnaudit"))):
        if not path.is_file():
            continue
        try:
            table: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise click.UsageError(f"{path} is not valid TOML: {error}") from error
        for key in keys:
            table = table.get(key, {}) if isinstance(table, dict) else {}
        if isinstance(table, dict) and table:
            return path, table
    return Path(), {}
