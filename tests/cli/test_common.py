from __future__ import annotations

import logging
import os
import pwd
import socket
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import pytest

from greensalt.cli.common import (
    add_daemon_arguments,
    become_user,
    load_config,
    pid_file,
    prepare_directories,
)
from greensalt.cli.logs import set_up_logging
from greensalt.config import MasterConfig, MinionConfig
from greensalt.errors import ConfigError

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def clean_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level = handlers, level


def config(where: Path, **options: object) -> MasterConfig:
    return MasterConfig.load(where).replace(
        pki_dir=where / "pki",
        cachedir=where / "cache",
        sock_dir=where / "sock",
        pidfile=where / "run" / "pid",
        log_file=str(where / "log" / "master"),
        user=ME,
        **options,
    )


def test_flags_override_the_file(tmp_path: Path) -> None:
    (tmp_path / "minion").write_text("id: m\nlog_level: error\nuser: nobody\n")
    parser = ArgumentParser()
    add_daemon_arguments(parser)
    argv = ["-c", str(tmp_path), "-l", "debug", "--log-file", "/l", "--log-file-level", "info"]
    args = parser.parse_args([*argv, "--pid-file", "/p", "-u", "root"])
    loaded = load_config(MinionConfig, args)
    assert (loaded.log_level, loaded.log_file, loaded.log_level_logfile) == ("debug", "/l", "info")
    assert (loaded.pidfile, loaded.user, loaded.id) == (Path("/p"), "root", "m")
    assert load_config(MinionConfig, parser.parse_args(argv[:2])).log_level == "error"


def test_directories_are_made_and_the_keys_are_closed_to_others(tmp_path: Path) -> None:
    prepare_directories(config(tmp_path))
    assert (tmp_path / "pki").stat().st_mode & 0o777 == 0o700
    assert all((tmp_path / name).is_dir() for name in ("cache", "sock", "run", "log"))
    prepare_directories(config(tmp_path))


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(ConfigError, match="cache can't be created: File exists"):
        prepare_directories(config(tmp_path))


