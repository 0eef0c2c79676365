"""`mcbench methods`: what can be measured, what each lacks, and telling mcbench where it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mcbench.cli.console import errors, output, print_json
from mcbench.cli.options import DebugOption, JsonOption, parse_settings
from mcbench.errors import MethodError, UsageError, UserError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from mcbench.methods import Method, Question

NAME = "methods"
EXAMPLES = """Examples:

$ mcbench methods

$ mcbench methods magicanimate

$ mcbench methods --json"""

READY, TO_SET_UP, BROKEN = "ready", "to set up", "broken"
_STYLES = {READY: "green", TO_SET_UP: "yellow", BROKEN: "red"}


def run(
    name: Annotated[str | None, typer.Argument(help="All about one of them.", metavar="[NAME]")] = None,
    configure: Annotated[
        str | None,
        typer.Option("--configure", help="Say where this method's program and weights are.", metavar="NAME"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="An answer to --configure, such as repository=PATH; repeatable. A terminal asks for what is left out.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the methods that are installed and what each lacks, or say where one of them is."""
    if configure is not None:
        if name not in (None, configure):
            raise UsageError(f"{name} or --configure {configure}: give one")
        _configure(configure, parse_settings(set_), as_json=json)
    elif set_:
        raise UsageError("--set goes with --configure NAME")
    elif name is not None:
        _show(name, as_json=json)
    else:
        _list(as_json=json)


def _list(*, as_json: bool) -> None:
    """All methods, a few lines each."""
    from mcbench.methods import available_methods

    rows = [_row(name, found) for name, found in available_methods().items()]
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("method", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("what it is")
    for row in rows:
        star = "*" if row.get("needs_truth") else ""
        what = Text(row.get("problem") or row["summary"])  # brackets in it are no markup
        if row.get("lacks"):
            what.append(f"\nlacks {', '.join(line.partition(': ')[0] for line in row['lacks'])}", style="dim")
        table.add_row(Text(f"{row['name']}{star}", style="bold"), _state(row), what)
    output.print(table)
    output.print()
    if any(row.get("needs_truth") for row in rows):
        output.print("* is shown the truth", style="dim")
    output.print("`mcbench methods NAME` says what one lacks, where to get it, and its settings", style="dim")


def _show(name: str, *, as_json: bool) -> None:
    """All about one method."""
    from mcbench.methods import find_method

    found = find_method(name)
    row = _row(name, found)
    if as_json:
        print_json(row)
        return
    output.print(Text.assemble((name, "bold"), f" {found.version}  ", _state(row)))
    output.print(found.summary, markup=False)
    if found.needs_truth:
        output.print("is shown the truth, and starred in tables")
    if row["lacks"]:
        output.print("\nlacks", style="bold")
        output.print(_lines(row["lacks"]))
        if found.questions():
            output.print(f"`mcbench methods --configure {name}` asks for it and checks it", style="dim")
    if found.Settings.model_fields:
        output.print("\nsettings, as in --set key=value", style="bold")
        output.print(_lines([f"{key}: {_default(field)}" for key, field in found.Settings.model_fields.items()]))
    elif not row["lacks"]:
        output.print("no settings", style="dim")


def _default(field: FieldInfo) -> str:
    """The value that a setting has unless it is set."""
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "not set"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _state(row: dict[str, Any]) -> Text:
    state = BROKEN if "problem" in row else READY if row["ready"] else TO_SET_UP
    return Text(state, style=_STYLES[state])


def _row(name: str, found: type[Method] | str) -> dict[str, Any]:
    """A method as --json has it."""
    if isinstance(found, str):
        return {"name": name, "ready": False, "problem": found}
    lacks = _lacks(found)
    return {
        "name": name,
        "ready": not lacks,
        "version": found.version,
        "summary": found.summary,
        "needs_truth": found.needs_truth,
        "needs_driving_video": found.needs_driving_video,
        "takes_checkpoint": found.takes_checkpoint,
        "argument": found.argument,
        "settings": list(found.Settings.model_fields),
        "lacks": lacks,
    }


def _lacks(method: type[Method]) -> list[str]:
    """What a method lacks; one that fails at telling must not take the others with it."""
    try:
        return list(method.lacks())
    except Exception as error:
        return [" ".join(f"{type(error).__name__}: {error}".split())]


def _lines(lines: Sequence[str]) -> Padding:
    """`key: text` lines in two columns."""
    table = Table(box=None, show_header=False, padding=(0, 2), pad_edge=False)
    table.add_column(no_wrap=True, style="yellow")
    table.add_column()
    for line in lines:
        key, colon, text = line.partition(": ")
        table.add_row(*((Text(key), Text(text)) if colon and " " not in key else (Text(""), Text(line))))
    return Padding(table, (0, 0, 0, 2))


def _configure(name: str, answers: dict[str, str], *, as_json: bool) -> None:
    from mcbench.methods import find_method

    found = find_method(name)
    questions = found.questions()
    if not questions:
        raise UsageError(f"method '{name}' needs no configuring")
    if not as_json and sys.stdin is not None and sys.stdin.isatty():
        _ask(questions, answers)
    missing = _unanswered(questions, answers)
    if missing:
        asked = "; ".join(f"--set {question.key}=… ({question.text})" for question in missing)
        raise UsageError(f"method '{name}' must be told more: {asked}")
    try:
        file = found.configure(answers)
    except UserError:
        raise
    except Exception as error:
        raise MethodError(
            f"method '{name}' cannot be configured: {type(error).__name__}: {error}; --debug shows where"
        ) from error
    _told(name, found, file, as_json=as_json)


def _ask(questions: Sequence[Question], answers: dict[str, str]) -> None:
    """Ask at the terminal for what was not given with --set; Enter keeps what is known."""
    known = {question.key for question in questions if question.default}
    for question in questions:
        others = {key for key in question.alternatives if answers.get(key) or (key in known and not question.default)}
        other = question.goes_with
        meaningless = other is not None and not (answers.get(other) or other in known)
        if question.key in answers or others or meaningless:
            continue
        errors.print(Text.assemble((question.key, "bold"), f": {question.text}"), soft_wrap=True)
        kept = f"[{question.default}]" if question.default else ""
        try:
            answer = errors.input(f"  {kept}> ", markup=False, emoji=False).strip()
        except EOFError:
            raise typer.Abort from None
        if answer and answer != question.default:
            answers[question.key] = answer


def _unanswered(questions: Sequence[Question], answers: dict[str, str]) -> list[Question]:
    """Required questions without an answer; of alternatives only the first."""
    defaults = {question.key: question.default for question in questions}
    found: list[Question] = []
    for question in questions:
        keys = (question.key, *question.alternatives)
        known = any(answers.get(key, defaults.get(key)) for key in keys)
        if question.required and not known and not {other.key for other in found} & set(keys):
            found.append(question)
    return found


def _told(name: str, found: type[Method], file: Path, *, as_json: bool) -> None:
    """What is known now, and where it stands."""
    known = {question.key: question.default for question in found.questions() if question.default is not None}
    lacks = _lacks(found)
    if as_json:
        print_json({"name": name, "ready": not lacks, "file": str(file), "answers": known, "lacks": lacks})
        return
    output.print(Text.assemble((name, "bold"), " is ", (READY, _STYLES[READY]) if not lacks else TO_SET_UP))
    output.print(_lines([f"{key}: {value}" for key, value in known.items()]))
    if lacks:
        output.print(_lines(lacks))
    errors.print(f"{file}", soft_wrap=True, markup=False)
