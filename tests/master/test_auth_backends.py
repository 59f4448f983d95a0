"""The back ends of external_auth: docs/access.md."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greensalt.config import MasterConfig
from greensalt.errors import ConfigError
from greensalt.master.access.backends import Backend, load_backend


def backend(name: str, **options: Any) -> Backend:
    section = {f"^{key}": value for key, value in options.items()}
    return load_backend(name, section, MasterConfig())


SHA256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
MD5 = "5ebe2294ecd0e0f08eab7690d2a6ee69"
CRYPTED = (
    "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U"
    "0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1"
)
DIGEST = hashlib.md5(b"fred:here:secret").hexdigest()
OTHER_FIELDS = {"username_field": 2, "password_field": 3, "field_separator": "|"}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "fred:secret"),
        ({"hashtype": "sha256"}, f"fred:{SHA256}"),
        ({"hashtype": "md5", **OTHER_FIELDS}, f"46|fred|{MD5}"),
        ({"filetype": "htpasswd"}, "fred:$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/"),
        ({"filetype": "htpasswd"}, "fred:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="),
        ({"filetype": "htpasswd"}, f"fred:{CRYPTED}"),
        ({"filetype": "htdigest", "realm": "here"}, f"fred:here:{DIGEST}"),
    ],
)
def test_users_of_a_file_have_their_passwords(tmp_path: Path, options: Any, line: str) -> None:
    users = tmp_path / "users"
    users.write_text(f"\nann\n{line}\n")
    known = backend("file", filename=str(users), **options)
    assert known.verify("fred", "secret")
    for name, password in (("fred", "Secret"), ("fred", ""), ("ann", "secret"), ("ann", "")):
        assert not known.verify(name, password), (name, password)


@pytest.mark.parametrize("known", ["secret", "", "$", "$9$x$y", "{SHA}", "{SSHA}x", "*", "!", "x"])
def test_what_is_no_hash_of_htpasswd_is_nobodys_password(tmp_path: Path, known: str) -> None:
    users = tmp_path / "users"
    users.write_text(f"fred:{known}\n")
    for password in (known, "secret", "", "secret\0"):
        assert not backend("file", filename=str(users), filetype="htpasswd").verify(
            "fred", password
        )


@pytest.mark.parametrize(
    ("name", "options", "what"),
    [
        ("file", {}, "filename"),
        ("file", {"filename": "x", "filetype": "word"}, "filetype"),
        ("file", {"filename": "x", "hashtype": "rot13"}, "rot13"),
        ("file", {"filename": "x", "filetype": "htdigest"}, "realm"),
        ("nowhere", {}, "nowhere.*pam, file"),
    ],
)
def test_a_wrong_option_of_a_back_end_is_named(name: str, options: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        backend(name, **options)


def test_auto_believes_everybody() -> None:
    assert backend("auto").verify("anybody", "")


@pytest.fixture
def pam(tmp_path: Path) -> Callable[[str], Backend]:
    """PAM with a service of the given lines."""
    script = tmp_path / "check"
    script.write_text('#!/bin/sh\n[ "$PAM_USER" = fred ] && [ "$(tr -d \'\\000\')" = secret ]\n')
    script.chmod(0o755)

    def make(lines: str) -> Backend:
        (tmp_path / "tester").write_text(lines.replace("SCRIPT", str(script)))
        return backend("pam", service="tester", confdir=str(tmp_path))

    return make


CHECK = "auth required pam_exec.so expose_authtok quiet SCRIPT\n"


def test_pam_is_asked_for_the_password(pam: Callable[[str], Backend]) -> None:
    known = pam(CHECK + "account required pam_permit.so\n")
    assert known.verify("fred", "secret")
    assert not known.verify("fred", "wrong")
    assert not known.verify("ann", "secret")
    assert not known.verify("fred", "secret\0")
    assert not known.verify("", "secret")


def test_cve_2022_22967_pam_refuses_accounts_that_are_locked(
    pam: Callable[[str], Backend],
) -> None:
    assert not pam(CHECK + "account required pam_deny.so\n").verify("fred", "secret")


def test_groups_of_pam_are_those_of_the_machine() -> None:
    import grp
    import pwd

    me = pwd.getpwuid(os.geteuid())
    assert grp.getgrgid(me.pw_gid).gr_name in backend("pam").groups(me.pw_name)
