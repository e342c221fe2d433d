"""Opens pages in a headless Chromium; a test module that needs it says ``pytest_plugins = ['browser']``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import CHROMIUM, DRAWN


@dataclass
class Opened:
    """A page in the browser, and what has gone wrong on it since.

    Attributes:
        page: playwright's page.
        path: of the HTML file.
        errors: errors and warnings of the console, and exceptions of scripts.
        requests: addresses of everything that was asked for, the page itself included.
    """

    page: Any
    path: Path
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def load(self, fragment: str = '') -> None:
        """Open it, anew if it is open, and wait until it is drawn; ``fragment`` follows the address."""
        self.page.goto('about:blank')  # where only the fragment differs, nothing would be loaded
        self.page.goto(self.path.resolve().as_uri() + fragment)
        self.page.wait_for_selector(DRAWN, state='attached')

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Meanwhile note what goes wrong, and what is asked for."""

        def asked(request: Any) -> None:
            if request.url != 'about:blank':
                self.requests.append(request.url.partition('#')[0])

        def said(message: Any) -> None:
            if message.type in ('error', 'warning'):
                self.errors.append(message.text)

        heard = {'request': asked, 'console': said, 'pageerror': lambda error: self.errors.append(str(error))}
        for event, listener in heard.items():
            self.page.on(event, listener)
        yield
        for event, listener in heard.items():
            self.page.remove_listener(event, listener)

    @property
    def violations(self) -> list[str]:
        """What axe finds that some readers cannot see, read or reach, by rule and place."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response['violations']
        return [f'{rule["id"]}: {node["html"][:200]}' for rule in found for node in rule['nodes']]

    def screenshot(self, name: str) -> None:
        """Picture of the whole page, as NAME.png in the folder for pictures, if there is one."""
        if folder := os.environ.get('ABAWFW_ARTIFACTS'):
            self.page.screenshot(path=Path(folder, f'{name}.png'), full_page=True)

    @property
    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return self.page.evaluate('document.documentElement.scrollWidth - window.innerWidth')


OpenPage = Callable[..., Opened]


@pytest.fixture(scope='session')
def chromium() -> Iterator[Any]:
    """The browser; skips where there is none, unless its pictures are asked for."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None and 'ABAWFW_ARTIFACTS' not in os.environ:
        pytest.skip(f'no browser is installed: none of {", ".join(CHROMIUM)} is on the path')
    assert path, (
        f'ABAWFW_ARTIFACTS asks for pictures of pages, but none of {", ".join(CHROMIUM)} is on the path'
    )
    from playwright import sync_api as playwright

    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture(scope='session')
def tabs(chromium: Any) -> list[Any]:
    """Tabs of the browser that nothing uses; to open one takes seconds, and what it has compiled it keeps."""
    return []


@contextmanager
def _opened(
    chromium: Any, tabs: list[Any], path: Path, width: int = 1440, height: int = 900, scheme: str = 'light'
) -> Iterator[Opened]:
    page = tabs.pop() if tabs else chromium.new_page()
    page.emulate_media(media='null', color_scheme=scheme)
    page.set_viewport_size({'width': width, 'height': height})
    found = Opened(page, path)
    with found.watched():
        found.load()
        yield found
    page.goto('about:blank')
    tabs.append(page)


@contextmanager
def _one_at_a_time(chromium: Any, tabs: list[Any]) -> Iterator[OpenPage]:
    with ExitStack() as stack:

        def opened(path: Path, width: int = 1440, **more: Any) -> Opened:
            stack.close()
            return stack.enter_context(_opened(chromium, tabs, path, width, **more))

        yield opened


@pytest.fixture
def open_page(chromium: Any, tabs: list[Any]) -> Iterator[OpenPage]:
    """A function ``open_page(path, width=1440)`` that opens an HTML file and waits until it is drawn.

    What it has opened before is closed. ``scheme`` is 'light' or 'dark', as the reader's system is set.
    Pictures go to the folder that the environment variable ABAWFW_ARTIFACTS names.
    """
    with _one_at_a_time(chromium, tabs) as opened:
        yield opened


@pytest.fixture(scope='module')
def open_for_all(chromium: Any, tabs: list[Any]) -> Iterator[OpenPage]:
    """The same for a page that tests of a module share; it stays open until the next one is opened."""
    with _one_at_a_time(chromium, tabs) as opened:
        yield opened
