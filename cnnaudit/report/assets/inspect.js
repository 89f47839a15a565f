"use strict";
// Marks the section that is being read in the contents, and keeps its entry in view.
(() => {
  const entries = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...entries.keys()].map((name) => document.getElementById(name));
  let current = null;

  function mark() {
    const above = sections.filter((section) => section.getBoundingClientRect().top < innerHeight / 3);
    const link = entries.get((above.at(-1) ?? sections[0]).id);
    if (link === current) return;
    current?.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    const list = link.closest("ul");
    list.scrollLeft += link.getBoundingClientRect().left - list.getBoundingClientRect().left - list.clientWidth / 3;
    current = link;
  }

  addEventListener("scroll", mark, { passive: true });
  mark();
})();
