"""The same jobs on stock Salt's minion and on greensalt's: what they return must be the same.

Each side works in a directory of its own with the same files in it; DIR in an argument stands for
it. All calls of a side run in order in one process, so that later ones see what earlier ones did.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests._calls import Caller
from tests._daemons import STOCK_VERSIONS, stock_bin

SCRIPT = Path(__file__).with_name("_stock_calls.py")
PILLAR = {"apache": {"port": 80, "name": "httpd", "tls": {"on": True}}, "users": ["ann", "bob"]}
TEXT = "alpha=1\n# beta=2\n  gamma=3\n\ndelta = four\nalpha=1\nlast"


def kw(**kwargs: Any) -> dict[str, Any]:
    return {"__kwarg__": True, **kwargs}


ARGUMENTS: list[tuple[Any, ...]] = [
    ("test.ping",),
    ("test.echo", "text"),
    ("test.echo", ["a", {"b": None}]),
    ("test.echo", "text=a=b"),
    ("test.arg", 1, "two", "3", 4.5, None, True),
    ("test.arg", "a=b", "c=[1, 2]", "d={x: y}", "e=010", "f=yes", "g=1_0", "h=#x", "i=", "j= x "),
    ("test.arg", "a==b", "1a=b", "=b", "a b=c", "a\nb=c", "a=b\nc", "a=b\n", "ä=1", "a.b-c=2"),
    ("test.arg", kw(a=1, b="c=d"), {"plain": 1}),
    ("test.kwarg", "a=1", kw(a=2)),
    ("test.arg_clean", 1, "a=2"),
    ("test.arg_type", 1, "x", None, "a=1.5"),
    ("test.arg_repr", 1, "x", "a={b: c}"),
    ("test.fib",),
    ("test.fib", 1, 2, 3),
    ("test.fib", "no=1"),
    ("test.fib", 1, "num=2"),
    ("test.fib", "x"),
    ("test.ping", 1),
    ("test.ping", "a=b", "c=d"),
    ("test.retcode",),
    ("test.retcode", 3),
    ("test.retcode", "code=0"),
    ("test.exception", "Oh noes!"),
    ("test.assertion", False),
    ("test.raise_exception", "ValueError", "no"),
    ("test.raise_exception", "salt.exceptions.CommandExecutionError", "no"),
    ("test.raise_exception", "salt.exceptions.SaltInvocationError", "no"),
    ("test.raise_exception", "salt.exceptions.CommandNotFoundError", "no"),
    ("test.try", "test.exception"),
    ("test.true",),
    ("test.false",),
    ("test.tty", "x"),
    ("test.cross_test", "test.echo", ["x"]),
    ("test.outputter", {"result": False}),
    ("test.echo", {"success": 0}),
    ("test.pong",),
    ("no_such.function", 1),
    ("test",),
    ("test.pin",),
    ("",),
    ("test.not_a_function.at_all",),
]
SYS: list[tuple[Any, ...]] = [
    *(
        ("sys.argspec", name)
        for name in (
            "test.ping",
            "test.arg",
            "test.retcode",
            "cmd.run",
            "cmd.run_all",
            "cmd.run_stdout",
            "cmd.run_stderr",
            "cmd.retcode",
            "cmd.shell",
            "cmd.script",
            "cmd.which",
            "cmd.has_exec",
            "grains.get",
            "grains.set",
            "grains.append",
            "grains.item",
            "grains.filter_by",
            "pillar.raw",
            "config.get",
            "event.send",
            "event.fire_master",
            "saltutil.find_job",
            "saltutil.refresh_pillar",
            "saltutil.signal_job",
            "sys.doc",
            "sys.argspec",
            "file.replace",
            "file.line",
            "file.blockreplace",
            "file.find",
            "file.stats",
            "file.symlink",
            "file.copy",
            "file.remove",
            "file.write",
            "file.chown",
            "file.makedirs",
            "file.get_hash",
            "file.search",
            "file.comment_line",
            "file.sed",
            "no.such",
        )
    ),
    ("sys.list_functions", "test.pi*"),
    ("sys.list_modules", "test", "cmd", "no_such"),
    ("sys.doc", "no_such"),
]
COMMANDS: list[tuple[Any, ...]] = [
    ("cmd.run", "echo out; echo err >&2; exit 3"),
    ("cmd.run", "echo out; echo err >&2", kw(redirect_stderr=False)),
    ("cmd.run_all", "echo out; echo err >&2; exit 3"),
    ("cmd.run_stdout", "echo out; echo err >&2"),
    ("cmd.run_stderr", "echo out; echo err >&2"),
    ("cmd.retcode", "exit 4"),
    ("cmd.shell", "echo $((1+1))"),
    ("cmd.run", "echo $((1+1)) 'a  b'", kw(python_shell=False)),
    ("cmd.run", "pwd", kw(cwd="DIR")),
    ("cmd.run", "echo $A-$B-$C", kw(env={"A": 1, "B": None}, stdin="x")),
    ("cmd.run", "echo $A-$B", kw(env=[{"A": 1}, {"B": "two"}])),
    ("cmd.run", "cat", kw(stdin="one\\ntwo")),
    ("cmd.run", "umask", kw(umask="077")),
    ("cmd.run", "umask", kw(umask=22)),
    ("cmd.run", "umask", kw(umask=0)),
    ("cmd.run", "umask", kw(umask="x")),
    ("cmd.run", "echo $LC_ALL-$LC_MESSAGES-$LANGUAGE"),
    ("cmd.run", "printf 'x  \\n\\n'", kw(rstrip=False)),
    ("cmd.run", "printf 'x  \\n\\n'"),
    ("cmd.run", "printf '\\344'"),
    ("cmd.run", "printf '\\344'", kw(output_encoding="latin-1")),
    ("cmd.run", "exit 3", kw(ignore_retcode=True)),
    ("cmd.retcode", "exit 3", kw(success_retcodes=[3])),
    ("cmd.retcode", "exit 3", kw(success_retcodes="2,3")),
    ("cmd.retcode", "exit 3", kw(success_retcodes="x")),
    ("cmd.retcode", "echo fine; exit 3", kw(success_stdout="fine")),
    ("cmd.run", "echo no; exit 3", kw(raise_err=True)),
    ("cmd.run", "echo x", kw(hide_output=True)),
    ("cmd.run_all", "echo x", kw(hide_output=True)),
    ("cmd.run", "no-such-program", kw(python_shell=False)),
    ("cmd.run", "no-such-program"),
    ("cmd.run", "x", kw(cwd="/no/such/dir")),
    ("cmd.run", "x", kw(cwd="relative")),
    ("cmd.run", "x", kw(runas="nobody-at-all")),
    ("cmd.run", "x", kw(shell="/bin/no-shell")),
    ("cmd.run", "id -un; id -gn; echo $HOME $USER; pwd", kw(runas="nobody")),
    ("cmd.run", 3),
    ("cmd.run",),
    ("cmd.run", "echo", kw(cmd="x")),
    ("cmd.which", "sh"),
    ("cmd.which", "no-such-program"),
    ("cmd.has_exec", "sh"),
    ("cmd.which_bin", ["no-such-program", "sh"]),
    ("cmd.shells",),
    ("cmd.script", "DIR/script.sh", kw(args="one 'two three'")),
    ("cmd.script", "DIR/script.sh"),
    ("cmd.script_retcode", "DIR/script.sh", kw(template=None)),
    ("cmd.script", "/no/such/script"),
    ("cmd.exec_code", "sh", "echo $1", kw(args=["x"])),
    ("cmd.exec_code_all", "sh", "exit 3"),
]
FACTS: list[tuple[Any, ...]] = [
    ("grains.get", "no:such", "none"),
    ("grains.get", "id"),
    ("grains.item", "no", "such"),
    ("grains.has_value", "os"),
    ("grains.has_value", "no:such"),
    ("grains.equals", "kernel", "Linux"),
    ("grains.append", "kernel", "x"),
    ("grains.remove", "no_such", "x"),
    ("pillar.get", "apache:port"),
    ("pillar.get", "apache:tls:on"),
    ("pillar.get", "users:1"),
    ("pillar.get", "no:such"),
    ("pillar.get", "no:such", "none"),
    ("pillar.get", "apache", kw(merge=True, default={"more": 1, "tls": {"key": 2}})),
    ("pillar.get", "apache|port", kw(delimiter="|")),
    ("pillar.raw",),
    ("pillar.raw", "users"),
    ("pillar.keys", "apache"),
    ("pillar.keys", "users"),
    ("pillar.keys", "no_such"),
    ("pillar.ls",),
    ("pillar.item", "apache:port", "users", "no"),
    ("pillar.item", "no", kw(default="x")),
    ("pillar.fetch", "apache:name"),
    ("config.get", "apache:port"),
    ("config.get", "no:such", "none"),
    ("config.valid_fileproto", "salt://x"),
    ("config.valid_fileproto", "nope"),
    ("environ.setval", "GREENSALT_TEST", "x"),
    ("environ.get", "GREENSALT_TEST"),
    ("environ.has_value", "GREENSALT_TEST"),
    ("environ.has_value", "GREENSALT_TEST", "y"),
    ("environ.item", ["GREENSALT_TEST", "GREENSALT_NONE"]),
    ("environ.setenv", {"GREENSALT_TEST": False}, kw(false_unsets=True)),
    ("environ.get", "GREENSALT_TEST", "gone"),
    ("user.info", "root"),
    ("user.info", "nobody-at-all"),
    ("user.list_groups", "root"),
    ("user.list_users",),
    ("user.primary_group", "root"),
    ("group.info", "root"),
    ("group.info", "no-such-group"),
]
FILES: list[tuple[Any, ...]] = [
    ("file.file_exists", "DIR/text"),
    ("file.file_exists", "DIR/sub"),
    ("file.directory_exists", "DIR/sub"),
    ("file.directory_exists", "DIR/none"),
    ("file.path_exists_glob", "DIR/te*"),
    ("file.path_exists_glob", "DIR/no*"),
    *(("file.access", "DIR/text", mode) for mode in ("f", "r", "w", "x", 4, "q")),
    ("file.access", "relative", "f"),
    ("file.stats", "DIR/text", "md5"),
    ("file.stats", "DIR/sub"),
    ("file.stats", "DIR/link"),
    ("file.stats", "DIR/link", kw(follow_symlinks=False)),
    ("file.stats", "DIR/none"),
    ("file.lstat", "DIR/none"),
    ("file.lstat", "relative"),
    ("file.get_mode", "DIR/script.sh"),
    ("file.get_mode", "DIR/none"),
    ("file.set_mode", "DIR/script.sh", "0750"),
    ("file.set_mode", "DIR/script.sh", 755),
    ("file.set_mode", "DIR/script.sh", "9"),
    ("file.set_mode", "DIR/none", "0644"),
    ("file.get_user", "DIR/text"),
    ("file.get_group", "DIR/text"),
    ("file.get_uid", "DIR/text"),
    ("file.get_gid", "DIR/none"),
    ("file.user_to_uid", "root"),
    ("file.user_to_uid", "nobody-at-all"),
    ("file.user_to_uid", 0),
    ("file.uid_to_user", 0),
    ("file.uid_to_user", 54321),
    ("file.group_to_gid", "root"),
    ("file.group_to_gid", "no-such-group"),
    ("file.gid_to_group", 0),
    ("file.gid_to_group", "root"),
    ("file.gid_to_group", "no-such-group"),
    ("file.gid_to_group", 54321),
    ("file.chown", "DIR/text", "root", "root"),
    ("file.chown", "DIR/text", "nobody-at-all", "no-such-group"),
    ("file.chown", "DIR/none", "root", "root"),
    ("file.chgrp", "DIR/text", "no-such-group"),
    ("file.chgrp", "DIR/text", "daemon"),
    ("file.get_hash", "DIR/text"),
    ("file.get_hash", "DIR/text", "md5"),
    ("file.get_hash", "DIR/text", "nohash"),
    ("file.get_hash", "DIR/none"),
    ("file.get_sum", "DIR/none"),
    ("file.get_sum", "DIR/text", "sha1"),
    ("file.check_hash", "DIR/empty", "md5:d41d8cd98f00b204e9800998ecf8427e"),
    ("file.check_hash", "DIR/empty", "md5=d41d8cd98f00b204e9800998ecf8427f"),
    ("file.check_hash", "DIR/empty", "d41d8cd98f00b204e9800998ecf8427e"),
    ("file.check_hash", "DIR/empty", "short"),
    ("file.check_hash", "DIR/empty", 5),
    ("file.read", "DIR/text"),
    ("file.read", "DIR/none"),
    ("file.contains", "DIR/text", "gamma"),
    ("file.contains", "DIR/text", "omega"),
    ("file.contains", "DIR/none", "x"),
    ("file.contains_regex", "DIR/text", "^alpha"),
    ("file.contains_regex", "DIR/text", "^beta", kw(lchar="# ")),
    ("file.contains_regex", "DIR/text", "^beta"),
    ("file.contains_regex", "DIR/none", "x"),
    ("file.contains_glob", "DIR/text", "*gamma*"),
    ("file.contains_glob", "DIR/text", "gamma"),
    ("file.search", "DIR/text", "^beta"),
    ("file.search", "DIR/text", "^# beta"),
    ("file.search", "DIR/text", "alpha=1$"),
    ("file.search", "DIR/text", "ALPHA", kw(flags="IGNORECASE")),
    ("file.search", "DIR/text", "ALPHA", kw(flags=["NOSUCH"])),
    ("file.search", "DIR/none", "x"),
    ("file.search", "DIR/none", "x", kw(ignore_if_missing=True)),
    ("file.search", "DIR/binary", "x"),
    ("file.grep", "DIR/text", "alpha"),
    ("file.grep", "DIR/text", "ALPHA", "-i", "-c"),
    ("file.grep", "DIR/text", "alpha", "-i -c"),
    ("file.grep", "DIR/text", "omega"),
    ("file.grep", "DIR/te*", "^last"),
    ("file.grep", "DIR/none", "x"),
    ("file.readdir", "DIR/sub"),
    ("file.readdir", "DIR/text"),
    ("file.readdir", "relative"),
    ("file.readlink", "DIR/link"),
    ("file.readlink", "DIR/link", kw(canonicalize=True)),
    ("file.readlink", "DIR/text"),
    ("file.readlink", "relative"),
    ("file.is_link", "DIR/link"),
    ("file.is_link", "DIR/text"),
    ("file.is_hardlink", "DIR/hard"),
    ("file.is_hardlink", "DIR/empty"),
    ("file.is_chrdev", "/dev/null"),
    ("file.is_blkdev", "/dev/null"),
    ("file.is_fifo", "DIR/none"),
    ("file.diskusage", "DIR/sub"),
    ("file.diskusage", "DIR/text"),
    ("file.basename", "a/b.c"),
    ("file.dirname", "a/b/c.d"),
    ("file.join", "/", "usr", "lib"),
    ("file.normpath", "a/../b//c"),
    ("file.pardir",),
    ("file.statvfs", "relative"),
    ("file.statvfs", "DIR/none"),
]
FIND: list[tuple[Any, ...]] = [
    ("file.find", "DIR/tree"),
    ("file.find", "DIR/tree", kw(type="f")),
    ("file.find", "DIR/tree", kw(type="d")),
    ("file.find", "DIR/tree", kw(name="*.txt")),
    ("file.find", "DIR/tree", kw(iname="*.TXT", type="f")),
    ("file.find", "DIR/tree", kw(regex="^a")),
    ("file.find", "DIR/tree", kw(iregex="^A")),
    ("file.find", "DIR/tree", kw(maxdepth=1)),
    ("file.find", "DIR/tree", kw(maxdepth=0)),
    ("file.find", "DIR/tree", kw(mindepth=2)),
    ("file.find", "DIR/tree", kw(mindepth=1, maxdepth=2)),
    ("file.find", "DIR/tree", kw(size="+5", type="f")),
    ("file.find", "DIR/tree", kw(size="-5", type="f")),
    ("file.find", "DIR/tree", kw(size="5b", type="f")),
    ("file.find", "DIR/tree", kw(size="1k", type="f")),
    ("file.find", "DIR/tree", kw(size="x")),
    ("file.find", "DIR/tree", kw(mtime="1h", type="f")),
    ("file.find", "DIR/tree", kw(mtime="-1h", type="f")),
    ("file.find", "DIR/tree", kw(mtime="+1w", type="f")),
    ("file.find", "DIR/tree", kw(mtime="x")),
    ("file.find", "DIR/tree", kw(grep="needle")),
    ("file.find", "DIR/tree", kw(owner="root", maxdepth=1)),
    ("file.find", "DIR/tree", kw(owner="nobody-at-all")),
    ("file.find", "DIR/tree", kw(group="no-such-group")),
    ("file.find", "DIR/tree", kw(type="q")),
    ("file.find", "DIR/tree", kw(regex="(")),
    ("file.find", "DIR/tree", kw(nonsense=1)),
    ("file.find", "DIR/tree", kw(name="")),
    ("file.find", "DIR/tree", kw(print="name,size,type", type="f")),
    ("file.find", "DIR/tree", kw(print="md5", type="f")),
    ("file.find", "DIR/tree", kw(print="path mode user group", maxdepth=1)),
    ("file.find", "DIR/tree", kw(exec="echo {}", name="a.txt")),
    ("file.find", "DIR/tr*/*", kw(type="f")),
    ("file.find", "DIR/none"),
    ("file.find", "DIR/tree", kw(name="a.txt", delete="f", test=True)),
    ("file.find", "DIR/tree", "delete", kw(name="a.txt")),
    ("file.find", "DIR/tree"),
]
PLACES: list[tuple[Any, ...]] = [
    ("file.touch", "DIR/new"),
    ("file.touch", "DIR/new", kw(atime=1000000000, mtime=1000000001)),
    ("file.touch", "DIR/new", "soon"),
    ("file.touch", "DIR/none/new"),
    ("file.mkdir", "DIR/made/deep"),
    ("file.mkdir", "DIR/made/deep"),
    ("file.makedirs", "DIR/m1/m2/file"),
    ("file.makedirs", "DIR/m1/m2/file"),
    ("file.makedirs", "DIR/m3/", kw(mode="0700")),
    ("file.makedirs", "DIR/text/x"),
    ("file.makedirs_perms", "DIR/m4/m5", kw(mode=750)),
    ("file.symlink", "DIR/text", "DIR/link2"),
    ("file.symlink", "DIR/text", "DIR/link2"),
    ("file.symlink", "DIR/empty", "DIR/link2"),
    ("file.symlink", "DIR/empty", "DIR/link2", kw(force=True)),
    ("file.symlink", "DIR/text", "DIR/link2", kw(atomic=True)),
    ("file.symlink", "DIR/text", "DIR/empty"),
    ("file.symlink", "DIR/text", "relative"),
    ("file.symlink", "DIR/text", "DIR/none/link"),
    ("file.link", "DIR/text", "DIR/hard2"),
    ("file.link", "DIR/text", "DIR/hard2"),
    ("file.link", "relative", "DIR/hard3"),
    ("file.copy", "DIR/script.sh", "DIR/copied.sh"),
    ("file.copy", "DIR/none", "DIR/copied"),
    ("file.copy", "relative", "DIR/copied"),
    ("file.copy", "DIR/tree", "DIR/tree2"),
    ("file.copy", "DIR/tree", "DIR/tree2", kw(recurse=True)),
    ("file.copy", "DIR/tree", "DIR/tree2", kw(recurse=True, remove_existing=True)),
    ("file.rename", "DIR/copied.sh", "DIR/renamed.sh"),
    ("file.rename", "DIR/none", "DIR/x"),
    ("file.rename", "relative", "DIR/x"),
    ("file.move", "DIR/renamed.sh", "DIR/moved.sh"),
    ("file.move", "DIR/none", "DIR/x"),
    ("file.move", "relative", "DIR/x"),
    ("file.remove", "DIR/moved.sh"),
    ("file.remove", "DIR/moved.sh"),
    ("file.remove", "DIR/link2"),
    ("file.remove", "DIR/tree2"),
    ("file.remove", "relative"),
    ("file.rmdir", "DIR/made"),
    ("file.rmdir", "DIR/made", kw(recurse=True)),
    ("file.rmdir", "DIR/text"),
    ("file.rmdir", "relative"),
    ("file.rmdir", "DIR/m1", kw(recurse=True, verbose=True)),
    ("file.mknod_fifo", "DIR/pipe"),
    ("file.is_fifo", "DIR/pipe"),
    ("file.mknod_fifo", "DIR/pipe"),
    ("file.find", "DIR", kw(print="name,type,mode", mindepth=1, maxdepth=1)),
]
EDITS: list[tuple[Any, ...]] = [
    ("file.write", "DIR/w", "one", "two"),
    ("file.write", "DIR/w", kw(args=["a=b", "c"])),
    ("file.append", "DIR/w", "three", 4),
    ("file.append", "DIR/last", "five"),
    ("file.append", "DIR/none", "x"),
    ("file.prepend", "DIR/w", "zero"),
    ("file.prepend", "DIR/w2", "zero"),
    ("file.read", "DIR/w"),
    ("file.read", "DIR/last"),
    ("file.seek_read", "DIR/w", 4, 1),
    ("file.truncate", "DIR/w", 3),
    ("file.read", "DIR/w"),
    ("file.replace", "DIR/text", "alpha=(.)", "alpha=<\\1>", kw(dry_run=True)),
    ("file.replace", "DIR/text", "alpha=(.)", "alpha=<\\1>", kw(count=1)),
    ("file.replace", "DIR/text", "no such", "x"),
    ("file.replace", "DIR/text", "no such", "x", kw(show_changes=False)),
    ("file.replace", "DIR/text", "delta", "DELTA", kw(show_changes=False, backup=False)),
    ("file.replace", "DIR/text", "delta", "d", kw(flags=["IGNORECASE"], preserve_inode=False)),
    ("file.replace", "DIR/text", "d", "a\\1b", kw(backslash_literal=True, count=1)),
    ("file.replace", "DIR/text", "nothing", "added=1", kw(append_if_not_found=True)),
    ("file.replace", "DIR/text", "nothing", "added=1", kw(append_if_not_found=True)),
    (
        "file.replace",
        "DIR/text",
        "nothing",
        "x",
        kw(prepend_if_not_found=True, not_found_content="first=1"),
    ),
    (
        "file.replace",
        "DIR/text",
        "x",
        "y",
        kw(prepend_if_not_found=True, append_if_not_found=True),
    ),
    ("file.replace", "DIR/text", "x", "y", kw(search_only=True, append_if_not_found=True)),
    ("file.replace", "DIR/none", "x", "y"),
    ("file.replace", "DIR/none", "x", "y", kw(ignore_if_missing=True)),
    ("file.replace", "DIR/binary", "x", "y"),
    ("file.replace", "DIR/empty", "x", "y", kw(append_if_not_found=True)),
    ("file.replace", "DIR/link", "gamma", "GAMMA"),
    ("file.read", "DIR/text"),
    ("file.read", "DIR/text.bak"),
    ("file.comment", "DIR/c", "^one"),
    ("file.comment", "DIR/c", "none"),
    ("file.comment", "DIR/c", "two$", kw(char=";", backup=False)),
    ("file.uncomment", "DIR/c", "^one"),
    ("file.uncomment", "DIR/c", "^three"),
    ("file.comment", "DIR/none", "x"),
    ("file.comment_line", "DIR/c", "two", kw(cmnt=False, char=";")),
    ("file.read", "DIR/c"),
    ("file.sed", "DIR/c", "one", "ONE/1"),
    ("file.sed", "DIR/none", "one", "ONE"),
    ("file.sed_contains", "DIR/c", "ONE"),
    ("file.sed_contains", "DIR/c", "one"),
    ("file.read", "DIR/c"),
    ("file.blockreplace", "DIR/b", "#<", "#>", "in\nside"),
    ("file.blockreplace", "DIR/b", "#<", "#>", "in\nside", kw(append_if_not_found=True)),
    ("file.blockreplace", "DIR/b", "#<", "#>", "new\n"),
    ("file.blockreplace", "DIR/b", "#<", "#>", "new", kw(append_newline=True, backup=False)),
    ("file.blockreplace", "DIR/b", "#<", "#>", "new", kw(append_newline=None)),
    ("file.blockreplace", "DIR/b", "#<", "#>", "no", kw(dry_run=True, show_changes=False)),
    ("file.blockreplace", "DIR/b", "#(", "#)", "p", kw(prepend_if_not_found=True)),
    ("file.blockreplace", "DIR/b", "#[", "#]", "i", kw(insert_after_match="^two")),
    ("file.blockreplace", "DIR/b", "#{", "#}", "j\nk", kw(insert_before_match="^two")),
    ("file.blockreplace", "DIR/b", "#x", "#y", "z", kw(insert_before_match="^none")),
    ("file.blockreplace", "DIR/b", "two", "#nowhere", "z"),
    (
        "file.blockreplace",
        "DIR/b",
        "#<",
        "#>",
        "z",
        kw(prepend_if_not_found=True, append_if_not_found=True),
    ),
    ("file.blockreplace", "DIR/none", "a", "b"),
    ("file.read", "DIR/b"),
    ("file.line", "DIR/l", "new", kw(mode="insert", location="start")),
    ("file.line", "DIR/l", "mid", kw(mode="insert", after="^  two")),
    ("file.line", "DIR/l", "mid", kw(mode="insert", after="^  two")),
    ("file.line", "DIR/l", "pre", kw(mode="insert", before="^one")),
    ("file.line", "DIR/l", "sure", kw(mode="ensure", after="^one")),
    ("file.line", "DIR/l", "sure", kw(mode="ensure", after="^one")),
    ("file.line", "DIR/l", "btw", kw(mode="ensure", after="^one", before="^sure")),
    ("file.line", "DIR/l", "TWO", kw(mode="replace", match="two")),
    ("file.line", "DIR/l", kw(mode="delete", match="^three")),
    ("file.line", "DIR/l", "pre", kw(mode="delete", show_changes=False)),
    ("file.line", "DIR/l", kw(mode="delete", match="nothing")),
    ("file.line", "DIR/l", "x", kw(mode="insert")),
    ("file.line", "DIR/l", "x", kw(mode="ensure")),
    ("file.line", "DIR/l", "x", kw(mode="ensure", after="nothing")),
    ("file.line", "DIR/l", "x", kw(mode="insert", after=".")),
    ("file.line", "DIR/l", "x", kw(mode="mangle")),
    ("file.line", "DIR/l", "x"),
    ("file.line", "DIR/l", kw(mode="insert")),
    ("file.line", "DIR/none", "x", kw(mode="insert")),
    ("file.line", "DIR/none", "x", kw(mode="insert", quiet=True)),
    ("file.read", "DIR/l"),
]
MACHINE: list[tuple[Any, ...]] = [
    ("network.interfaces",),
    ("network.interface", "lo"),
    ("network.interface_ip", "lo"),
    ("network.hw_addr", "lo"),
    ("network.ip_addrs",),
    ("network.ip_addrs", kw(include_loopback=True)),
    ("network.ip_addrs", kw(type="public")),
    ("network.ip_addrs6",),
    ("network.subnets",),
    ("network.ip_networks",),
    ("network.ip_networks", kw(verbose=True)),
    ("network.get_hostname",),
    ("network.in_subnet", "127.0.0.0/8"),
    ("network.in_subnet", "203.0.113.0/24"),
    ("network.ip_in_subnet", "10.1.1.1", "10.0.0.0/8"),
    ("network.convert_cidr", "10.1.2.3/16"),
    ("network.calc_net", "10.1.2.3", "255.255.0.0"),
    ("network.calc_net", "2001:db8::1/64"),
    ("network.iphexval", "10.1.2.3"),
    ("network.is_private", "10.0.0.1"),
    ("network.is_loopback", "10.0.0.1"),
    ("network.reverse_ip", "2001:db8::1"),
    ("network.ifacestartswith", "127.0"),
    ("network.default_route", "inet"),
    ("network.routes", "inet7"),
    ("network.connect", "127.0.0.1", 1),
    ("network.connect", "no-such-host.invalid", 80),
    ("network.connect", "127.0.0.1"),
    ("pip.version", kw(bin_env="STOCK")),
    ("pip.list", kw(bin_env="STOCK")),
    ("pip.list", "msg", kw(bin_env="STOCK")),
    ("pip.freeze", kw(bin_env="STOCK")),
    ("pip.is_installed", "msgpack", kw(bin_env="STOCK")),
    ("pip.install", kw(bin_env="STOCK")),
    ("pip.list", kw(bin_env="/no/such/env")),
    ("pip.list", kw(bin_env="DIR/sub")),
    ("status.nproc",),
    ("status.version",),
    ("disk.percent", "/no/such/mount"),
    ("disk.usage", "q"),
]
DEBIAN: list[tuple[Any, ...]] = [
    ("pkg.version", "dpkg"),
    ("pkg.version", "no-such-package"),
    ("pkg.version", "dpkg", "no-such-package"),
    ("pkg.version", "dpk*"),
    ("pkg.list_pkgs",),
    ("pkg.list_pkgs", kw(versions_as_list=True)),
    ("pkg.list_pkgs", kw(removed=True)),
    ("pkg.owner", "/bin/sh"),
    ("pkg.owner", "/usr/bin/dpkg", "/no/such/file"),
    ("pkg.file_list", "base-files"),
    ("pkg.get_selections", "dpkg"),
    ("pkg.get_selections", kw(state="hold")),
    ("pkg.hold",),
    ("pkg.unhold", "dpkg"),
    ("pkg.unhold", "no-such-package"),
    ("pkg.version_cmp", "1.2-1", "1.10-1"),
    ("pkg.version_cmp", "1:1.2-1", "1.2-1"),
    ("pkg.version_cmp", "1:1.2-1", "1.2-1", kw(ignore_epoch=True)),
    ("pkg.latest_version", "dpkg", kw(refresh=False)),
    ("pkg.latest_version", "dpkg", kw(refresh=False, show_installed=True)),
    ("pkg.remove", "no-such-package"),
    ("pkg.purge", "no-such-package"),
]
# What changes all the time: only the names and types in the results are compared.
SHAPES: list[tuple[Any, ...]] = [
    ("status.loadavg",),
    ("status.cpustats",),
    ("status.meminfo",),
    ("status.cpuinfo",),
    ("status.diskstats",),
    ("status.vmstats",),
    ("status.netdev",),
    ("status.diskusage", "ext4"),
    ("status.uptime",),
    ("disk.usage",),
    ("disk.inodeusage",),
    ("disk.percent",),
    ("disk.percent", "/"),
    ("network.default_route",),
]
if Path("/usr/bin/dpkg").exists():
    MACHINE += DEBIAN
CALLS = [*ARGUMENTS, *SYS, *COMMANDS, *FACTS, *FILES, *FIND, *PLACES, *EDITS, *MACHINE, *SHAPES]


def prepare(directory: Path) -> None:
    """The files that the calls work on."""
    (directory / "sub").mkdir(parents=True)
    (directory / "sub" / "one").write_text("12345")
    for name, text in {
        "text": TEXT,
        "empty": "",
        "hard": "x",
        "last": "no newline",
        "c": "one\ntwo\n#three\n",
        "b": "one\ntwo\nthree",
        "l": "one\n  two\nthree\n",
        "script.sh": '#!/bin/sh\necho "$1-$2"; exit 3\n',
    }.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o644)
    (directory / "hard_too").hardlink_to(directory / "hard")
    (directory / "binary").write_bytes(b"x\0y")
    (directory / "link").symlink_to(directory / "text")
    tree = directory / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    for name, text in {
        "a.txt": "12345",
        "b.TXT": "needle",
        "a/c.txt": "x" * 1500,
        "a/b/d.log": "",
    }.items():
        (tree / name).write_text(text)
    os.utime(tree / "b.TXT", (1_000_000_000, 1_000_000_000))


def in_directory(value: Any, directory: Path) -> Any:
    text = json.dumps(value).replace("DIR/", f"{directory}/").replace('DIR"', f'{directory}"')
    return json.loads(text.replace("STOCK", str(stock_bin(STOCK_VERSIONS[0]).parent)))


def loads(directory: Path) -> list[dict[str, Any]]:
    return [{"fun": call[0], "arg": in_directory(list(call[1:]), directory)} for call in CALLS]


@pytest.fixture(scope="module", name="stock")
def _stock(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    root = tmp_path_factory.mktemp("stock")
    prepare(root / "work")
    asked = {"root": str(root / "salt"), "pillar": PILLAR, "calls": loads(root / "work")}
    ended = subprocess.run(
        [str(stock_bin(STOCK_VERSIONS[0]) / "python"), str(SCRIPT)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout), root / "work"


@pytest.fixture(scope="module", name="ours")
def _ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    root = tmp_path_factory.mktemp("green")
    prepare(root / "work")
    caller = Caller(root)
    caller.context.grains = {"id": "mouse", "os": "x", "kernel": "Linux"}
    caller.context.pillar = PILLAR
    outcomes = [caller.load(load) for load in loads(root / "work")]
    names = {"ret": "return", "retcode": "retcode", "success": "success", "out": "out"}
    returned = [{names[k]: v for k, v in outcome._asdict().items()} for outcome in outcomes]
    return json.loads(json.dumps(returned, default=str)), root / "work"


def comparable(returned: dict[str, Any], directory: Path) -> dict[str, Any]:
    """A return without what differs from run to run and from one Salt to the other."""
    text = json.dumps(returned).replace(str(directory), "DIR")
    text = re.sub(r'"(pid|inode|[acm]time|st_[acm]time)": [0-9.]+', r'"\1": 0', text)
    text = re.sub(r"/tmp/[A-Za-z0-9_.-]+", "/tmp/X", text)
    result: dict[str, Any] = json.loads(text)
    ret = result["return"]
    if isinstance(ret, str) and ret.startswith("Passed invalid arguments"):
        result["return"] = ret.partition("\n")[0]
    elif isinstance(ret, str) and ret.startswith("The minion function caused an exception"):
        result["return"] = ret.rstrip().rpartition("\n")[2]
    return result


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return "number" if isinstance(value, int | float) else type(value).__name__


def describe(call: tuple[Any, ...]) -> str:
    return " ".join(map(str, call))[:90]


@pytest.mark.parametrize("number", range(len(CALLS)), ids=map(describe, CALLS))
def test_a_job_returns_what_stock_salt_returns(
    number: int, stock: tuple[list[dict[str, Any]], Path], ours: tuple[list[dict[str, Any]], Path]
) -> None:
    theirs, mine = comparable(stock[0][number], stock[1]), comparable(ours[0][number], ours[1])
    if CALLS[number] in SHAPES:
        theirs, mine = shape(theirs), shape(mine)
    elif isinstance(theirs["return"], dict) and theirs["out"] and not theirs["success"]:
        # Documentation of similar functions, which is written anew.
        theirs["return"] = mine["return"].keys() and theirs["return"].get(CALLS[number][0])
        mine["return"] = mine["return"][CALLS[number][0]]
    assert mine == theirs
