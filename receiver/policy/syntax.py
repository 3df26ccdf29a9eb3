"""How are matchers written, before and since label names may be any UTF-8?"""

import re
from collections.abc import Sequence

Parts = tuple[str, str, str]  # the label's name, the operator, the value

EXAMPLE = 'severity="critical"'

_RESERVED = "{}!=~,\\'\"`"
_CLASSIC = re.compile(
    r"[\t\n\f\r ]*([a-zA-Z_:][a-zA-Z0-9_:]*)[\t\n\f\r ]*(=~|=|!=|!~)[\t\n\f\r ]*(.*)", re.DOTALL
)
_CLASSIC_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}
_TOKEN = re.compile(
    rf"""(?P<space>\s+)|(?P<brace>[{{}}])|(?P<comma>,)|(?P<operator>=~|=|!=|!~)
       |(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<bare>[^\s{re.escape(_RESERVED)}]+)|(?P<invalid>.)""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(
    r"""\\(?:([abfnrtv\\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))|(\\|\n)|([^\\\n]+)"""
)
_NAMED_ESCAPES = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))


class MatcherError(ValueError):
    """A matcher that cannot be understood, and what to write instead."""


def written(name: str, op: str, value: str) -> str:
    """Return the matcher as Alertmanager writes it."""
    if any(character in _RESERVED or character.isspace() for character in name):
        return f"{_quote(name)}{op}{_quote(value)}"
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'{name}{op}"{escaped}"'


def read_classic_list(text: str) -> list[Parts]:
    """Return the matchers of a list in the syntax from before UTF-8 label names."""
    return [read_classic(part) for part in _classic_parts(text.removeprefix("{").removesuffix("}"))]


def read_classic(text: str) -> Parts:
    """Return the one matcher in the syntax from before UTF-8 label names."""
    found = _CLASSIC.fullmatch(text)
    if found is None:
        raise MatcherError(
            f"{text!r} is not a matcher; write a label, an operator and a value, such as {EXAMPLE}"
        )
    name, op, value = found.groups()
    return name, op, _classic_value(value.rstrip("\t\n\f\r "))


def read_utf8_list(text: str) -> list[Parts]:
    """Return the matchers of a list in the syntax that allows any UTF-8 label name."""
    tokens = _tokens(text)
    if tokens[:1] == [("brace", "{")]:
        if tokens[-1] != ("brace", "}"):
            raise MatcherError(f"{text!r} opens a brace and must end with }}")
        tokens = tokens[1:-1]
    found = []
    while tokens:
        found.append(_utf8(tokens, text))
        tokens = tokens[3:]
        if tokens and tokens.pop(0) != ("comma", ","):
            raise MatcherError(
                f"{text!r} needs a comma between its matchers, and quotes around unusual values"
            )
    return found


def _classic_parts(text: str) -> list[str]:
    """Return the text cut at its commas; a comma in quotes does not cut."""
    parts, part, quoted, escaped = [], "", False, False
    for character in text:
        if character == "," and not quoted:
            parts.append(part)
            part = ""
            continue
        if character == '"' and not escaped:
            quoted = not quoted
        if character != ",":
            escaped = character == "\\" and not escaped
        part += character
    if part.strip():
        parts.append(part.strip())
    return parts


def _classic_value(raw: str) -> str:
    """Return the value without its quotes and escapes; an escape without meaning stays as it is."""
    quoted = raw.startswith('"')
    value, rest, closed = "", raw[1:] if quoted else raw, False
    while rest:
        character, rest = rest[0], rest[1:]
        if character == "\\" and rest:
            value += _CLASSIC_ESCAPES.get(rest[0], "\\" + rest[0])
            rest = rest[1:]
        elif character == '"':
            if not quoted or rest:
                raise MatcherError(f'{raw} has a double quote in the value; write \\" for it')
            closed = True
        else:
            value += character
    if quoted and not closed:
        raise MatcherError(f"{raw} has no closing double quote; add it")
    return value


def _tokens(text: str) -> list[tuple[str, str]]:
    found = [(token.lastgroup or "", token.group()) for token in _TOKEN.finditer(text)]
    return [token for token in found if token[0] != "space"]


def _utf8(tokens: Sequence[tuple[str, str]], text: str) -> Parts:
    kinds = [kind for kind, _ in tokens[:3]]
    if len(kinds) < 3 or kinds[1] != "operator" or not {kinds[0], kinds[2]} <= {"quoted", "bare"}:
        raise MatcherError(f"{text!r} is not a list of matchers; write for example {EXAMPLE}")
    (_, name), (_, op), (_, value) = tokens[:3]
    return _unquote(name), op, _unquote(value)


def _unquote(token: str) -> str:
    """Return what a token means: quotes and Go's escapes are taken away."""
    if not token.startswith('"'):
        return token
    content = b""
    for named, byte, octal, short, long, wrong, plain in _ESCAPE.findall(token[1:-1]):
        if wrong:
            raise MatcherError(
                f"{token} has an escape or line break that means nothing; write \\\\ for a backslash"
            )
        if byte or octal:
            content += _byte(int(byte, 16) if byte else int(octal, 8), token)
        elif short or long:
            content += _character(int(short or long, 16), token)
        else:
            content += (_NAMED_ESCAPES[named] if named else plain).encode("utf-8", "surrogatepass")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise MatcherError(f"{token} is not valid UTF-8; remove the \\x escapes") from None


def _byte(number: int, token: str) -> bytes:
    if number > 0xFF:
        raise MatcherError(f"{token} has an octal escape above \\377; write the character itself")
    return bytes([number])


def _character(number: int, token: str) -> bytes:
    try:
        return chr(number).encode()
    except (ValueError, OverflowError):  # beyond Unicode, or half of a surrogate pair
        raise MatcherError(
            f"{token} names a character that does not exist; write the character itself"
        ) from None


def _quote(text: str) -> str:
    escapes = {character: f"\\{name}" for name, character in _NAMED_ESCAPES.items()}
    return '"' + "".join(escapes.get(c) or (c if c.isprintable() else _code(c)) for c in text) + '"'


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
