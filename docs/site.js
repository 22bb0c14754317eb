// For those who read with a keyboard or a screen reader: a table that is wider than the page can be reached and scrolled,
// and the buttons of a block of code are no navigation. The theme makes both after the page is loaded.
function repair() {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
  for (const bar of document.querySelectorAll("nav.md-code__nav:not([role])")) bar.setAttribute("role", "none");
}
new MutationObserver(repair).observe(document.body, { childList: true, subtree: true });
addEventListener("resize", repair);
repair();
