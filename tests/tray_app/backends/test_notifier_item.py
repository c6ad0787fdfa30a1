"""The icon as panels see it."""

from PIL import Image

from tray_app.backends.exported import Call, answer
from tray_app.backends.notifier_item import NotifierItem
from tray_app.backends.pixmaps import SIZES_PX, Pixmaps, pixmap
from tray_app.menu import Look

LOOK = Look("running", "Title")


class Panel:
    def __init__(self):
        self.signals = []
        self.drawn = []
        self.activations = 0
        self.item = NotifierItem(
            "test",
            LOOK,
            Pixmaps(self.draw),
            lambda _object, name, *body: self.signals.append((name, *body)),
            self.activate,
        )

    def draw(self, state, size_px):
        self.drawn.append((state, size_px))
        return Image.new("RGBA", (size_px, size_px), "red")

    def activate(self):
        self.activations += 1

    def call(self, member, signature="", *body):
        exported = self.item.exported
        return answer({exported.path: exported}, Call(exported.path, exported.interface, member, signature, body))


def test_pixels_are_alpha_red_green_blue():
    assert pixmap(Image.new("RGBA", (1, 2), (1, 2, 3, 4))) == (1, 2, bytes([4, 1, 2, 3]) * 2)


def test_a_state_is_drawn_once_in_every_size():
    panel = Panel()

    panel.item.exported.properties()
    panel.item.exported.properties()

    assert panel.drawn == [("running", size_px) for size_px in SIZES_PX]


def test_panels_read_the_look():
    panel = Panel()
    panel.item.show(Look("running", "Proxy", attention=True, status="The port is taken"))

    properties = panel.item.exported.properties()

    assert properties["Title"] == ("s", "Proxy")
    assert properties["ToolTip"][1] == ("", [], "The port is taken", "Proxy")
    assert properties["Status"] == ("s", "NeedsAttention")
    assert properties["Menu"] == ("o", "/StatusNotifierItem/Menu")
    assert [size for size, _, _ in properties["IconPixmap"][1]] == list(SIZES_PX)


def test_the_tooltip_of_a_program_without_a_status_is_its_name():
    assert Panel().item.exported.properties()["ToolTip"][1] == ("", [], "Title", "")


def test_panels_are_told_only_what_changed():
    panel = Panel()

    panel.item.show(Look("error", "Title"))
    assert panel.signals == [("NewIcon",), ("NewAttentionIcon",)]
    panel.signals.clear()
    panel.item.show(Look("error", "Other"))
    assert panel.signals == [("NewTitle",), ("NewToolTip",)]
    panel.signals.clear()
    panel.item.show(Look("error", "Other", attention=True))
    assert panel.signals == [("NewStatus", "NeedsAttention")]
    panel.signals.clear()
    panel.item.show(Look("error", "Other", attention=True))
    assert panel.signals == []
    panel.item.show(Look("error", "Other", attention=True, status="Stopped"))
    assert panel.signals == [("NewToolTip",)]


def test_clicks_on_the_icon_activate_and_nothing_else_does():
    panel = Panel()

    panel.call("Activate", "ii", 1, 1)
    panel.call("SecondaryActivate", "ii", 1, 1)
    panel.call("ContextMenu", "ii", 1, 1)
    panel.call("Scroll", "is", 1, "vertical")
    panel.call("ProvideXdgActivationToken", "s", "token")

    assert panel.activations == 2
