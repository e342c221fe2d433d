"""Opens pages in a headless Chromium; a test module that needs it says ``pytest_plugins = ['browser']``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
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
        errors: errors and warnings of the console, and exceptions of scripts.
        requests: addresses of everything that was asked for, the page itself included.
        artifacts: folder for pictures.
    """

    page: Any
    artifacts: Path
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """What axe finds that some readers cannot see, read or reach, by rule and place."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response['violations']
        return [f'{rule["id"]}: {node["html"][:200]}' for rule in found for node in rule['nodes']]

    def screenshot(self, name: str) -> Path:
        """Picture of the whole page, as NAME.png in the folder for pictures."""
        path = self.artifacts / f'{name}.png'
        self.page.screenshot(path=path, full_page=True)
        return path

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


def _opener(chromium: Any, artifacts: Path) -> Iterator[OpenPage]:
    artifacts = Path(os.environ.get('ABAWFW_ARTIFACTS', artifacts))
    artifacts.mkdir(parents=True, exist_ok=True)
    pages = []

    def opened(
        path: Path, width: int = 1440, height: int = 900, scheme: str = 'light', fragment: str = ''
    ) -> Opened:
        page = chromium.new_page(viewport={'width': width, 'height': height}, color_scheme=scheme)
        pages.append(page)
        found = Opened(page, artifacts)
        page.on('request', lambda request: found.requests.append(request.url))
        page.on('pageerror', lambda error: found.errors.append(str(error)))
        page.on(
            'console',
            lambda said: found.errors.append(said.text) if said.type in ('error', 'warning') else None,
        )
        page.goto(path.resolve().as_uri() + fragment)
        page.wait_for_selector(DRAWN, state='attached')
        return found

    yield opened
    for page in pages:
        page.close()


@pytest.fixture
def open_page(chromium: Any, tmp_path: Path) -> Iterator[OpenPage]:
    """A function ``open_page(path, width=1440)`` that opens an HTML file and waits until it is drawn.

    ``scheme`` is 'light' or 'dark', as the reader's system is set; ``fragment`` follows the address. Pictures
    go to the folder that the environment variable ABAWFW_ARTIFACTS names, or to ``tmp_path``.
    """
    yield from _opener(chromium, tmp_path)


@pytest.fixture(scope='module')
def open_for_all(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenPage]:
    """The same for pages that the tests of a module share: to open one takes seconds."""
    yield from _opener(chromium, tmp_path_factory.mktemp('pictures'))
