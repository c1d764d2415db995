"""Pages in a real browser.

Test modules that name this one in ``pytest_plugins`` have the fixtures ``browser``, ``context``,
``complaints`` and ``page``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from tests.browser import launched

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser that has nothing in its memory."""
    async with await browser.new_context(locale="en-GB") as context:
        yield context


@pytest.fixture
def complaints() -> list[str]:
    """Whatever the browser's console was told, violations of the policy too."""
    return []


@pytest.fixture
async def page(context: BrowserContext, complaints: list[str]) -> Page:
    """An empty page."""

    def hear(message: ConsoleMessage) -> None:
        complaints.append(f"{message.type}: {message.text}")

    page = await context.new_page()
    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page
