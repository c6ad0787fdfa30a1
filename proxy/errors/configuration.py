"""What stops a start, and what can be wrong with the settings file or the port."""

from proxy.errors.proxy_error import ProxyError


class ConfigurationError(ProxyError):
    """Stop the start, with one line that says why."""

    title = "The proxy cannot start"
    type = "configuration_error"
    code = "configuration_error"


class SettingError(ConfigurationError):
    """Refuse a setting's value."""

    title = "A setting is wrong"
    field: str | None = None  # which one, and
    origin: str | None = None  # where its value comes from, where both are known


class SettingsContradict(SettingError):
    """Refuse a value that is fine alone and wrong beside another."""

    title = "Two settings contradict each other"
    is_own_address = False  # the upstream is the proxy itself


class SettingsFileWrong(SettingError):
    """Name the file, the line and the fault; nothing of such a file is put in force."""

    title = "The settings file is wrong"
    hint = "Nothing was changed; mend the file by hand first"


class SettingsBroken(ProxyError):
    """Relay nothing while nobody knows what the user has chosen."""

    title = "The proxy relays nothing because its settings file is wrong"
    hint = "Correct the file, no restart is needed; `openai-tray-proxy config` says whether it is right"
    status = 503
    type = "configuration_error"
    code = "settings_broken"
    should_retry = False


class EnvironmentBroken(SettingsBroken):
    """Relay nothing while a variable of the environment is wrong: another value in its place would be a guess."""

    title = "The proxy relays nothing because a variable of its environment is wrong"
    hint = "Unset or correct it, and start the program again"


class PortTaken(ConfigurationError):
    """Say that another program listens on the port."""

    title = "The port is taken"
    hint = "Stop that program, or choose another port with --port or PROXY_PORT"


class RunsAlready(PortTaken):
    """Say that it is this very program that has the port."""

    title = "The proxy runs already"
    hint = "`openai-tray-proxy page` prints a link to its page; --port or PROXY_PORT start another one beside it"


class NoProxyRuns(ProxyError):
    """Say that there is none to come in to."""

    title = "No proxy of yours runs here"
    hint = "`openai-tray-proxy serve` starts one in the terminal"
    code = "no_proxy_runs"


class InstallationFailed(ProxyError):
    """Say that the user's desktop could not be changed, or what was made not removed."""

    title = "The desktop could not be changed"
    hint = "Make that folder yours and writable, with room on its disk, and try again"
    code = "installation_failed"


class ClientFileRefused(ProxyError):
    """Say why a client's settings file was left as it is."""

    title = "The client's settings were not changed"
    code = "client_file_refused"


class ClientUnknown(ProxyError):
    """Say that a program is none that can be connected."""

    title = "This program cannot be connected"
    code = "client_unknown"
