"""Put the parts together: the only place where they meet."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from proxy import paths
from proxy.callbacks import (
    always_allow,
    environment_key,
    hint_of_another,
    load_when_required,
    sweep,
    system_keychain,
)
from proxy.capture.capture import Capture
from proxy.capture.disk import Kept
from proxy.errors.configuration import SettingsBroken
from proxy.errors.request import OriginNotAllowed
from proxy.errors.upstream import SdkNotLoaded
from proxy.exchange.composition import Pipeline
from proxy.exchange.drills import Drills
from proxy.exchange.pipeline import pipelines
from proxy.exchange.request import Kind
from proxy.exchange.stage import KEEP_ALIVE_S, Parts
from proxy.exchange.trial import Step, try_out
from proxy.files import held
from proxy.flow.healths import Healths
from proxy.flow.log_line import LogLine
from proxy.flow.observers import Observers
from proxy.flow.upstream_state import UpstreamState, state_of
from proxy.keys.changes import AnnouncingKeychain, KeyChanges
from proxy.keys.proxy_keys import ProxyKeys
from proxy.keys.reading import Keys
from proxy.keys.upstream_key import Keychain, KeyState, Secrets
from proxy.keys.upstream_keys import UpstreamKeys, is_keyless
from proxy.logs import log
from proxy.logs.redaction import redact
from proxy.policy.refused_origins import RefusedOrigins
from proxy.records import records
from proxy.settings.following import SettingsFollower
from proxy.settings.model import Settings, changed_upstreams
from proxy.settings.store import LOCK_LIMIT_S, SettingsStore
from proxy.settings.upstreams import Upstream, free_name
from proxy.tools.consent import Consent
from proxy.tools.execution import ToolExecution
from proxy.updates import Updates
from proxy.upstream.discovery import Found, find
from proxy.upstream.learned import LearnedFacts
from proxy.upstream.options import UpstreamOptions
from proxy.upstream.router import UpstreamRouter
from proxy.upstream.sdk import Sdk
from proxy.upstream.steps import Probe
from proxy.usage.ledger import Ledger
from proxy.usage.metrics import Metrics
from proxy.usage.spending import Spending


@dataclass(frozen=True)
class Services:
    """The parts, wired."""

    store: SettingsStore
    settings_follower: SettingsFollower  # started and stopped by whoever runs the program
    secrets: Secrets
    upstream_keys: UpstreamKeys
    proxy_keys: ProxyKeys
    keys: Keys
    keychain: Keychain
    refused_origins: RefusedOrigins
    health: Healths
    observers: Observers
    router: UpstreamRouter
    pipelines: Mapping[Kind, Pipeline]
    tools: ToolExecution
    learned: LearnedFacts
    ledger: Ledger
    spending: Spending
    metrics: Metrics
    capture: Capture
    kept: Kept
    drills: Drills
    updates: Updates

    def follow_log_level(self) -> None:
        """Log as much as the settings say, from now on. The root logger is the process's: for the programs alone."""
        log.set_level(self.store.current.proxy_log_level)
        self.store.listen(lambda _, new: log.set_level(new.proxy_log_level))

    def load_keys(self) -> None:
        """Begin to read the keys from the keyring, as far as they are needed."""
        self.keys.load(proxy_key_required=self.store.current.proxy_require_api_key)

    def chosen(self) -> Settings:
        """Return the settings an upstream is asked with; raises SettingsBroken, its words without the keys."""
        try:
            return self.store.chosen
        except SettingsBroken as error:
            raise type(error)(self.hide(error.detail)) from None

    def every_secret(self) -> list[str]:
        """Return the keys that must appear nowhere."""
        return [*self.upstream_keys.held(), *(key.key for key in self.proxy_keys.current)]

    def hide(self, text: str) -> str:
        """Take the keys out of a text; they are asked for anew at each, for they change while the program runs."""
        return redact(text, self.every_secret())

    def allow_origin(self, origin: str) -> None:
        """Let a page in that was refused, from its next request on; raises SettingError, OriginNotAllowed, OSError."""
        if origin not in self.refused_origins.offered(self.store.current.proxy_allowed_origins):
            raise OriginNotAllowed(f"{origin!r} is not among those refused last")
        self.store.update(proxy_allowed_origins=lambda held: held if origin in held else (*held, origin))

    def try_key(self, key: str, upstream: Upstream | None = None) -> str | None:
        """Ask an upstream whether it accepts a key: None, or what it said, or why it was not asked. Blocks.

        Without one, that of OPENAI_BASE_URL is asked, whose key this is.
        """
        try:
            settings = self.chosen()
            key_test = Sdk().load("proxy.upstream.key_test")  # a start must not wait for it
        except (SettingsBroken, SdkNotLoaded) as error:
            return str(error)
        refusal: str | None = key_test.try_key(UpstreamOptions.of(settings, upstream or settings.upstreams[0]), key)
        if refusal is None:
            self.health.of((upstream or settings.upstreams[0]).name).note_accepted_key()
        return refusal

    def state_of(self, upstream: Upstream) -> UpstreamState:
        """Return how an upstream is doing, as far as the last requests tell; any thread."""
        held, rests_s = self.upstream_keys.of(upstream), self.router.cooldown.resting_s(upstream.name)
        lacks_key = held.loaded.is_set() and held.state.key is None and not is_keyless(upstream, held.state)
        return state_of(
            self.health.of(upstream.name).current,
            time.time() + rests_s if rests_s else None,
            self.hide(self.router.cooldown.last_failure(upstream.name)),
            lacks_key=lacks_key and not self.store.current.proxy_forward_auth_header,
        )

    def next_change_s(self) -> float | None:
        """Return the seconds until an upstream's state changes by itself, None where none is to; any thread."""
        limit, rest_s = self.health.next_end(), self.router.cooldown.next_end_s()
        ends = [] if rest_s is None else [rest_s]
        return min([*ends, *([] if limit is None else [max(0.0, limit - time.time())])], default=None)

    def probe_upstream(self, upstream: Upstream, key: str | None) -> Probe:
        """Reach an upstream step by step, and try a key there; raises SettingsBroken. Blocks for some seconds."""
        from proxy.upstream.probe import probe  # noqa: PLC0415  as above

        found = probe(UpstreamOptions.of(self.chosen(), upstream), key)
        if found.problem is None and key is not None:
            self.health.of(upstream.name).note_accepted_key()
        return found

    def find_local(self) -> list[Found]:
        """Return the model servers on this computer that are no upstream yet, with free names. Blocks for a second."""
        rows = self.store.current.upstreams
        known = {row.base_url for row in rows}
        found = find(without=[self.store.current.proxy_port])
        return [replace(each, name=free_name(each.name, rows)) for each in found if each.base_url not in known]

    def try_out(self, upstream: Upstream, model: str | None = None) -> list[Step]:
        """Ask an upstream for its models and for a chat of one token, with the key held for it. Blocks."""
        try:
            settings = self.chosen()
        except SettingsBroken as error:
            return [Step("models", False, str(error))]
        state = KeyState() if upstream.auth == "none" else self.upstream_keys.of(upstream).load()
        if state.key is None and not upstream.is_local and upstream.auth != "none":
            return [Step("models", False, f"not asked: the key is {state}")]
        steps = try_out(upstream, UpstreamOptions.of(settings, upstream), state.key or "", self.hide, model)
        if steps[0].is_good:
            self.health.of(upstream.name).note_accepted_key()
        return steps

    def try_upstream(self, upstream: Upstream, key: str | None = None) -> str | None:
        """Ask an upstream with a key, else with the one held for it, as `try_key`. Blocks."""
        if key is not None:
            return self.try_key(key, upstream)
        state = KeyState() if upstream.auth == "none" else self.upstream_keys.of(upstream).load()
        if state.key is None and not upstream.is_local and upstream.auth != "none":
            return f"the key is {state}"
        return self.try_key(state.key or "", upstream)


