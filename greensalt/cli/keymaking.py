"""Making key pairs, and signing the master's public key (docs/protocol.md 2.5)."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from greensalt.config import MasterConfig
from greensalt.errors import BadKey, StoreError
from greensalt.store.keyfiles import PUBLIC_MODE, own_key, read_regular, write_key_file


def make_keys(args: Namespace) -> str:
    """Make a pair in --gen-keys-dir, unless it is there; its fingerprint."""
    name = args.gen_keys
    if not name or "/" in name or "\0" in name:
        raise StoreError(f"{name!r} is no name for key files")
    return own_key(args.gen_keys_dir, name, args.keysize).public.fingerprint()


def make_signature(args: Namespace, config: MasterConfig) -> Path:
    """Write the signature of the master's public key; the file it is in."""
    from greensalt.crypto.handshake import public_key_signature
    from greensalt.crypto.keypair import clean_pem

    private = args.priv or config.pki_dir / f"{config.master_sign_key_name}.pem"
    if not private.exists() and not args.auto_create:
        raise StoreError(f"there is no signing key {private}; --auto-create makes it")
    if private.suffix != ".pem":
        raise BadKey(f"{private}: the name of a signing key ends in .pem")
    key = own_key(private.parent, private.stem, args.keysize, config.signing_key_pass)
    public = args.pub or config.pki_dir / "master.pub"
    text = read_regular(public, follow_symlink=True)
    if text is None:
        raise StoreError(f"there is no public key {public} to be signed")
    path = config.pubkey_signature_path
    if args.signature_path is not None:
        path = args.signature_path / path.name
    signature = public_key_signature(key, clean_pem(text), config.publish_signing_algorithm)
    write_key_file(path, signature.decode(), PUBLIC_MODE)
    return path
