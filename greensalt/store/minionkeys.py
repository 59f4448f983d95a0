"""The PKI of a minion: its own key pair, and the master's keys that it trusts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from greensalt.errors import BadKey
from greensalt.store.keyfiles import PUBLIC_MODE, own_key, read_regular, write_key_file

if TYPE_CHECKING:
    from greensalt.crypto.keypair import PrivateKey, PublicKey


class MinionKeys:
    """The files below a minion's pki_dir (docs/protocol.md 2.6).

    minion.pem, minion.pub: its own pair. minion_master.pub: the master it trusts since it first met
    it. master_sign.pub: the key that vouches for changes of the master's, put there by people.
    `given` is a private key in place of minion.pem.
    """

    def __init__(
        self,
        pki_dir: Path,
        bits: int = 2048,
        passphrase: str | None = None,
        given: PrivateKey | None = None,
    ) -> None:
        self.pki_dir = pki_dir
        self._bits = bits
        self._passphrase = passphrase
        self._given = given

    @property
    def master_path(self) -> Path:
        """Where the trusted master's key is: what a message about a changed key must name."""
        return self.pki_dir / "minion_master.pub"

    def own(self) -> PrivateKey:
        """The minion's own key, made now if there is none; see own_key."""
        if self._given is not None:
            return self._given
        return own_key(self.pki_dir, "minion", self._bits, self._passphrase)

    def master_pem(self) -> str | None:
        """The trusted master's key as cleaned PEM text; None before the first meeting.

        BadKey for a file without content: taking that for "none yet" would trust anybody.
        """
        from greensalt.crypto.keypair import clean_pem

        text = read_regular(self.master_path, follow_symlink=True)
        if text is None:
            return None
        if not text.strip():
            raise BadKey(f"{self.master_path} is empty; remove it to trust the master anew")
        return clean_pem(text)

    def trust_master(self, pem: str) -> None:
        """Trust this master's key from now on."""
        from greensalt.crypto.keypair import clean_pem

        write_key_file(self.master_path, clean_pem(pem), PUBLIC_MODE)

    def sign_key(self, name: str = "master_sign") -> PublicKey | None:
        """The key that signs the master's key (`master_sign_key_name`); None if there is none."""
        from greensalt.crypto.keypair import PublicKey

        path = self.pki_dir / f"{name}.pub"
        text = read_regular(path, follow_symlink=True)
        if text is None:
            return None
        try:
            return PublicKey.from_pem(text)
        except BadKey as error:
            raise BadKey(f"{path}: {error}") from error
