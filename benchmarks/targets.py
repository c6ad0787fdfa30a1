"""The servers measured: how each is configured, started and asked whether it is ready."""

import getpass
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.client import KEY

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Target:
    """One server: `{port}` in its command and its files stands for the port it gets."""

    name: str
    command: list[str]
    health_path: str
    env: dict[str, str] = field(default_factory=dict)
    files: dict[Path, str] = field(default_factory=dict)  # written before it starts
    cwd: Path = REPOSITORY
    is_tls: bool = False  # it is spoken to over TLS


# What a measure may ask of a server beside its usual configuration.
VARIANTS = ("tls", "rules", "tools", "key", "sockets")


@dataclass(frozen=True)
class Upstreams:
    """Where the proxies' upstreams listen: the fake one, plain and behind TLS, and the one of WebSockets."""

    plain: int
    tls: int
    sockets: int
    certificate: Path

    def port(self, variant: str) -> int:
        """Return the port that a variant's upstream has."""
        return {"tls": self.tls, "sockets": self.sockets}.get(variant, self.plain)


def fake_upstream(folder: Path) -> Target:
    """Return the upstream itself: asked without a proxy between, it is `direct`."""
    return Target("direct", [str(folder / "fake_upstream"), "{port}"], health_path="/stats")


def make_certificate(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1 that vouches for itself, and its key beside it."""
    certificate = folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=benchmarks", "-addext", "subjectAltName=IP:127.0.0.1,DNS:benchmarks"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate


def tls_upstream(folder: Path, certificate: Path, upstream_port: int) -> Target:
    """Return the fake upstream behind TLS: nginx before it, alike for all proxies."""
    listen = f"ssl; ssl_certificate {certificate}; ssl_certificate_key {folder / 'key.pem'}"
    return nginx_target(folder, "direct-tls", upstream_port, listen=listen)


def socket_upstream(python: Path) -> Target:
    """Return the upstream of WebSockets."""
    return Target("direct-sockets", [str(python), "-m", "benchmarks.socket_echo", "{port}"], health_path="/stats")


TOOL = 'def roll(sides: int) -> int:\n    """Roll a die."""\n    return sides\n'
RULES = {
    "OPENAI_PARAM_DEFAULTS": '{"temperature": 0.5}',
    "OPENAI_PARAM_OVERRIDES": '{"store": false}',
    "OPENAI_PARAM_DROP": "logit_bias",
}


def ours(
    folder: Path, python: Path, upstreams: Upstreams, variant: str, label: str = "ours", checkout: Path = REPOSITORY
) -> Target:
    """Return this project's proxy, with an empty home and no keyring: nothing of the user's is read or written."""
    name = f"{label}-{variant}" if variant else label
    home = folder / f"home-{name}"
    home.mkdir(exist_ok=True)
    tool_file = home / "tools.py"
    scheme = "https" if variant == "tls" else "http"
    variants: dict[str, dict[str, str]] = {
        "tls": {"OPENAI_CA_FILE": str(upstreams.certificate)},
        "rules": RULES,
        "tools": {"ENABLE_TOOL_EXECUTION": "true", "FUNCTION_TOOLS_FILE": str(tool_file)},
        "key": {"PROXY_REQUIRE_API_KEY": "true", "PROXY_API_KEYS": KEY, "ALLOW_UNAUTHENTICATED_HEALTH": "true"},
    }
    env = {
        "HOME": str(home),
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{scheme}://127.0.0.1:{upstreams.port(variant)}/v1",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        **variants.get(variant, {}),
    }
    command = [str(python), "-m", "proxy", "serve", "--port", "{port}"]
    return Target(name, command, health_path="/v1/health", env=env, files={tool_file: TOOL}, cwd=checkout)


NGINX_CONFIG = """\
daemon off;
worker_processes 1;
{user}
pid {folder}/{name}.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    {temp_paths}
    client_max_body_size 64m;
    client_body_buffer_size 1m;
    keepalive_requests 10000000;
    map $http_upgrade $upgrades {{ default upgrade; "" ""; }}
    upstream fake {{
        server 127.0.0.1:{upstream_port};
        keepalive 1024;
        keepalive_requests 10000000;
    }}
    server {{
        listen 127.0.0.1:{{port}} backlog=4096 {listen};
        location = /health {{ return 200 "ok"; }}
        location / {{
            {check}
            proxy_pass {scheme}://fake;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $upgrades;
            proxy_buffering off;
        }}
    }}
}}
"""


KEY_CHECK = f'if ($http_authorization != "Bearer {KEY}") {{ return 401; }}'


def nginx(folder: Path, upstreams: Upstreams, variant: str) -> Target:
    """Return nginx with one worker and a configuration of its own: it reads and writes nothing of the system's.

    It has neither rules nor tools: beside ours with those stands nginx as it is.
    """
    name = f"nginx-{variant}" if variant else "nginx"
    check = KEY_CHECK if variant == "key" else ""
    if variant == "tls":
        check = (
            f"proxy_ssl_trusted_certificate {upstreams.certificate}; proxy_ssl_verify on; proxy_ssl_name benchmarks;"
        )
    scheme = "https" if variant == "tls" else "http"
    return nginx_target(folder, name, upstreams.port(variant), scheme=scheme, check=check)


def nginx_target(
    folder: Path, name: str, upstream_port: int, *, scheme: str = "http", check: str = "", listen: str = ""
) -> Target:
    """Return nginx before an upstream, told what else it is to do."""
    program = find_nginx()
    built_with = subprocess.run([program, "-V"], check=True, capture_output=True, text=True).stderr
    kinds = ["client_body", "proxy"] + [
        kind for kind in ("fastcgi", "uwsgi", "scgi") if f"--without-http_{kind}_module" not in built_with
    ]
    text = NGINX_CONFIG.format(
        user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
        folder=folder,
        name=name,
        temp_paths=" ".join(f"{kind}_temp_path {folder}/{name}-{kind};" for kind in kinds),
        upstream_port=upstream_port,
        scheme=scheme,
        check=check,
        listen=listen,
    )
    config = folder / f"{name}.conf"
    command = [program, "-p", str(folder), "-e", "stderr", "-c", str(config)]
    return Target(name, command, "/health", files={config: text}, is_tls=bool(listen))


def find_nginx() -> str:
    """Return nginx's path; raises RuntimeError with what to install."""
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        raise RuntimeError("nginx is not installed; on Debian and Ubuntu: apt-get install nginx-light")
    return program


