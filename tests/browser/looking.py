"""Looking at a page: screenshots, and what a person without sight or mouse would meet."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
SCHEMES = ("light", "dark")


def look(page: Page, name: str, *, whole: bool = True) -> None:
    """Save the page as it looks on a phone and a desktop, light and dark.

    `whole` takes what lies below the screen too (not with a dialog, which covers the screen).
    Also holds what every page must hold: no sideways scrolling on any of them.
    """
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for scheme in SCHEMES:
        for device, (width, height) in SIZES.items():
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            assert not overflows(page), f"{name} scrolls sideways on a {device}"
            page.screenshot(path=SCREENSHOTS / f"{name}-{device}-{scheme}.png", full_page=whole)
    page.set_viewport_size({"width": 360, "height": 640})
    assert not overflows(page), f"{name} scrolls sideways at 360 px"
    page.set_viewport_size({"width": 1280, "height": 800})


def overflows(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def accessibility_faults(page: Page) -> list[str]:
    """What a person without sight or mouse would trip over, by simple checks of the tree."""
    return list(page.evaluate(_FAULTS))


_FAULTS = """() => {
  const faults = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  if (document.documentElement.lang !== "en") faults.push("no language");
  if (!document.title) faults.push("no title");
  if (all("main").length !== 1) faults.push("not one main");
  if (all("h1").length !== 1) faults.push("not one h1");
  const levels = all("h1,h2,h3,h4").map((heading) => Number(heading.tagName[1]));
  levels.forEach((level, i) => {
    if (i && level > levels[i - 1] + 1) faults.push(`heading level skipped: h${level}`);
  });
  all("input:not([type=hidden]),select,textarea").forEach((input) => {
    if (!input.labels.length) faults.push(`no label: ${input.outerHTML}`);
  });
  all("button,a").forEach((control) => {
    const name = control.getAttribute("aria-label") || control.textContent.trim();
    if (!name) faults.push(`no name: ${control.outerHTML}`);
  });
  all("img").forEach((image) => {
    if (!image.hasAttribute("alt")) faults.push(`no alt: ${image.outerHTML}`);
  });
  all("[aria-describedby],[aria-labelledby]").forEach((element) => {
    const ids = [element.getAttribute("aria-describedby"), element.getAttribute("aria-labelledby")];
    ids.filter(Boolean).flatMap((list) => list.split(" ")).forEach((id) => {
      if (!document.getElementById(id)) faults.push(`refers to nothing: ${id}`);
    });
  });
  const ids = all("[id]").map((element) => element.id);
  ids.filter((id, i) => ids.indexOf(id) !== i).forEach((id) => faults.push(`id twice: ${id}`));
  all("[tabindex]").forEach((element) => {
    if (element.tabIndex > 0) faults.push(`tab order forced: ${element.outerHTML}`);
  });
  return faults;
}"""