def assemble(
    command_line: Mapping[str, Any] | None = None,
    settings_file: Path | None = None,
    keychain: Callable[[], Keychain] | None = None,
    *,
    keep_alive_s: float = KEEP_ALIVE_S,
    starts_anyway: bool = False,
    ledger_file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Services:
    """Wire the parts; raises SettingError for what is wrong in the environment or on the command line.

    Who starts anyway is not stopped by the environment, but relays nothing then; see SettingsStore.
    Without a keychain of the caller's the system's keyring is used. The keys are read in `environment`, for a program
    of ours takes them out of its own.
    """
    sweep(settings_file or paths.settings_file())
    store = SettingsStore(
        settings_file or paths.settings_file(), command_line, environment, starts_anyway=starts_anyway
    )
    changes = KeyChanges(paths.key_changes_file())
    announcing = AnnouncingKeychain(keychain or system_keychain, changes)
    secrets = Secrets(
        lambda: environment_key(store),
        lambda: announcing,
        prefers_kept=lambda: store.current.openai_key_from == "keyring",
    )
    proxy_keys = ProxyKeys(
        lambda: [key.get_secret_value() for key in store.current.proxy_api_keys],
        lambda: announcing,
        lambda: held(paths.proxy_keys_lock(), LOCK_LIMIT_S),
    )
    upstream_keys = UpstreamKeys(secrets, lambda: announcing, environment)
    for row in store.current.upstreams:  # whom the keys of the environment are for
        upstream_keys.of(row)
    keys = Keys(secrets, upstream_keys, proxy_keys, changes)
    store.listen(lambda old, new: load_when_required(proxy_keys, old, new))
    health = Healths(lambda: store.current.chosen_upstream.name, keys.after_refusal)
    store.listen(lambda old, new: health.forget(changed_upstreams(old, new)))
    recorded = records(store, lambda text: services.hide(text), ledger_file)
    # The capture joins them where there are pages to show it on.
    observers = Observers(health, LogLine(), recorded.ledger)
    router = UpstreamRouter(store, lambda: services.chosen(), upstream_keys)
    tools = ToolExecution(
        lambda: store.current,
        paths.function_tools_file,
        paths.mcp_servers_file,
        Consent(lambda: store.current.tool_consent, lambda name: always_allow(store, name)),
        announcing,
        environment,
    )
    store.listen(tools.follow)
    learned = LearnedFacts(paths.learned_file())
    drills = Drills(observers)
    parts = Parts(
        router=router,
        tools=tools,
        observers=observers,
        hide=lambda text: services.hide(text),
        learned=learned,
        ledger=recorded.ledger,
        drills=drills,
        keep_alive_s=keep_alive_s,
        note_end=health.ended,
        key_hint=lambda: hint_of_another(secrets),
    )
    services = Services(
        store=store,
        settings_follower=SettingsFollower(store),
        secrets=secrets,
        upstream_keys=upstream_keys,
        proxy_keys=proxy_keys,
        keys=keys,
        keychain=announcing,
        refused_origins=RefusedOrigins(),
        health=health,
        observers=observers,
        router=router,
        pipelines=pipelines(parts),
        tools=tools,
        learned=learned,
        ledger=recorded.ledger,
        spending=recorded.spending,
        metrics=recorded.metrics,
        capture=recorded.capture,
        kept=recorded.kept,
        drills=drills,
        updates=Updates(lambda: store.current, paths.updates_file),
    )
    for pipeline in services.pipelines.values():
        drills.listen(pipeline.recompose)
    return services
