"""The icon as an org.kde.StatusNotifierItem object: what panels read, and the clicks they send.

All of it runs on the tray's thread.
"""

from collections.abc import Callable

from tray_app.backends import dbus_menu
from tray_app.backends.exported import Body, Emit, Exported, Method, Variant
from tray_app.backends.pixmaps import Pixmaps
from tray_app.menu import Look

INTERFACE = "org.kde.StatusNotifierItem"
PATH = "/StatusNotifierItem"
SIGNALS: dict[str, tuple[str, ...]] = {
    "NewTitle": (),
    "NewIcon": (),
    "NewAttentionIcon": (),
    "NewOverlayIcon": (),
    "NewToolTip": (),
    "NewStatus": ("s",),
}


class NotifierItem:
    """Export the icon, title and attention of a look; `on_activate` is called for clicks on the icon."""

    def __init__(self, app_id: str, look: Look, pixmaps: Pixmaps, emit: Emit, on_activate: Callable[[], None]) -> None:
        self._app_id = app_id
        self._look = look
        self._pixmaps = pixmaps
        self._emit = emit
        self._on_activate = on_activate
        self.exported = Exported(PATH, INTERFACE, self._properties, self._methods(), SIGNALS)

    def show(self, look: Look) -> None:
        """Set the look and send the changes to the panels."""
        before, self._look = self._look, look
        if look.icon != before.icon:
            self._emit(self.exported, "NewIcon")
            self._emit(self.exported, "NewAttentionIcon")
        if look.title != before.title:
            self._emit(self.exported, "NewTitle")
        if look.tooltip != before.tooltip:
            self._emit(self.exported, "NewToolTip")
        if look.attention != before.attention:
            self._emit(self.exported, "NewStatus", self._status)

    @property
    def _status(self) -> str:
        return "NeedsAttention" if self._look.attention else "Active"

    @property
    def _tooltip(self) -> tuple[str, str]:
        """Heading and text of the tooltip; LXQt shows only the heading, and some panels read the text as markup."""
        look = self._look
        return (look.status, look.title) if look.status else (look.title, "")

    def _methods(self) -> dict[str, Method]:
        return {
            "Activate": Method(("i", "i"), (), self._activate),
            "SecondaryActivate": Method(("i", "i"), (), self._activate),
            "XAyatanaSecondaryActivate": Method(("u",), (), self._activate),
            "ContextMenu": Method(("i", "i"), (), _accept),  # panels that call it show the menu themselves
            "Scroll": Method(("i", "s"), (), _accept),
            "ProvideXdgActivationToken": Method(("s",), (), _accept),
        }

    def _activate(self, *_: object) -> Body:
        self._on_activate()
        return ()

    def _properties(self) -> dict[str, Variant]:
        icon = ("a(iiay)", self._pixmaps.of(self._look.icon))
        return {
            "Category": ("s", "ApplicationStatus"),
            "Id": ("s", self._app_id),
            "Title": ("s", self._look.title),
            "Status": ("s", self._status),
            "WindowId": ("i", 0),
            "IconName": ("s", ""),
            "IconThemePath": ("s", ""),
            "IconPixmap": icon,
            "OverlayIconName": ("s", ""),
            "OverlayIconPixmap": ("a(iiay)", []),
            "AttentionIconName": ("s", ""),
            "AttentionIconPixmap": icon,
            "AttentionMovieName": ("s", ""),
            "ToolTip": ("(sa(iiay)ss)", ("", [], *self._tooltip)),
            "ItemIsMenu": ("b", False),  # a click on the icon is ours and does not open the menu
            "Menu": ("o", dbus_menu.PATH),
        }


def _accept(*_: object) -> Body:
    return ()
