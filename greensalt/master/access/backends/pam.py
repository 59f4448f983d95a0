"""A back end that asks PAM: the accounts of the machine that the master runs on.

The service is the option `auth.pam.service` of the master or `^service` (login). A master that is
not root can verify only its own user: the helper of pam_unix refuses others.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import grp
import logging
import os
import pwd
from collections.abc import Collection, Mapping
from typing import Any, Final

from greensalt.config import MasterConfig
from greensalt.errors import ConfigError
from greensalt.master.access.backends.backend import Backend

log = logging.getLogger(__name__)

SUCCESS: Final = 0
BUFFER_ERROR: Final = 5
PROMPT_HIDDEN: Final = 1
PROMPT_SHOWN: Final = 2


class _Message(ctypes.Structure):
    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


class _Response(ctypes.Structure):
    # A c_void_p: ctypes would make a copy of a c_char_p, and PAM frees what it gets.
    _fields_ = (("text", ctypes.c_void_p), ("code", ctypes.c_int))


_Talk = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.POINTER(ctypes.POINTER(_Response)),
    ctypes.c_void_p,
)


class _Conversation(ctypes.Structure):
    _fields_ = (("talk", _Talk), ("data", ctypes.c_void_p))


class Pam(Backend):
    """Authentication, and the account's own limits: who is locked stays out (CVE-2022-22967).

    `^confdir` names another place than /etc/pam.d for the file of the service.
    """

    def __init__(self, options: Mapping[str, Any], config: MasterConfig) -> None:
        super().__init__(options, config)
        default = config.others.get("auth.pam.service", "login")
        self._service = str(options.get("service", default)).encode()
        self._confdir = str(options["confdir"]).encode() if options.get("confdir") else None
        name = ctypes.util.find_library("pam")
        if name is None:
            raise ConfigError("external_auth: this machine has no libpam")
        self._pam = ctypes.CDLL(name)
        self._libc = ctypes.CDLL(None)
        self._libc.calloc.restype = self._libc.strdup.restype = ctypes.c_void_p
        self._libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
        self._libc.strdup.argtypes = [ctypes.c_char_p]
        for function in (self._pam.pam_authenticate, self._pam.pam_acct_mgmt, self._pam.pam_end):
            function.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self._pam.pam_strerror.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self._pam.pam_strerror.restype = ctypes.c_char_p
        if os.geteuid() != 0:
            log.warning("external_auth: pam can verify other users only when the master is root")

    def verify(self, username: str, password: str) -> bool:
        if not username or "\0" in username or "\0" in password:
            return False
        handle = ctypes.c_void_p()
        # Both must live as long as the handle does.
        talk = _Talk(self._answers(username.encode(), password.encode()))
        conversation = _Conversation(talk, None)
        code = self._start(username.encode(), conversation, handle)
        try:
            for step in (self._pam.pam_authenticate, self._pam.pam_acct_mgmt):
                if code == SUCCESS:
                    code = step(handle, 0)
            if code != SUCCESS:
                why = self._pam.pam_strerror(handle, code)
                log.info("PAM refuses %.100r: %s", username, why.decode("utf-8", "replace"))
            return bool(code == SUCCESS)
        finally:
            if handle.value is not None:
                self._pam.pam_end(handle, code)

    def groups(self, username: str) -> Collection[str]:
        entry = pwd.getpwnam(username)
        names = []
        for gid in os.getgrouplist(username, entry.pw_gid):
            try:
                names.append(grp.getgrgid(gid).gr_name)
            except KeyError:  # a number without a name
                continue
        return names

    def _start(self, username: bytes, talk: _Conversation, handle: ctypes.c_void_p) -> int:
        service = ctypes.c_char_p(self._service)
        asked = (service, ctypes.c_char_p(username), ctypes.byref(talk))
        if self._confdir is None:
            return int(self._pam.pam_start(*asked, ctypes.byref(handle)))
        confdir = ctypes.c_char_p(self._confdir)
        return int(self._pam.pam_start_confdir(*asked, confdir, ctypes.byref(handle)))

    def _answers(self, username: bytes, password: bytes) -> Any:
        """What PAM calls with its prompts: hidden ones get the password, others the name."""
        answers = {PROMPT_HIDDEN: password, PROMPT_SHOWN: username}

        def answer(count: int, messages: Any, responses: Any, _data: Any) -> int:
            place = self._libc.calloc(count, ctypes.sizeof(_Response))
            if not place:
                return BUFFER_ERROR
            made = ctypes.cast(place, ctypes.POINTER(_Response))
            for number in range(count):
                text = answers.get(messages[number].contents.style)
                if text is not None:
                    made[number].text = self._libc.strdup(text)
            responses[0] = made
            return SUCCESS

        return answer
