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


def fake_upstream(folder: Path) -> Target:
    """Return the upstream itself: asked without a proxy between, it is `direct`."""
    return Target("direct", [str(folder / "fake_upstream"), "{port}"], health_path="/stats")


def ours(folder: Path, python: Path, upstream_port: int) -> Target:
    """Return this project's proxy, with an empty home and no keyring: nothing of the user's is read or written."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    env = {
        "HOME": str(home),
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    return Target("ours", [str(python), "-m", "proxy", "serve", "--port", "{port}"], health_path="/v1/health", env=env)


NGINX_CONFIG = """\
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    {temp_paths}
    client_max_body_size 64m;
    client_body_buffer_size 1m;
    keepalive_requests 10000000;
    upstream fake {{
        server 127.0.0.1:{upstream_port};
        keepalive 1024;
        keepalive_requests 10000000;
    }}
    server {{
        listen 127.0.0.1:{{port}} backlog=4096;
        location = /health {{ return 200 "ok"; }}
        location / {{
            proxy_pass http://fake;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


def nginx(folder: Path, upstream_port: int) -> Target:
    """Return nginx with one worker and a configuration of its own: it reads and writes nothing of the system's."""
    program = find_nginx()
    built_with = subprocess.run([program, "-V"], check=True, capture_output=True, text=True).stderr
    kinds = ["client_body", "proxy"] + [
        kind for kind in ("fastcgi", "uwsgi", "scgi") if f"--without-http_{kind}_module" not in built_with
    ]
    text = NGINX_CONFIG.format(
        user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
        folder=folder,
        temp_paths=" ".join(f"{kind}_temp_path {folder}/nginx-{kind};" for kind in kinds),
        upstream_port=upstream_port,
    )
    config = folder / "nginx.conf"
    command = [program, "-p", str(folder), "-e", "stderr", "-c", str(config)]
    return Target("nginx", command, health_path="/health", files={config: text})


def find_nginx() -> str:
    """Return nginx's path; raises RuntimeError with what to install."""
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        raise RuntimeError("nginx is not installed; on Debian and Ubuntu: apt-get install nginx-light")
    return program


def litellm(folder: Path, venv: Path, upstream_port: int) -> Target:
    """Return the LiteLLM proxy: one worker, no database, any model's name, no call to anywhere but the upstream."""
    settings = {
        "model_list": [
            {
                "model_name": "*",
                "litellm_params": {
                    "model": "openai/*",
                    "api_base": f"http://127.0.0.1:{upstream_port}/v1",
                    "api_key": KEY,
                },
            }
        ],
        "litellm_settings": {"telemetry": False},
    }
    config = folder / "litellm.yaml"
    env = {
        "HOME": str(folder),
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
    return Target("litellm", command, "/health/liveliness", env=env, files={config: json.dumps(settings)}, cwd=folder)
