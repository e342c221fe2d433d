"""Tags and text of a page, as a browser would take them."""

from __future__ import annotations

from html.parser import HTMLParser


class PageText(HTMLParser):
    """What is in a page, in its order.

    Attributes:
        tags: names of those that open something.
        attributes: theirs, names and values.
        text: all that is no tag.
        words: of this what is no script or style.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.tags[-1:] not in (['script'], ['style']):
            self.words.append(data)
