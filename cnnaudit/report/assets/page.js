"use strict";
// Draws the maps from the small integers in their data attributes, by the rule of figures.overlay,
// and reads values under the pointer. Without this script the drawn pictures stay as they are.
(() => {
  const STEPS = 126; // codes from 0 to the limit; one further means "beyond the limit"
  const controls = document.getElementById("controls");
  if (!controls || !("DecompressionStream" in window)) return;

  const palettes = JSON.parse(document.getElementById("palettes").textContent);
  const views = new Map(); // element of class "map" -> its decoded data
  const greys = new Map(); // id of a photo -> its grey values
  const visible = new Set();

  // Colours

  const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

  function colourAt(anchors, place) {
    const position = place * (anchors.length - 1);
    const left = Math.min(Math.floor(position), anchors.length - 2);
    const [low, high] = [channels(anchors[left]), channels(anchors[left + 1])];
    return low.map((value, channel) => value + (position - left) * (high[channel] - value));
  }

  function settings() {
    const form = new FormData(controls);
    return {
      opacity: form.get("opacity") / 100,
      threshold: form.get("threshold") / 100,
      sign: form.get("sign"),
      palette: { true: form.get("signed"), false: form.get("unsigned") },
    };
  }

  function isHidden(code, { threshold, sign }) {
    if (sign === "for" && code <= 0) return true;
    if (sign === "against" && code >= 0) return true;
    return Math.abs(code) < threshold * STEPS;
  }

  function coverOf(code, chosen) {
    if (isHidden(code, chosen)) return 0;
    const strength = Math.min(Math.abs(code) / STEPS, 1);
    return chosen.opacity ** (4 - 3 * strength);
  }

  // For each of the 256 codes: red, green, blue, and how much of the photo they cover.
  function lookup(signed, chosen) {
    const anchors = palettes[chosen.palette[signed]];
    const table = new Float32Array(256 * 4);
    for (let code = -STEPS - 1; code <= STEPS + 1; code += 1) {
      const level = Math.max(-1, Math.min(1, code / STEPS));
      const colour = colourAt(anchors, signed ? (level + 1) / 2 : Math.abs(level));
      table.set([...colour, coverOf(code, chosen)], (code + 128) * 4);
    }
    return table;
  }

  // Decoding

  async function inflated(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }

  async function readMarks(hatching) {
    const picture = new Image();
    picture.src = hatching.getAttribute("href");
    return readGrey(picture);
  }

  async function readGrey(photo) {
    await photo.decode();
    const canvas = new OffscreenCanvas(photo.naturalWidth, photo.naturalHeight);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(photo, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    return Float32Array.from({ length: data.length / 4 }, (_, pixel) =>
      0.299 * data[4 * pixel] + 0.587 * data[4 * pixel + 1] + 0.114 * data[4 * pixel + 2]);
  }

  function greyOf(id) {
    if (!greys.has(id)) greys.set(id, readGrey(document.getElementById(id)));
    return greys.get(id);
  }

  async function decode(map) {
    const photo = document.getElementById(map.dataset.photo);
    const hatching = map.querySelector(".hatching image");
    const [codes, grey, marks, segments] = await Promise.all([
      inflated(map.dataset.codes).then((bytes) => new Int8Array(bytes)),
      greyOf(photo.id),
      hatching && readMarks(hatching),
      map.dataset.segments && inflated(map.dataset.segments).then((bytes) => new Uint32Array(bytes)),
    ]);
    const canvas = document.createElement("canvas");
    canvas.width = photo.naturalWidth;
    canvas.height = photo.naturalHeight;
    return { map, canvas, codes, grey, marks, segments, limit: Number(map.dataset.limit), signed: map.dataset.signed === "true" };
  }

  // Drawing

  function draw(view, tables) {
    const table = tables[view.signed];
    const context = view.canvas.getContext("2d");
    const image = context.createImageData(view.canvas.width, view.canvas.height);
    for (let pixel = 0; pixel < view.codes.length; pixel += 1) {
      const entry = (view.codes[pixel] + 128) * 4;
      const cover = table[entry + 3];
      for (let channel = 0; channel < 3; channel += 1) {
        image.data[4 * pixel + channel] = view.grey[pixel] * (1 - cover) + table[entry + channel] * cover;
      }
      image.data[4 * pixel + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    view.drawn = drawing;
  }

  let drawing = 0; // counts the settings, so that a map out of sight is drawn again when it is seen
  let tables = null;

  function drawVisible() {
    for (const map of visible) {
      const view = views.get(map);
      if (view && view.drawn !== drawing) draw(view, tables);
    }
  }

  async function show(map) {
    visible.add(map);
    if (!views.has(map)) {
      views.set(map, null);
      const view = await decode(map);
      views.set(map, view);
      draw(view, tables);
      map.append(view.canvas);
    }
    drawVisible();
  }

  function refresh() {
    const chosen = settings();
    tables = { true: lookup(true, chosen), false: lookup(false, chosen) };
    drawing += 1;
    controls.elements.opacity_shown.value = `${Math.round(chosen.opacity * 100)}\u202f%`;
    controls.elements.threshold_shown.value = `${Math.round(chosen.threshold * 100)}\u202f%`;
    for (const legend of document.querySelectorAll(".legend")) {
      const ramp = `url(#ramp-${chosen.palette[legend.dataset.signed]})`;
      legend.querySelector("rect").setAttribute("fill", ramp);
    }
    drawVisible();
  }

  // Reading values

  const superscript = (number) => String(number).replace(/./g, (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]);

  // As many digits as the quantised value deserves: one step is limit / 126.
  function written(value, limit) {
    const exponent = Math.floor(Math.log10(limit));
    const plain = exponent >= -4 && exponent < 6;
    const text = plain
      ? value.toFixed(Math.max(0, 2 - exponent))
      : `${(value / 10 ** exponent).toFixed(2)} × 10${superscript(exponent)}`;
    return text.replace("-", "−");
  }

  function valueText({ map, codes, marks, segments, limit, signed, canvas }, row, column) {
    const pixel = row * canvas.width + column;
    const code = codes[pixel];
    const doubt = marks && marks[pixel] ? ", sign not settled," : "";
    const beyond = Math.abs(code) > STEPS ? (code > 0 ? "> " : "< ") : "";
    const value = (Math.max(-STEPS, Math.min(STEPS, code)) / STEPS) * limit;
    const plus = signed && code > 0 ? "+" : "";
    const place = `${doubt} at row ${row}, column ${column}`;
    const known = segments && segmentText(map, segments[pixel]);
    const numbered = segments ? `Segment ${segments[pixel]}: ` : "";
    return numbered + (known || `${beyond}${plus}${written(value, limit)}`) + place;
  }

  // Segments: the row of the table and the place in the picture show each other

  const rowsOf = (map) => [...map.closest(".panel").querySelectorAll("[data-segment]")];

  // Along the sides of the pixels, so that a segment of one pixel has a border too.
  function border({ segments, canvas: { width, height } }, segment) {
    const holds = (row, column) =>
      row >= 0 && row < height && column >= 0 && column < width && segments[row * width + column] === segment;
    let path = "";
    for (let row = 0; row <= height; row += 1) {
      for (let column = 0; column <= width; column += 1) {
        if (holds(row, column) !== holds(row - 1, column)) path += `M${column} ${row}h1`;
        if (holds(row, column) !== holds(row, column - 1)) path += `M${column} ${row}v1`;
      }
    }
    return path;
  }

  function outlineOf({ map, canvas }) {
    const found = map.querySelector(".outline");
    if (found) return found;
    const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    made.setAttribute("class", "outline");
    made.setAttribute("viewBox", `0 0 ${canvas.width} ${canvas.height}`);
    made.setAttribute("preserveAspectRatio", "none");
    for (let line = 0; line < 2; line += 1) made.append(document.createElementNS(made.namespaceURI, "path"));
    map.append(made);
    return made;
  }

  // Outlines a segment, or none where it is null, and marks its row.
  function outline(map, segment) {
    const view = views.get(map);
    if (!view || !view.segments || view.outlined === segment) return;
    view.outlined = segment;
    const path = segment === null ? "" : border(view, segment);
    for (const line of outlineOf(view).children) line.setAttribute("d", path);
    for (const row of rowsOf(map)) row.classList.toggle("pointed", Number(row.dataset.segment) === segment);
  }

  function reveal(map) {
    const row = map.closest(".panel").querySelector(".pointed");
    const box = row && row.closest(".scroll");
    if (box) box.scrollTop = row.offsetTop - (box.clientHeight - row.offsetHeight) / 2;
  }

  function segmentText(map, segment) {
    const row = rowsOf(map).find((each) => Number(each.dataset.segment) === segment);
    if (!row) return null;
    const interval = row.querySelector("td.interval");
    return row.querySelector(".drawn + td").firstChild.data + (interval ? ` (${interval.textContent})` : "");
  }

  function go(map, event) {
    const rows = rowsOf(map);
    const move = MOVES[event.key];
    const next = move && rows[rows.indexOf(event.target.closest("tr")) + move[0]];
    if (!next || !move[0]) return;
    event.preventDefault();
    next.focus();
  }

  function attachRows(map) {
    for (const [place, row] of rowsOf(map).entries()) {
      const segment = Number(row.dataset.segment);
      row.tabIndex = place ? -1 : 0;
      for (const kind of ["pointerenter", "focus"]) row.addEventListener(kind, () => outline(map, segment));
      for (const kind of ["pointerleave", "blur"]) row.addEventListener(kind, () => outline(map, null));
      row.addEventListener("keydown", (event) => go(map, event));
    }
  }

  const readoutOf = (map) => map.querySelector(".readout");

  function cursorOf(map) {
    const found = map.querySelector(".cursor");
    if (found) return found;
    const made = document.createElement("span");
    made.className = "cursor";
    map.append(made);
    return made;
  }

  function read(map, row, column) {
    const view = views.get(map);
    if (!view) return;
    const { width, height } = view.canvas;
    view.row = Math.max(0, Math.min(height - 1, row));
    view.column = Math.max(0, Math.min(width - 1, column));
    const cursor = cursorOf(map);
    cursor.style.left = `${((view.column + 0.5) / width) * 100}%`;
    cursor.style.top = `${((view.row + 0.5) / height) * 100}%`;
    cursor.hidden = false;
    readoutOf(map).classList.toggle("above", view.row > height / 2);
    readoutOf(map).value = valueText(view, view.row, view.column);
    if (!view.segments) return;
    outline(map, view.segments[view.row * width + view.column]);
    reveal(map);
  }

  function leave(map) {
    readoutOf(map).value = "";
    cursorOf(map).hidden = true;
    outline(map, null);
  }

  function point(map, event) {
    const view = views.get(map);
    if (!view) return;
    const box = view.canvas.getBoundingClientRect();
    const along = (position, start, length, count) => Math.floor(((position - start) / length) * count);
    const row = along(event.clientY, box.top, box.height, view.canvas.height);
    read(map, row, along(event.clientX, box.left, box.width, view.canvas.width));
  }

  const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

  function step(map, event) {
    const view = views.get(map);
    const move = MOVES[event.key];
    if (!view || !move) return;
    event.preventDefault();
    const stride = event.shiftKey ? 10 : 1;
    read(map, view.row + stride * move[0], view.column + stride * move[1]);
  }

  function focus(map) {
    const view = views.get(map);
    if (!view) return;
    read(map, view.row ?? view.canvas.height >> 1, view.column ?? view.canvas.width >> 1);
  }

  function attach(map) {
    map.tabIndex = 0;
    map.setAttribute("role", "group");
    map.setAttribute("aria-label", `${map.querySelector("img").alt}. Arrow keys read the values.`);
    map.addEventListener("pointermove", (event) => point(map, event));
    map.addEventListener("pointerdown", (event) => point(map, event));
    map.addEventListener("pointerleave", () => leave(map));
    map.addEventListener("blur", () => leave(map));
    map.addEventListener("focus", () => focus(map));
    map.addEventListener("keydown", (event) => step(map, event));
  }

  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) show(target);
      else visible.delete(target);
    }
  }, { rootMargin: "600px 0px" });

  for (const hidden of document.querySelectorAll(".script-only")) hidden.hidden = false;
  controls.hidden = false;
  controls.addEventListener("input", refresh);
  controls.addEventListener("reset", () => setTimeout(refresh));
  controls.addEventListener("submit", (event) => event.preventDefault());
  refresh();
  for (const map of document.querySelectorAll(".map")) {
    attach(map);
    attachRows(map);
    observer.observe(map);
  }
})();
