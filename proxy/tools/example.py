"""What `tools init` writes."""

EXAMPLE = '''"""Tools of your own, which the proxy runs when the model asks for them.

Every public function with type hints in this file is a tool. The model is told its name, the first lines of its
docstring, and its arguments with their types, defaults and descriptions. What it returns goes back to the model.
Save the file and the next request uses it; `openai-tray-proxy tools list` shows what became of it.
Tools run only while ENABLE_TOOL_EXECUTION is on. They run with all your rights: put nothing here you would not let a
stranger call with arguments of his choice.
"""

from typing import Literal


def roll_dice(count: int = 1, sides: Literal[4, 6, 8, 10, 12, 20] = 6) -> list[int]:
    """Roll dice and return what they show.

    Args:
        count: How many dice, at most 100.
        sides: How many sides each of them has.
    """
    import random

    if not 1 <= count <= 100:
        raise ValueError("count must be from 1 to 100")
    return [random.randint(1, sides) for _ in range(count)]


# A function may be asynchronous, may take dataclasses and lists, and may fail: the model is told in a few words.
#
# async def page_title(url: str) -> str:
#     """Return the title of a web page."""
#     ...
#
# What begins with an underscore is no tool.
#
# def _helper(): ...
'''
