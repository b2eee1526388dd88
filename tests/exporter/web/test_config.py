"""The web configuration: what is accepted, and the sentence that each mistake gets."""

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.web.config import WebError, load

HASH = "$2y$04$lh8hg5z2.YBn/GFDu0fVEuRCmRfjbQIs4G4nJA14pmgP.9GGkt17e"
PAIR = "cert_file: server.pem, key_file: server.key"


def read(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "web.yml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def test_an_empty_file_configures_nothing(tmp_path: Path) -> None:
    config = read(tmp_path, "# nothing yet\n")
    assert config.context is None
    assert not config.users
    assert not config.headers


def test_a_file_with_everything_is_obeyed(tmp_path: Path, certificates: Any) -> None:
    config = read(
        tmp_path,
        f"""
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans: [prometheus.example, "2001:DB8:0::1"]
  min_version: TLS12
  max_version: TLS12
  prefer_server_cipher_suites: false
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]
  curve_preferences: [CurveP256]
http_server_config:
  http2: true
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: deny
    X-XSS-Protection: ""
basic_auth_users:
  prometheus: {HASH}
  ２番: {HASH}
""",
    )
    context = config.context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is context.maximum_version is ssl.TLSVersion.TLSv1_2
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    suites = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.2"}
    assert suites == {"ECDHE-ECDSA-AES256-GCM-SHA384"}
    assert config.allowed_sans == {"prometheus.example", "2001:db8::1"}
    assert config.headers == {"Strict-Transport-Security": "max-age=31536000", "X-Frame-Options": "deny"}
    assert config.users == {"prometheus": HASH.encode(), "２番": HASH.encode()}
    assert config.files == tuple(tmp_path / name for name in ("web.yml", "server.pem", "server.key", "ca.pem"))


def test_what_is_left_out_is_as_in_exporter_toolkit(tmp_path: Path, certificates: Any) -> None:
    context = read(tmp_path, f"tls_server_config: {{{PAIR}}}").context
    assert context.verify_mode is ssl.CERT_NONE
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.maximum_version is ssl.TLSVersion.TLSv1_3
    assert context.options & ssl.OP_CIPHER_SERVER_PREFERENCE


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("basic_auth_user: {}", "web.yml:1: basic_auth_user: unknown key; did you mean basic_auth_users?"),
        ("- a", "web.yml: must be a mapping that starts with"),
        ("basic_auth_users: [", "is not valid YAML"),
        ("basic_auth_users: {prom: secret-word}", "web.yml:1: basic_auth_users.prom: is not a bcrypt hash: make one"),
        (f"basic_auth_users: {{prom: {HASH[:-1]}}}", "basic_auth_users.prom: is not a bcrypt hash"),
        (f"basic_auth_users: {{prom: {HASH.replace('$04$', '$03$')}}}", "is not a bcrypt hash"),
        (f"basic_auth_users: {{prom: {HASH}, prom: {HASH}}}", "is already given in line 1"),
        (f"basic_auth_users: {{'a:b': {HASH}}}", "is not a user name: it must not be empty nor contain a colon"),
        ("rate_limit: {interval: 1s, burst: 5}", "rate_limit: is not supported: limit requests in a reverse proxy"),
        ("http_server_config: {headers: {X-Frame-Options: never}}", "X-Frame-Options: must be"),
        ("http_server_config: {headers: {X-Powered-By: us}}", "X-Powered-By: unknown key"),
        ('http_server_config: {headers: {Content-Security-Policy: "a\\r\\nB: c"}}', "must be printable ASCII"),
        ("http_server_config: {http2: maybe}", "http2: must be true or false"),
        ("tls_server_config: {cert_file: server.pem}", "tls_server_config.key_file: is missing"),
        ("tls_server_config: {}", "tls_server_config.cert_file: is missing"),
        (
            "tls_server_config: {cert_file: gone.pem, key_file: server.key}",
            "cert_file: TMP/gone.pem cannot be read: No such file",
        ),
        ("tls_server_config: {cert_file: server.key, key_file: server.key}", "cert_file: is not a certificate in PEM"),
        ("tls_server_config: {cert_file: server.pem, key_file: ca.key}", "key_file: is not the key of the certificate"),
        (f"tls_server_config: {{{PAIR}, cert: abc}}", "tls_server_config.cert: is not taken inline"),
        (f"tls_server_config: {{{PAIR}, key: abc}}", "tls_server_config.key: is a secret and not taken inline"),
        (f"tls_server_config: {{{PAIR}, client_ca: abc}}", "tls_server_config.client_ca: is not taken inline"),
        (f"tls_server_config: {{{PAIR}, min_version: TLS10}}", "TLS 1.0 and 1.1 are not offered here"),
        (f"tls_server_config: {{{PAIR}, min_version: 1.2}}", "min_version: must be TLS12 or TLS13"),
        (f"tls_server_config: {{{PAIR}, min_version: TLS13, max_version: TLS12}}", "min_version is above max_version"),
        (
            f"tls_server_config: {{{PAIR}, client_auth_type: RequireAnyClientCert}}",
            "takes certificates without verifying them, which Python cannot do",
        ),
        (f"tls_server_config: {{{PAIR}, client_auth_type: RequestClientCert}}", "which Python cannot do"),
        (
            f"tls_server_config: {{{PAIR}, client_auth_type: Always}}",
            "must be NoClientCert, VerifyClientCertIfGiven or",
        ),
        (f"tls_server_config: {{{PAIR}, client_auth_type: RequireAndVerifyClientCert}}", "needs client_ca_file"),
        (f"tls_server_config: {{{PAIR}, client_ca_file: ca.pem}}", "client_ca_file does nothing without"),
        (
            f"tls_server_config: {{{PAIR}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: server.key}}",
            "client_ca_file: holds no certificate in PEM",
        ),
        (f"tls_server_config: {{{PAIR}, client_allowed_sans: [a.example]}}", "client_allowed_sans needs"),
        (
            f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}}",
            "is not a cipher suite that can be used here",
        ),
        (f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_AES_128_GCM_SHA256]}}", "names none of TLS 1.2"),
        (f"tls_server_config: {{{PAIR}, curve_preferences: [P-256]}}", "is not a curve that can be used here"),
        (f"tls_server_config: {{{PAIR}, curve_preferences: [X25519, CurveP256]}}", "can name only one curve"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_a_remedy(
    tmp_path: Path, certificates: Any, text: str, sentence: str
) -> None:
    with pytest.raises(WebError) as refusal:
        read(tmp_path, text)
    assert sentence.replace("TMP", str(tmp_path)) in str(refusal.value)
    assert "secret-word" not in str(refusal.value)
    assert HASH not in str(refusal.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(WebError) as refusal:
        read(tmp_path, "basic_auth_users:\n  prom: x\ntls_server_config:\n  min_version: TLS10\nextra: 1\n")
    lines = str(refusal.value).splitlines()
    assert len(lines) == 5
    assert [line.removeprefix(f"{tmp_path}/").split(": ")[0] for line in lines] == [
        "web.yml:2",
        "web.yml:3",
        "web.yml:3",
        "web.yml:4",
        "web.yml:5",
    ]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WebError, match=r"none\.yml: does not exist"):
        load(tmp_path / "none.yml")


def test_an_encrypted_key_is_refused_instead_of_asking_the_terminal(
    tmp_path: Path, certificates: Any, peer: Callable[[str], str]
) -> None:
    shutil.copy(tmp_path / "server.key", tmp_path / "plain.key")
    command = [peer("openssl"), "pkey", "-aes128", "-passout", "pass:abcd", "-in", "plain.key", "-out", "server.key"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with pytest.raises(WebError, match="key_file: is encrypted"):
        read(tmp_path, f"tls_server_config: {{{PAIR}}}")


def test_the_example_of_the_guide_lacks_only_its_files(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "web.md").read_text(encoding="utf-8")
    with pytest.raises(WebError) as refusal:
        read(tmp_path, guide.partition("```yaml\n")[2].partition("```")[0])
    sentences = str(refusal.value).splitlines()
    assert len(sentences) == 2
    assert all("cannot be read: No such file or directory" in sentence for sentence in sentences)
