"""Every error the program can report, as one tree; to the right stands the module of each branch.

ProxyError                      proxy_error.py
├── ServerFault                 500: our own bug; beside it
├── ConfigurationError          what stops a start: a bad setting, a taken port; to ClientUnknown: configuration.py
│   ├── SettingError
│   │   ├── SettingsContradict
│   │   └── SettingsFileWrong
│   └── PortTaken
│       └── RunsAlready         it is this very program
├── SettingsBroken              503: what the user has chosen is not known
│   └── EnvironmentBroken       503: a variable is wrong
├── NoProxyRuns                 nobody gives a link to the page
├── InstallationFailed          no launcher, no start at login, or a trace that stays
├── ClientFileRefused           a client's settings file is left as it is
├── ClientUnknown               no such client, or one that cannot be connected
├── NoUpstreamKey               503; to KeyTooLong: keyring.py
│   └── UpstreamKeyNotRead      503: the keyring failed
├── ProxyKeyTrouble             a name that is taken, or missing
├── UnusableKey                 what was given cannot be a key
├── KeyringFailure              the system's keyring does not help; the proxy serves meanwhile
│   ├── EnvironmentKeyWrong     a variable is wrong, and the keyring is not to blame
│   ├── KeyringAbsent           ├── KeyringLocked   ├── KeyringSilent   └── KeyTooLong
├── RequestRefused              ours to refuse; the upstream was not called; to BudgetReached: request.py
│   ├── MalformedRequest        400   ├── InvalidJson 400            └── ModelInAddress 400
│   ├── UnknownUpstream         400
│   ├── ProxyKeyRefused         401   └── ProxyKeyMissing 401
│   ├── HostNotAllowed          403   ├── OriginNotAllowed 403       └── ContentTypeNotAllowed 415
│   ├── UnknownPath             404   ├── CannotSendAgain 409        └── NothingToBreak 400
│   ├── WrongMethod             405
│   │   └── NotANetworkProxy    405
│   ├── BodyTooLarge            413   ├── EncodingUnsupported 415
│   │   └── UploadTooLarge      413
│   ├── RequestTooSlow          408   ├── TargetTooLong 414          ├── NoRoomForUpload 507
│   ├── HeadTooLarge            431   └── WebSocketUnsupported 501
├── TooManyConnections          503
├── SdkNotLoaded                503: the next request tries again; upstream.py
├── BudgetReached               402: a limit of the user's own
└── UpstreamFailure             the upstream gave no usable answer; to the end: upstream.py
    ├── UpstreamUnreachable     502   ├── UpstreamDnsFailure 502
    ├── UpstreamTlsFailure      502
    │   └── CertificatesUnusable 502
    ├── UpstreamTimeout         504
    ├── ProxyStopped            503: it is not the upstream's fault that there is no answer
    ├── CancelledByUser         410: nor here
    ├── NetworkProxyUnreachable 502   ├── NetworkProxyRefused 502    ├── NetworkProxyAuth 502
    └── UpstreamProtocolFailure 502   ├── UpstreamTruncated 502      ├── UpstreamInvalidResponse 502
                                      ├── UpstreamInvalidEvent 502   └── UpstreamUnexpectedStatus 502
"""
