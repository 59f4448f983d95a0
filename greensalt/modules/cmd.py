"""Runs commands on the minion.

A command that belongs to a job ends with it: when the job is killed, or when `timeout` seconds have
passed, its whole process group is killed.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from greensalt.errors import CommandExecutionError, SaltInvocationError
from greensalt.green import offload
from greensalt.minion.context import Context
from greensalt.minion.files import SCHEME, local_path
from greensalt.modules import _commands
from greensalt.modules._commands import Command
from greensalt.modules._signatures import takes
from greensalt.modules._surroundings import identity_of, words_of

GREEN = True

log = logging.getLogger(__name__)

QUIET_RUN = "redirect_stderr bg encoded_cmd raise_err"


@takes("cmd", without="", redirect_stderr=True)
def run(command: Command, given: dict[str, Any], context: Context) -> str:
    """Run a command and return what it writes.

    cmd
        The command: a line for the shell, or a list of words.
    cwd
        The directory to run it in; the home of its user by default.
    stdin
        What it reads.
    runas, group
        The user and the group to run it as.
    shell
        The shell for a command line.
    python_shell
        ``False`` runs the command without a shell.
    env
        Environment variables: a dict, or a list of dicts.
    clean_env
        Whether the command sees those only, and not the minion's own.
    prepend_path
        Directories to look in before those of ``PATH``.
    umask
        The umask to run it with, in octal digits.
    timeout
        The seconds after which it is killed.
    rstrip
        Whether white space at the end of the output is dropped.
    output_encoding, output_loglevel, hide_output
        How the output is decoded, logged (``quiet``: not at all), and whether it is returned.
    ignore_retcode, success_retcodes, success_stdout, success_stderr
        What does not count as a failure: anything, some exit codes, some texts in the output.
    redirect_stderr
        Whether the result has the errors, too.
    raise_err
        Whether a failure raises an error.
    bg
        Whether it runs in the background; nothing is returned then.

    CLI Example:

        greensalt-cli '*' cmd.run "ls -l | awk '/foo/{print \\$2}'"
        greensalt-cli '*' cmd.run 'ls -l' cwd=/tmp runas=nobody timeout=30
        greensalt-cli '*' cmd.run cmd='sed -e s/=/:/g' stdin='one=two'
    """
    result = _commands.run(command, context)
    output = "" if given["hide_output"] else result["stdout"]
    if given["raise_err"] and result["retcode"] and not command.ignore_retcode:
        raise CommandExecutionError(output)
    return str(output)


@takes("cmd", without=f"python_shell {QUIET_RUN.replace('bg ', '')}")
def shell(command: Command, given: dict[str, Any], context: Context) -> str:
    """Run a command line in a shell and return what it writes. See `cmd.run` for the options.

    CLI Example:

        greensalt-cli '*' cmd.shell "ls -l | awk '/foo/{print \\$2}'"
    """
    command.redirect_stderr = given.get("redirect_stderr", True)
    if given.get("python_shell") is None:
        command.python_shell = True
    result = _commands.run(command, context)
    return "" if given["hide_output"] else str(result["stdout"])


@takes("cmd", without=QUIET_RUN)
def run_stdout(command: Command, given: dict[str, Any], context: Context) -> str:
    """Run a command and return its standard output. See `cmd.run` for the options.

    CLI Example:

        greensalt-cli '*' cmd.run_stdout "ls -l"
    """
    result = _commands.run(command, context)
    return "" if given["hide_output"] else str(result["stdout"])


@takes("cmd", without=QUIET_RUN)
def run_stderr(command: Command, given: dict[str, Any], context: Context) -> str:
    """Run a command and return its error output. See `cmd.run` for the options.

    CLI Example:

        greensalt-cli '*' cmd.run_stderr "ls /nowhere"
    """
    result = _commands.run(command, context)
    return "" if given["hide_output"] else str(result["stderr"])


@takes("cmd", without="bg raise_err")
def run_all(command: Command, given: dict[str, Any], context: Context) -> dict[str, Any]:
    """Run a command; return its pid, retcode, stdout and stderr. See `cmd.run` for the options.

    CLI Example:

        greensalt-cli '*' cmd.run_all "ls -l"
    """
    result = _commands.run(command, context)
    if given["hide_output"]:
        result["stdout"] = result["stderr"] = ""
    return result


@takes("cmd", without=f"rstrip hide_output prepend_path {QUIET_RUN}")
def retcode(command: Command, given: dict[str, Any], context: Context) -> int:
    """Run a command and return its exit code. See `cmd.run` for the options.

    CLI Example:

        greensalt-cli '*' cmd.retcode "file /bin/bash"
    """
    command.redirect_stderr = True
    return int(_commands.run(command, context)["retcode"])


@takes("cmd", without=f"stdin rstrip hide_output use_vt {QUIET_RUN}")
def run_bg(command: Command, given: dict[str, Any], context: Context) -> dict[str, Any]:
    """Start a command in the background and return its pid. See `cmd.run` for the options.

    CLI Example:

        greensalt-cli '*' cmd.run_bg "fstrim-all"
    """
    command.bg = True
    return {"pid": _commands.run(command, context)["pid"]}


SCRIPT_LACKS = "clean_env rstrip ignore_retcode redirect_stderr encoded_cmd raise_err prepend_path"


@takes("source", "args", without=SCRIPT_LACKS)
def script(command: Command, given: dict[str, Any], context: Context) -> dict[str, Any]:
    """Run a script; return its pid, retcode, stdout and stderr.

    ``source`` is a file of the master (``salt://``, in the environment ``saltenv``) or an absolute
    path on the minion. ``args`` are its arguments, as a text or a list. See `cmd.run` for the
    options.

    CLI Example:

        greensalt-cli '*' cmd.script /srv/scripts/runme.sh 'arg1 "arg two"'
    """
    source = _script_path(str(given["source"]), given["saltenv"], context)
    try:
        if source is None:
            raise FileNotFoundError
        copy = offload(_private_copy, source, command.runas)
    except FileNotFoundError:
        return {"pid": 0, "retcode": 1, "stdout": "", "stderr": "", "cache_error": True}
    arguments = words_of(given["args"]) if given["args"] else []
    command.cmd = [str(copy), *arguments]
    try:
        result = _run_script(command, context)
    finally:
        copy.unlink(missing_ok=True)
    if given["hide_output"]:
        result["stdout"] = result["stderr"] = ""
    return result


def _script_path(source: str, saltenv: str | None, context: Context) -> Path | None:
    """Where a script is on the minion, None when the master does not have it."""
    if source.startswith(SCHEME):
        cached = context.call("cp.cache_file", source, saltenv)
        return Path(cached) if cached else None
    path = local_path(source)
    if path is None or not path.is_absolute():
        raise SaltInvocationError(f"the path of a script must be absolute, not {source!r}")
    return path


def _private_copy(source: Path, runas: str | None) -> Path:
    """A copy that only its user can read and run, and nobody change meanwhile."""
    handle, name = tempfile.mkstemp(prefix="greensalt-", suffix=source.suffix)
    copy = Path(name)
    try:
        with os.fdopen(handle, "wb") as target, source.open("rb") as original:
            shutil.copyfileobj(original, target)
        copy.chmod(0o500)
        if (identity := identity_of(runas, None)) is not None:
            os.chown(copy, identity.uid, -1)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy


def _run_script(command: Command, context: Context) -> dict[str, Any]:
    try:
        return _commands.run(command, context)
    except CommandExecutionError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno != errno.ENOEXEC or not command.shell:
            raise
    # It does not say what is to read it: the shell is.
    command.cmd = [command.shell, *command.cmd]
    return _commands.run(command, context)


@takes("source", "args", without=f"hide_output bg {SCRIPT_LACKS}")
def script_retcode(command: Command, given: dict[str, Any], context: Context) -> int:
    """Run a script and return its exit code. See `cmd.script`.

    CLI Example:

        greensalt-cli '*' cmd.script_retcode /srv/scripts/runme.sh
    """
    return int(script(**given, context=context)["retcode"])


def which(cmd: str) -> str | None:
    """Return the path of a program, ``None`` if there is none of that name.

    CLI Example:

        greensalt-cli '*' cmd.which cat
    """
    return shutil.which(str(cmd))


def which_bin(cmds: Any) -> str | None:
    """Return the path of the first program of a list that exists.

    CLI Example:

        greensalt-cli '*' cmd.which_bin '[pip3, pip, pip-python]'
    """
    if not isinstance(cmds, list | tuple | set):
        return None
    return next((path for cmd in cmds if (path := shutil.which(str(cmd)))), None)


def has_exec(cmd: str) -> bool:
    """Tell whether there is a program of that name.

    CLI Example:

        greensalt-cli '*' cmd.has_exec cat
    """
    return which(cmd) is not None


def exec_code(
    lang: str,
    code: str,
    cwd: str | None = None,
    args: Any = None,
    *,
    context: Context,
    **kwargs: Any,
) -> str:
    """Have a language's interpreter run some code and return what it writes.

    CLI Example:

        greensalt-cli '*' cmd.exec_code ruby 'puts "cheese"'
        greensalt-cli '*' cmd.exec_code ruby 'puts "cheese"' args='["arg1", "arg2"]'
    """
    return str(exec_code_all(lang, code, cwd, args, context=context, **kwargs)["stdout"])


def exec_code_all(
    lang: str,
    code: str,
    cwd: str | None = None,
    args: Any = None,
    *,
    context: Context,
    **kwargs: Any,
) -> dict[str, Any]:
    """Have a language's interpreter run some code; return its pid, retcode, stdout and stderr.

    CLI Example:

        greensalt-cli '*' cmd.exec_code_all ruby 'puts "cheese"'
    """
    handle, name = tempfile.mkstemp(prefix="greensalt-")
    file = Path(name)
    try:
        with os.fdopen(handle, "w") as target:
            target.write(str(code))
        if (identity := identity_of(kwargs.get("runas"), None)) is not None:
            os.chown(file, identity.uid, -1)
        more = [args] if isinstance(args, str) else list(args or [])
        words = [lang, name, *more]
        result: dict[str, Any] = run_all(
            words, cwd=cwd, python_shell=False, context=context, **kwargs
        )
        return result
    finally:
        file.unlink(missing_ok=True)


def shells() -> list[str]:
    """Return the shells that users may have, as ``/etc/shells`` lists them.

    CLI Example:

        greensalt-cli '*' cmd.shells
    """
    try:
        lines = Path("/etc/shells").read_text().splitlines()
    except OSError:
        return []
    return [line for text in lines if (line := text.strip()) and not line.startswith("#")]
