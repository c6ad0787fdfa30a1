"""How cmd.exe and Microsoft's C library read a command line, as far as our quoting needs them."""


def read_by_cmd(line: str) -> str:
    """Return what cmd.exe hands on: a caret keeps what follows, and what is not kept must be harmless."""
    handed, position = "", 0
    while position < len(line):
        sign = line[position]
        if sign == "^":
            position += 2 if line[position + 1 : position + 2] == "\n" else 1
            sign = line[position]
        else:
            assert sign not in '"&|<>()%!\n', f"{sign!r} stands unguarded in {line!r}"
        handed += sign
        position += 1
    return handed


def read_by_program(line: str) -> str:
    """Return the one argument that Microsoft's C library reads from a command line."""
    [argument] = arguments_of(line)
    return argument


def arguments_of(line: str) -> list[str]:
    """Return the arguments of a command line."""
    found: list[str] = []
    current, slashes, is_quoted, is_begun = "", 0, False, False
    for sign in f"{line} ":
        if sign == "\\":
            slashes, is_begun = slashes + 1, True
            continue
        current += "\\" * (slashes // 2 if sign == '"' else slashes)
        is_literal, slashes = slashes % 2 == 1, 0
        if sign == '"' and not is_literal:
            is_quoted, is_begun = not is_quoted, True
        elif sign.isspace() and not is_quoted:
            if is_begun:
                found.append(current)
            current, is_begun = "", False
        else:
            current, is_begun = current + sign, True
    assert not is_quoted, f"no end in {line!r}"
    return found
