"""A page taken apart with the standard library's parser, to ask what is in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

NEVER_CLOSED = {"meta", "link", "img", "br"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    own_text: str = ""

    @property
    def text(self) -> str:
        """The text of the element and of all that is in it."""
        return self.own_text + "".join(child.text for child in self.children)

    def all(self, tag: str) -> list[Element]:
        """Every element of a tag, in order."""
        found = [self] if self.tag == tag else []
        return found + [element for child in self.children for element in child.all(tag)]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("document", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in NEVER_CLOSED:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        # Text goes into a child of its own, so that it stays in order.
        self.open[-1].children.append(Element("text", {}, own_text=data))


def parse(html: str) -> Element:
    """The document; every element that is opened must be closed, in order."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert [element.tag for element in parser.open] == ["document"]
    return parser.open[0]
