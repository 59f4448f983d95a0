"""Runs commands the way `cmd.run` and its relatives mean it: users, shells, environments, texts."""

from __future__ import annotations

import fnmatch
import logging
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.green import process
from greensalt.green.process import CommandTimeout, Identity
from greensalt.minion.context import Context
from greensalt.modules._data import split_list
from greensalt.modules._surroundings import (
    environment_of,
    identity_of,
    input_of,
    seconds_of,
    umask_of,
    words_of,
    working_directory,
)

log = logging.getLogger(__name__)

DEFAULT_SHELL: Final = os.environ.get("SHELL", "/bin/sh")
LOG_LEVELS: Final = {
    "all": logging.NOTSET,
    "garbage": logging.DEBUG,
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "profile": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


@dataclass
class Command:
    """A command and everything that `cmd.run` can say about it, under the same names."""

    cmd: Any
    cwd: str | None = None
    stdin: Any = None
    runas: str | None = None
    group: str | None = None
    shell: str | None = DEFAULT_SHELL
    python_shell: bool | None = None
    env: Any = None
    clean_env: bool = False
    template: str | None = None
    rstrip: bool = True
    umask: Any = None
    output_encoding: str | None = None
    output_loglevel: str = "debug"
    timeout: float | None = None
    reset_system_locale: bool = True
    ignore_retcode: bool = False
    use_vt: bool = False
    redirect_stderr: bool = False
    bg: bool = False
    prepend_path: str | None = None
    success_retcodes: Any = None
    success_stdout: Any = None
    success_stderr: Any = None
    stdin_raw_newlines: bool = False


def check_permitted(cmd: Any, context: Context) -> None:
    """Refuse what the configuration's cmd_blacklist_glob and cmd_whitelist_glob don't allow."""
    text = " ".join(map(str, cmd)) if isinstance(cmd, list) else str(cmd)
    refused = split_list(context.opts.others.get("cmd_blacklist_glob"))
    allowed = split_list(context.opts.others.get("cmd_whitelist_glob"))
    if any(fnmatch.fnmatch(text, pattern) for pattern in refused) or (
        allowed and not any(fnmatch.fnmatch(text, pattern) for pattern in allowed)
    ):
        raise CommandExecutionError(f'The shell command "{text}" is not permitted')


def run(command: Command, context: Context) -> dict[str, Any]:
    """Run a command; a dict with pid, retcode, stdout and stderr. Sets the job's retcode."""
    plan = _Plan.of(command)
    log.info("Executing command '%s' in directory '%s'", plan.first_word(), plan.cwd)
    try:
        if command.bg:
            pid = process.start(*plan.what(), **plan.how(), timeout_s=plan.timeout_s)
            context.retcode = 0
            return {"pid": pid, "retcode": None, "stdout": "", "stderr": ""}
        ended = process.run(
            *plan.what(),
            **plan.how(),
            stdin=plan.stdin,
            timeout_s=plan.timeout_s,
            merge_stderr=command.redirect_stderr,
        )
    except OSError as error:
        raise CommandExecutionError(plan.unable(error)) from error
    except CommandTimeout as timeout:
        late = f"{plan.argv} : Timed out after {command.timeout} seconds"
        result: dict[str, Any] = {"pid": timeout.pid, "retcode": 1, "stdout": late, "stderr": ""}
    else:
        result = {
            "pid": ended.pid,
            "retcode": ended.returncode,
            "stdout": plan.text(ended.stdout),
            "stderr": plan.text(ended.stderr),
        }
        if plan.is_success(result):
            result["retcode"] = 0
    context.retcode = 0 if command.ignore_retcode else result["retcode"]
    _log_result(command, plan, result)
    return result


def run_program(
    argv: Sequence[Any],
    context: Context,
    *,
    ignore_retcode: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Run a program for a function of another module; `options` are those of Command.

    Like everywhere, a failure of the program becomes that of the job unless it is ignored.
    """
    words = [str(word) for word in argv]
    before = context.retcode
    result = run(Command(words, ignore_retcode=ignore_retcode, **options), context)
    if ignore_retcode:
        context.retcode = before
    return result


def need_program(name: str) -> str:
    """The path of a program; raises CommandExecutionError if there is none of that name."""
    path = shutil.which(name)
    if path is None:
        raise CommandExecutionError(f"Command '{name}' cannot be found")
    return path


@dataclass
class _Plan:
    """A checked command: everything the operating system wants to be told."""

    command: Command
    argv: str | list[str]
    shell: str | None
    cwd: str
    env: dict[str, str]
    stdin: bytes | None
    timeout_s: float | None
    identity: Identity | None
    umask: int

    @classmethod
    def of(cls, command: Command) -> _Plan:
        if command.template:
            raise CommandExecutionError(
                f"Attempted to render file paths with unavailable engine {command.template}"
            )
        if command.use_vt:
            raise CommandExecutionError("use_vt is not available: commands have no terminal")
        shell = command.shell
        if shell and not (Path(shell).is_file() and os.access(shell, os.X_OK)):
            raise CommandExecutionError(f"The shell {shell} is not available")
        # The user first: whatever else is wrong, a name that does not exist is the reason.
        identity = identity_of(command.runas, command.group)
        as_line = bool(command.python_shell) and not isinstance(command.cmd, list | tuple)
        return cls(
            command=command,
            argv=str(command.cmd) if as_line else words_of(command.cmd),
            shell=(shell or "/bin/sh") if as_line else None,
            cwd=working_directory(command.cwd, command.runas),
            stdin=input_of(command.stdin, raw_newlines=command.stdin_raw_newlines),
            timeout_s=seconds_of(command.timeout),
            identity=identity,
            umask=umask_of(command.umask),
            env=environment_of(
                command.env,
                runas=command.runas,
                shell=shell,
                clean=command.clean_env,
                reset_locale=command.reset_system_locale,
                prepend_path=command.prepend_path,
            ),
        )

    def what(self) -> tuple[str | list[str]]:
        return (self.argv,)

    def how(self) -> dict[str, Any]:
        return {
            "shell": self.shell,
            "cwd": self.cwd,
            "env": self.env,
            "identity": self.identity,
            "umask": self.umask,
        }

    def first_word(self) -> str:
        """All that logs may tell of a command: arguments often hold secrets."""
        words = self.argv.split() if isinstance(self.argv, str) else self.argv
        return words[0] if words else ""

    def unable(self, error: OSError) -> str:
        """Why the command could not be started, with all settings that hold no secrets."""
        surroundings = {
            "cwd": self.cwd,
            "shell": self.shell is not None,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT if self.command.redirect_stderr else subprocess.PIPE,
            "with_communicate": True,
            "timeout": self.command.timeout,
            "bg": self.command.bg,
            "close_fds": True,
        }
        shown = "REDACTED" if self.command.output_loglevel == "quiet" else self.argv
        return f"Unable to run command '{shown}' with the context '{surroundings}', reason: {error}"

    def text(self, data: bytes) -> str:
        try:
            text = data.decode(self.command.output_encoding or "utf-8")
        except UnicodeDecodeError:
            log.error("The output of '%s' is not all text: replaced", self.first_word())
            text = data.decode(self.command.output_encoding or "utf-8", "replace")
        except LookupError as error:
            raise SaltInvocationError(f"output_encoding: {error}") from None
        return text.rstrip() if self.command.rstrip else text

    def is_success(self, result: Mapping[str, Any]) -> bool:
        """Whether the caller counts this end as a success, whatever the exit code says."""
        try:
            codes = [int(code) for code in split_list(self.command.success_retcodes)]
        except ValueError:
            raise SaltInvocationError("success_retcodes must be a list of integers") from None
        return (
            result["retcode"] in codes
            or any(str(t) in result["stdout"] for t in split_list(self.command.success_stdout))
            or any(str(t) in result["stderr"] for t in split_list(self.command.success_stderr))
        )


def _log_result(command: Command, plan: _Plan, result: Mapping[str, Any]) -> None:
    """Tell of a failure, and of the output at the level that the caller wants."""
    if command.output_loglevel == "quiet":
        return
    level = LOG_LEVELS.get(str(command.output_loglevel).lower(), logging.INFO)
    if result["retcode"] and not command.ignore_retcode:
        log.error("Command '%s' failed with return code: %s", plan.first_word(), result["retcode"])
    log.log(level, "output: %s%s", result["stdout"], result["stderr"])
