"use strict";
// Reads the curves: an epoch under the pointer is marked in every chart, and its numbers, as they stand in
// the table, are written above each. Without this script the numbers of the kept epoch stay there.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const charts = [...document.querySelectorAll(".chart")].map(opened);
  const rows = [...document.querySelectorAll(".epochs tbody tr")];
  const atRest = rows.findIndex((row) => row.classList.contains("kept"));
  let shown = atRest;

  function opened(figure) {
    const plot = figure.querySelector(".plot");
    const lines = [...plot.querySelectorAll("polyline[data-column]")].map((line) => ({
      points: line.getAttribute("points").split(" ").map((point) => point.split(",").map(Number)),
      dot: made("circle", { class: `cursor ${line.getAttribute("class")}`, r: 4.5 }),
    }));
    const rule = made("line", { class: "cursor", y2: "100%" });
    const cursor = made("g", { hidden: "" });
    cursor.append(rule, ...lines.map(({ dot }) => dot));
    plot.append(cursor);
    return { figure, plot, lines, rule, cursor };
  }

  function made(name, attributes) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }

  function set(element, attributes) {
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, `${value}%`);
  }

  function mark({ lines, rule, cursor }, place) {
    const [across] = lines[0].points[place];
    set(rule, { x1: across, x2: across });
    for (const { points, dot } of lines) set(dot, { cx: points[place][0], cy: points[place][1] });
    cursor.removeAttribute("hidden");
  }

  function write(figure, place) {
    for (const target of figure.querySelectorAll(".values [data-column]")) {
      const source = place < 0 ? null : rows[place].querySelector(`[data-column="${target.dataset.column}"]`);
      target.textContent = source ? source.textContent : "";
    }
  }

  function show(place) {
    shown = place;
    for (const chart of charts) {
      mark(chart, place);
      write(chart.figure, place);
    }
  }

  function leave() {
    shown = atRest;
    for (const { figure, cursor } of charts) {
      cursor.setAttribute("hidden", "");
      write(figure, atRest);
    }
  }

  function nearest({ plot, lines }, event) {
    const box = plot.getBoundingClientRect();
    const across = (100 * (event.clientX - box.left)) / box.width;
    const distances = lines[0].points.map(([at]) => Math.abs(at - across));
    return distances.indexOf(Math.min(...distances));
  }

  const MOVES = {
    ArrowLeft: (place) => place - 1,
    ArrowRight: (place) => place + 1,
    PageUp: (place) => place + 10,
    PageDown: (place) => place - 10,
    Home: () => 0,
    End: () => rows.length - 1,
  };

  function step(event) {
    const move = MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    show(Math.max(0, Math.min(rows.length - 1, move(shown))));
  }

  for (const hidden of document.querySelectorAll(".script-only")) hidden.hidden = false;
  for (const chart of charts) {
    const { plot, figure } = chart;
    plot.setAttribute("tabindex", "0");
    figure.querySelector(".values").setAttribute("aria-live", "polite");
    plot.addEventListener("pointermove", (event) => show(nearest(chart, event)));
    plot.addEventListener("pointerdown", (event) => show(nearest(chart, event)));
    plot.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") leave(); });
    plot.addEventListener("focus", () => show(Math.max(0, shown)));
    plot.addEventListener("blur", leave);
    plot.addEventListener("keydown", step);
  }
})();
