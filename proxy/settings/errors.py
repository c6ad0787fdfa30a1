"""What can be wrong with the settings file; `proxy.errors` draws the whole tree."""

from proxy.errors import ProxyError, SettingError


class SettingsContradict(SettingError):
    """Refuse a value that is fine alone and wrong beside another."""

    title = "Two settings contradict each other"


class SettingsFileWrong(SettingError):
    """Name the file, the line and the fault; nothing of such a file is put in force."""

    title = "The settings file is wrong"
    hint = "Nothing was changed; mend the file by hand first"


class SettingsBroken(ProxyError):
    """Relay nothing while nobody knows what the user has chosen."""

    title = "The proxy relays nothing, for its settings file is wrong"
    hint = "Mend the file and restart the proxy; `openai-tray-proxy config` says whether it is right"
    status = 503
    type = "configuration_error"
    code = "settings_broken"
    should_retry = False
