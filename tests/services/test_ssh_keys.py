"""Private keys that people paste: what ssh can use is brought into one form, the rest refused."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519

from runhook.services import ssh_keys
from tests.servers.system_parts import require

PEM, PKCS8 = forms.Encoding.PEM, forms.PrivateFormat.PKCS8
OPEN = forms.NoEncryption()
ED25519 = ed25519.Ed25519PrivateKey.generate()
OPENSSH_TEXT = ED25519.private_bytes(PEM, forms.PrivateFormat.OpenSSH, OPEN).decode()
PKCS8_TEXT = ED25519.private_bytes(PEM, PKCS8, OPEN).decode()


def generated(folder: Path, *words: str) -> str:
    """A private key that ssh-keygen makes."""
    command = [str(require("ssh-keygen")), "-q", "-f", str(folder / "key"), *words]
    subprocess.run(command, check=True)
    return (folder / "key").read_text()


@pytest.mark.parametrize(
    "text",
    [
        OPENSSH_TEXT,
        PKCS8_TEXT,
        OPENSSH_TEXT.replace("\n", "\r\n"),
        "\n\n  " + OPENSSH_TEXT.replace("\n", "\n  ").strip(),
    ],
    ids=["openssh", "pkcs8", "windows line ends", "indented"],
)
def test_any_form_of_a_key_becomes_the_same_pair(text: str) -> None:
    pair = ssh_keys.check(text, "runhook-x")
    public = ED25519.public_key().public_bytes(forms.Encoding.OpenSSH, forms.PublicFormat.OpenSSH)
    assert pair.public == f"{public.decode()} runhook-x"
    assert pair.private.endswith("-----END OPENSSH PRIVATE KEY-----\n")
    assert "\r" not in pair.private


@pytest.mark.parametrize(
    "words",
    [
        ["-t", "ed25519"],
        ["-t", "rsa", "-b", "2048"],
        ["-t", "rsa", "-b", "2048", "-m", "PEM"],
        ["-t", "rsa", "-b", "2048", "-m", "PKCS8"],
        ["-t", "ecdsa", "-b", "384"],
        ["-t", "ecdsa", "-b", "256", "-m", "PEM"],
    ],
    ids=" ".join,
)
def test_what_ssh_keygen_made_is_taken_and_ssh_keygen_agrees_on_its_public_half(
    words: list[str], tmp_path: Path
) -> None:
    pair = ssh_keys.check(generated(tmp_path, *words, "-N", ""), "runhook-x")
    assert _public_half(pair.private, tmp_path) == pair.public.split()[:2]


def test_ssh_keygen_reads_a_pair_that_is_made_here(tmp_path: Path) -> None:
    pair = ssh_keys.make("runhook-x")
    assert _public_half(pair.private, tmp_path) == pair.public.split()[:2]
    assert pair.private not in repr(pair)


def _public_half(private: str, folder: Path) -> list[str]:
    path = folder / "kept"
    path.touch(0o600)
    path.write_text(private)
    command = [str(require("ssh-keygen")), "-y", "-f", str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return answer.stdout.split()[:2]


@pytest.mark.parametrize(
    "words",
    [["-t", "ed25519"], ["-t", "rsa", "-b", "2048", "-m", "PEM"], ["-t", "ecdsa", "-m", "PKCS8"]],
    ids=" ".join,
)
def test_a_key_with_a_passphrase_is_refused(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has a passphrase"):
        ssh_keys.check(generated(tmp_path, *words, "-N", "a passphrase"), "x")


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey) -> str:
    return key.private_bytes(PEM, PKCS8, OPEN).decode()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "from the BEGIN line"),
        ("hunter2", "from the BEGIN line"),
        ("ssh-ed25519 AAAAC3Nza me@here", "public half"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "public half"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", "PuTTYgen"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "from the BEGIN line"),
        (OPENSSH_TEXT[:200], "damaged"),
        (OPENSSH_TEXT.replace("b3Bl", "b3Bm"), "damaged"),
        (PKCS8_TEXT[:60], "damaged"),
        ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", "damaged"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\né\n-----END OPENSSH PRIVATE KEY-----", "damaged"),
        ("-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----", "no such key"),
        (_pem(ed448.Ed448PrivateKey.generate()), "no such key"),
        (x25519.X25519PrivateKey.generate().private_bytes(PEM, PKCS8, OPEN).decode(), "no such"),
        (_pem(ec.generate_private_key(ec.SECP256K1())), "no such key"),
        (_pem(rsa.generate_private_key(65537, 1024)), "1024 bits, which is too weak"),
    ],
)
def test_what_ssh_could_not_use_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ssh_keys.check(text, "x")