def test_a_pid_file_is_there_while_the_daemon_is(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with pid_file(path, ME):
        assert path.read_text() == str(os.getpid())
    assert not path.exists()


def test_a_second_daemon_is_told_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    message = f"it is running already, as process {os.getpid()}"
    with pid_file(path, ME), pytest.raises(ConfigError, match=message), pid_file(path, ME):
        pass


def test_a_pid_file_that_was_left_behind_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("99999999999999")
    with pid_file(path, ME):
        assert path.read_text() == str(os.getpid())


def test_a_pid_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="nowhere/pid can't be written: No such file"),
        pid_file(tmp_path / "nowhere" / "pid", ME),
    ):
        pass
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="link can't be written"), pid_file(tmp_path / "link", ME):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_the_configured_user_must_exist() -> None:
    with pytest.raises(ConfigError, match=r"user .nobody-of-that-name. .* does not exist"):
        become_user("nobody-of-that-name")
    become_user(ME)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_is_given_up_for_the_configured_user() -> None:
    code = (
        "import os; from greensalt.cli.common import become_user; become_user('nobody');"
        "print(os.geteuid(), os.getuid(), os.getegid(), os.environ['USER']);"
        "become_user('root')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    nobody = pwd.getpwnam("nobody")
    ids = f"{nobody.pw_uid} {nobody.pw_uid} {nobody.pw_gid} nobody"
    assert done.stdout.strip() == ids
    assert "the configuration wants the user root, but this is nobody" in done.stderr


def test_the_log_file_has_salts_format_and_its_own_level(
    tmp_path: Path, clean_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    options = config(tmp_path, log_level="error", log_level_logfile="info", warnings=("beware",))
    set_up_logging(options)
    logging.getLogger("greensalt.x").info("hello %s", "you")
    line = (tmp_path / "log" / "master").read_text().splitlines()[1]
    stamp, rest = line[:23], line[23:]
    assert len(stamp.split(",")[1]) == 3
    assert rest.startswith(" [greensalt.x      :")
    assert rest.endswith(f"][INFO    ][{os.getpid()}] hello you")
    assert capsys.readouterr().err == ""
    assert "beware" in (tmp_path / "log" / "master").read_text()


def test_the_console_has_salts_format(
    tmp_path: Path, clean_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(config(tmp_path, log_level="debug"), file=False)
    logging.getLogger("greensalt.x").debug("hello")
    assert capsys.readouterr().err == "[DEBUG   ] hello\n"


def test_salts_own_fields_are_known(
    tmp_path: Path, clean_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    fmt = "%(colorlevel)s %(bracketname)s %(colormsg)s%(jid)s"
    set_up_logging(config(tmp_path, log_fmt_console=fmt), file=False)
    logging.getLogger("x").error("oh")
    expected = f"\x1b[0;31m[{'ERROR':<8}]\x1b[0m [{'x':<17}] \x1b[0;31moh\x1b[0m\n"
    assert capsys.readouterr().err == expected


def test_single_loggers_have_levels_of_their_own(
    tmp_path: Path, clean_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    levels = {"greensalt.quiet_one": "quiet"}
    set_up_logging(config(tmp_path, log_granular_levels=levels), file=False)
    logging.getLogger("greensalt.quiet_one").critical("nothing")
    assert capsys.readouterr().err == ""
    with pytest.raises(ConfigError, match="log_granular_levels: a: 'loud' is not one of"):
        set_up_logging(config(tmp_path, log_granular_levels={"a": "loud"}), file=False)


def test_a_log_file_that_cannot_be_opened_is_a_warning_on_the_console(
    tmp_path: Path, clean_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_text("")
    set_up_logging(config(tmp_path))
    assert "can't be opened" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="log/master can't be opened"):
        set_up_logging(config(tmp_path), console=False)


def test_a_wrong_format_is_named(tmp_path: Path, clean_logging: None) -> None:
    with pytest.raises(ConfigError, match="log format 'nothing' is wrong"):
        set_up_logging(config(tmp_path, log_fmt_console="nothing"), file=False)


def test_a_syslog_may_take_the_log(tmp_path: Path, clean_logging: None) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(5)
        url = f"udp://127.0.0.1:{syslog.getsockname()[1]}/LOG_DAEMON"
        set_up_logging(config(tmp_path).replace(log_file=url), console=False)
        logging.getLogger("greensalt.x").error("hello")
        data = syslog.recv(1000)
    assert data.startswith(b"<27>")  # facility daemon, severity error
    assert b"hello" in data


DAEMON = """
import sys, time
from pathlib import Path
from greensalt.cli.common import run_daemon
from greensalt.config import MasterConfig

where = Path(sys.argv[1])
config = MasterConfig.load(where, {{"user": "{me}"}})

def serve():
    print("lost")
    (where / "served").write_text(str(__import__("os").getpid()))
    while not (where / "stop").exists():
        time.sleep(0.01)
    raise RuntimeError("a fault")

sys.exit(run_daemon(config, serve, background=True))
"""


def test_a_daemon_in_the_background_outlives_its_command(tmp_path: Path) -> None:
    (tmp_path / "master").write_text(f"root_dir: {tmp_path}\nlog_level: info\n")
    argv = [sys.executable, "-c", DAEMON.format(me=ME), str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pidfile = tmp_path / "var/run/salt-master.pid"
    pid = int(pidfile.read_text())
    process = os.pidfd_open(pid)
    try:
        again = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert again.returncode == 1
        assert f"it is running already, as process {pid}" in again.stderr
        assert os.getsid(pid) != os.getsid(0)
    finally:
        (tmp_path / "stop").write_text("")
        import select

        assert select.select([process], [], [], 30)[0], "the daemon did not end"
        os.close(process)
    assert (tmp_path / "served").read_text() == str(pid)
    log = (tmp_path / "var/log/salt/master").read_text()
    assert "the daemon died" in log
    assert "RuntimeError: a fault" in log
    assert not pidfile.exists()


def test_what_is_wrong_at_the_start_in_the_background_is_told(tmp_path: Path) -> None:
    (tmp_path / "master").write_text(f"root_dir: {tmp_path}\nlog_granular_levels: {{a: loud}}\n")
    argv = [sys.executable, "-c", DAEMON.format(me=ME), str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "log_granular_levels: a: 'loud' is not one of" in done.stderr
