"""Every error that greensalt raises, in one tree.

    GreensaltError
    +-- ConfigError                  a configuration file or option is wrong
    |   +-- SerializerUnusable       a serializer that is unknown, refused or not installed
    +-- ProtocolError                bytes from a peer that break the protocol
    |   +-- MalformedMessage         not decodable, wrong type, missing field
    |   +-- VersionTooOld            protocol version below 3
    |   +-- InvalidMinionId          a minion id that could not be a file name
    |   +-- UnsafePath               a path that leaves its root
    +-- CryptoError                  a cryptographic operation failed
    |   +-- UnsupportedAlgorithm     not one of the allowed schemes
    |   +-- DecryptError             MAC, padding or length is wrong
    |   +-- NonceMismatch            a reply to some other request
    |   +-- BadSignature             a signature does not verify
    |   +-- BadKey                   a key file or PEM text can't be read
    +-- AuthenticationError          who somebody is could not be proven
    |   +-- MasterKeyChanged         the master presents another key than before
    |   +-- MasterKeyUnproven        the master's key is not the one that was signed or announced
    |   +-- UntrustedReply           signature, nonce or token of a sign-in reply is wrong
    |   +-- AlgorithmRefused         the master doesn't allow the algorithms of a sign-in
    |   +-- SignInFailed             the master answered a sign-in with an error text
    |   +-- SignInRefused            the master rejected this minion's key
    +-- AuthorizationError           somebody may not do what they asked for
    +-- TargetError                  a target expression can't be parsed
    +-- PillarError                  a source of pillar can't be found, rendered or understood
    +-- TransportError               a socket could not do its work
    |   +-- RequestTimeout           no reply in time
    |   +-- RequestRefused           a reply that says no
    +-- StoreError                   the store can't keep or find something
    |   +-- UnknownJob               a return or minions for a job that the store doesn't have
    |   +-- Unstorable               this value can't be kept, now or later
    +-- ReturnerError                a returner did not take what it was given
    |   +-- ReturnerDown             it can't now; a later try may succeed
    |   +-- ReturnerRefused          it never will
    +-- ChildFailed                  a child process ended or stayed silent too early
    +-- ModuleError                  errors of execution modules
        +-- CommandExecutionError    the function could not do what it should
        +-- SaltInvocationError      the function was called wrongly
        +-- CommandNotFoundError     a program that the function needs is missing

Leaves carry their data in attributes where a caller may want it.
"""

from __future__ import annotations


class GreensaltError(Exception):
    """Root of all errors that greensalt raises on purpose."""


class ConfigError(GreensaltError):
    """A configuration file or option is wrong; the message names file, key and remedy."""


class SerializerUnusable(ConfigError):
    """A serializer that is unknown, refused, or whose library is missing."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class ProtocolError(GreensaltError):
    """Bytes from a peer that break the protocol."""


class MalformedMessage(ProtocolError):
    """A message that can't be decoded, or whose fields are missing or of the wrong type."""


class VersionTooOld(ProtocolError):
    """A message of a protocol version below 3."""

    def __init__(self, version: object) -> None:
        super().__init__(f"protocol version {version!r} is below 3")
        self.version = version


class InvalidMinionId(ProtocolError):
    """A minion id that breaks the naming rules."""


class UnsafePath(ProtocolError):
    """A path that would leave the directory it must stay in."""


class CryptoError(GreensaltError):
    """A cryptographic operation failed."""


class UnsupportedAlgorithm(CryptoError):
    """An algorithm name that is not on the allow-list."""


class DecryptError(CryptoError):
    """A packet or ciphertext whose MAC, padding or length is wrong."""


class NonceMismatch(CryptoError):
    """A reply that belongs to some other request."""


class BadSignature(CryptoError):
    """A signature that does not verify."""


class BadKey(CryptoError):
    """A key file or PEM text that can't be read."""


class AuthenticationError(GreensaltError):
    """Who somebody is could not be proven."""


class MasterKeyChanged(AuthenticationError):
    """The master presents another public key than the one this minion trusts."""


class MasterKeyUnproven(AuthenticationError):
    """The master's public key is not the one that was signed, or whose fingerprint was given."""


class UntrustedReply(AuthenticationError):
    """A reply to a sign-in that somebody else may have written: nothing in it is used."""


class AlgorithmRefused(AuthenticationError):
    """The master doesn't allow the algorithms this minion asked for; no use to try again."""


class SignInFailed(AuthenticationError):
    """The master answered with an error text; a later try may succeed."""


class SignInRefused(AuthenticationError):
    """The master rejected this minion's key."""


class AuthorizationError(GreensaltError):
    """Somebody may not do what they asked for."""


class TargetError(GreensaltError):
    """A target expression that can't be parsed."""


class PillarError(GreensaltError):
    """A source of pillar that can't be found, rendered or understood."""


class ReactorError(GreensaltError):
    """A reaction that can't be understood, or has failed."""


class TransportError(GreensaltError):
    """A socket could not do its work."""


class RequestTimeout(TransportError):
    """No reply came in time."""


class RequestRefused(TransportError):
    """A reply came, but the peer could not or would not do what was asked."""


class StoreError(GreensaltError):
    """The store can't keep or find something; unless a leaf says more, a later try may succeed."""


class UnknownJob(StoreError):
    """A return or minions for a job that the store doesn't have, or has no longer."""

    def __init__(self, jid: str) -> None:
        super().__init__(f"there is no job {jid} in the store")
        self.jid = jid


class Unstorable(StoreError):
    """A value that can't be kept: too large, or without a form in a file. No use to try again."""


class ReturnerError(GreensaltError):
    """A returner did not take what it was given."""


class ReturnerDown(ReturnerError):
    """A later try may succeed. `answered`: the other end did answer, and with an error.

    `taken` is how many of the items, from the first one on, it has taken nevertheless.
    """

    def __init__(self, message: str, *, answered: bool, taken: int = 0) -> None:
        super().__init__(message)
        self.answered = answered
        self.taken = taken


class ReturnerRefused(ReturnerError):
    """The other end will never take this."""


class ChildFailed(GreensaltError):
    """A child process ended, or gave no sign of life, before it should have."""


class ModuleError(GreensaltError):
    """Errors that execution modules raise for their caller."""


class CommandExecutionError(ModuleError):
    """The function could not do what it should."""


class SaltInvocationError(ModuleError):
    """The function was called wrongly."""


class CommandNotFoundError(ModuleError):
    """A program that the function needs is missing."""