def litellm(folder: Path, venv: Path, upstreams: Upstreams, variant: str) -> Target | None:
    """Return the LiteLLM proxy: one worker, no database, any model's name, no call to anywhere but the upstream.

    None for what it has not, or takes a database for.
    """
    if variant not in ("", "tls"):
        return None
    settings = {
        "model_list": [
            {
                "model_name": "*",
                "litellm_params": {
                    "model": "openai/*",
                    "api_base": f"{'https' if variant else 'http'}://127.0.0.1:{upstreams.port(variant)}/v1",
                    "api_key": KEY,
                },
            }
        ],
        "litellm_settings": {"telemetry": False},
    }
    name = f"litellm-{variant}" if variant else "litellm"
    config = folder / f"{name}.yaml"
    env = {
        "HOME": str(folder),
        "SSL_CERT_FILE": str(upstreams.certificate),
        "DISABLE_ADMIN_UI": "True",
        # Without keys, as ours is asked: LiteLLM's own check would only make it slower.
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "LITELLM_DISABLE_ACCESS_LOG_PATHS": "/v1/chat/completions,/health/liveliness",
        "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
        "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
        "LITELLM_LOCAL_BLOG_POSTS": "True",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
    }
    command = [str(venv / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", "{port}"]
    command += ["--num_workers", "1", "--telemetry", "False"]
    return Target(name, command, "/health/liveliness", env=env, files={config: json.dumps(settings)}, cwd=folder)
