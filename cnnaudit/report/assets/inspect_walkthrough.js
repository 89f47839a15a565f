"use strict";
// The walk through a convolution: looks up what belongs to the place and the channel that the reader chooses.
for (const section of document.querySelectorAll(".walk")) (async () => {
  const source = section.querySelector(".walk-data");
  if (!source || !("DecompressionStream" in window)) return;
  const data = JSON.parse(source.textContent);
  const COLOURS = (section.dataset.colours || "").split(" ").map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
  const figures = new Map([...section.querySelectorAll(".walk-map")].map((figure) => [figure.dataset.map, figure]));
  const steps = [...section.querySelectorAll(".walk-step")];
  const pooling = data.stages.findIndex((stage) => stage.kind === "pooling");
  const state = { channel: 0, input: 0, row: 0, column: 0, step: -1 };
  const unpacked = new Map();

  // Numbers

  async function unpack(packed) {
    if (!packed || unpacked.has(packed)) return;
    const bytes = Uint8Array.from(atob(packed.data), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const view = new DataView(await new Response(stream).arrayBuffer());
    const values = Float64Array.from({ length: view.byteLength / 2 }, (_, at) => view.getInt16(2 * at, true) * packed.scale);
    unpacked.set(packed, values);
  }

  function number(value, limit, decimals) {
    const text = value.toFixed(decimals);
    return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
  }

  const decimalsOf = (limit) => (limit ? Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(limit)))) : 2);
  const written = (value, name) => number(value, data.limits[name], data.decimals[name] + 1);
  const signed = (value, name) => `${value < 0 ? "−" : "+"} ${written(Math.abs(value), name)}`;
  const significant = (value) => String(Number(Math.abs(value).toPrecision(3)));

  // Colours: as figures.coloured draws them

  function colour(value, limit) {
    const code = limit ? Math.round(Math.max(-1, Math.min(1, value / limit)) * 126) : 0;
    const at = ((code + 126) / 252) * (COLOURS.length - 1);
    const low = Math.min(Math.floor(at), COLOURS.length - 2);
    return [0, 1, 2].map((c) => Math.round(COLOURS[low][c] + (COLOURS[low + 1][c] - COLOURS[low][c]) * (at - low)));
  }

  function draw(name, values, [height, width]) {
    const holder = figures.get(name).querySelector(".walk-picture");
    let canvas = holder.querySelector("canvas");
    if (!canvas) {
      canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", holder.querySelector("img").alt);
      holder.querySelector("img").replaceWith(canvas);
    }
    Object.assign(canvas, { width, height });
    const picture = new ImageData(width, height);
    for (let at = 0; at < values.length; at += 1) picture.data.set([...colour(values[at], data.limits[name]), 255], 4 * at);
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  function mark(name, box) {
    const figure = figures.get(name);
    if (!figure) return;
    for (const rect of figure.querySelectorAll("rect")) {
      rect.toggleAttribute("hidden", !box);
      if (box) ["x", "y", "width", "height"].forEach((key, at) => rect.setAttribute(key, box[at]));
    }
  }

  function fill(name, values, limit, decimals, padded = () => false) {
    const grid = section.querySelector(`[data-grid="${name}"]`);
    const texts = values.map((value) => number(value, limit, decimals));
    const font = Math.min(15, 44 / (0.6 * Math.max(...texts.map((text) => text.length))));
    [...grid.querySelectorAll("g")].forEach((cell, at) => {
      const shade = colour(values[at], limit);
      cell.classList.toggle("padded", padded(at));
      cell.firstElementChild.setAttribute("fill", `rgb(${shade})`);
      cell.querySelector("title").textContent = texts[at];
      const text = cell.querySelector("text");
      if (!text) return;
      const light = (0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2]) / 255;
      text.textContent = texts[at];
      text.setAttribute("font-size", font.toFixed(1));
      text.setAttribute("fill", light < 0.56 ? "#fff" : "#1d1e20");
    });
  }

  function write(role, text) {
    for (const target of section.querySelectorAll(`[data-role="${role}"], [data-line="${role}"]`)) target.textContent = text;
  }

  // The steps

  const kernel = () => data.channels[state.channel];
  const here = () => state.row * data.shape[1] + state.column;

  function patch(number) {
    const values = unpacked.get(data.inputs[number]);
    const places = [];
    for (let r = 0; r < data.kernel[0]; r += 1) {
      for (let s = 0; s < data.kernel[1]; s += 1) {
        const down = state.row * data.stride[0] + r * data.dilation[0];
        const right = state.column * data.stride[1] + s * data.dilation[1];
        const y = down - data.before[0];
        const x = right - data.before[1];
        places.push({ value: values[down * data.padded[1] + right], padded: y < 0 || x < 0 || y >= data.input[0] || x >= data.input[1] });
      }
    }
    return places;
  }

  function showProducts() {
    const { inputs, weights } = kernel();
    const under = patch(inputs[state.input]);
    const products = under.map(({ value }, at) => value * weights[state.input][at]);
    const largest = Math.max(...products.map(Math.abs));
    fill("patch", under.map(({ value }) => value), data.limits.input, data.decimals.input, (at) => under[at].padded);
    fill("kernel", weights[state.input], data.limits.kernel, data.decimals.kernel);
    fill("product", products, largest, decimalsOf(largest));
    write("input", inputs[state.input]);
  }

  function showSums() {
    const { inputs, weights, rest } = kernel();
    const sums = inputs.map((number, place) => patch(number).reduce((sum, { value }, at) => sum + value * weights[place][at], 0));
    const largest = Math.max(...sums.map(Math.abs)) || 1;
    const others = rest ? unpacked.get(rest)[here()] : 0;
    section.querySelectorAll(".walk-bars g").forEach((bar, at) => {
      const tall = (50 * sums[at]) / largest;
      bar.classList.toggle("negative", tall < 0);
      bar.classList.toggle("chosen", at === state.input);
      bar.dataset.input = inputs[at];
      bar.querySelector(".tall").setAttribute("y", `${50 - Math.max(0, tall)}%`);
      bar.querySelector(".tall").setAttribute("height", `${Math.abs(tall)}%`);
    });
    write("rest", written(others, "output"));
    write("sum", inputs.length > 1 ? `input channel ${inputs[state.input]}: ${written(sums[state.input], "output")} of ${written(sums.reduce((a, b) => a + b, others), "output")}` : written(sums[0] + others, "output"));
    return sums.reduce((a, b) => a + b, others);
  }

  function calculation(stage, at, before, from, value) {
    const scale = kernel().scale[at];
    if (stage.kind === "sum") return `${written(before, from)} ${signed(value - before, `stage${at}`)}`;
    if (scale) return `${written(before, from)} × ${scale[0] < 0 ? "−" : ""}${significant(scale[0])} ${scale[1] < 0 ? "−" : "+"} ${significant(scale[1])}`;
    return `${stage.name}(${written(before, from)})`;
  }

  function showBehind(total) {
    const { output, bias, stages } = kernel();
    let before = unpacked.get(output)[here()];
    let from = "output";
    write("bias", `${written(total, from)} ${signed(bias, from)} = ${written(before, from)}`);
    data.stages.forEach((stage, at) => {
      if (stage.kind === "pooling") return;
      const value = unpacked.get(stages[at])[here()];
      write(`stage${at}`, `${calculation(stage, at, before, from, value)} = ${written(value, `stage${at}`)}`);
      [before, from] = [value, `stage${at}`];
    });
  }

  function showPooling() {
    if (pooling < 0) return;
    const { rows, columns, name } = data.stages[pooling];
    const [down, right] = [rows.around[state.row], columns.around[state.column]];
    const inside = down !== null && right !== null;
    const grid = section.querySelector('[data-grid="pool"]');
    grid?.toggleAttribute("hidden", !inside);
    mark(`stage${pooling}`, inside && [right, down, 1, 1]);
    if (!inside) return write("pooled", "No window of the pooling holds this place.");
    const before = pooling ? `stage${pooling - 1}` : "output";
    const values = unpacked.get(pooling ? kernel().stages[pooling - 1] : kernel().output);
    const window = rows.places[down].flatMap((y) => columns.places[right].map((x) => values[y * data.shape[1] + x]));
    if (grid) reshape(grid, rows.places[down].length, columns.places[right].length);
    if (grid) fill("pool", window, data.limits[before], data.decimals[before]);
    const result = unpacked.get(kernel().stages[pooling])[down * columns.places.length + right];
    return write("pooled", `${name.startsWith("max") ? "the largest:" : "the mean:"} ${written(result, before)}`);
  }

  function reshape(grid, rows, columns) { // a window is smaller at an edge
    const model = grid.querySelector("g");
    while (grid.children.length > rows * columns) grid.lastElementChild.remove();
    while (grid.children.length < rows * columns) grid.append(model.cloneNode(true));
    [...grid.querySelectorAll("g")].forEach((cell, at) => {
      const [x, y] = [(at % columns) * 48, Math.floor(at / columns) * 48];
      cell.querySelector("rect").setAttribute("x", x);
      cell.querySelector("rect").setAttribute("y", y);
      cell.querySelector("text")?.setAttribute("x", x + 24);
      cell.querySelector("text")?.setAttribute("y", y + 24);
    });
    grid.setAttribute("viewBox", `0 0 ${48 * columns} ${48 * rows}`);
    grid.setAttribute("width", 56 * columns);
  }

  function showMarks() {
    const [height, width] = [0, 1].map((axis) => data.dilation[axis] * (data.kernel[axis] - 1) + 1);
    mark("input", [state.column * data.stride[1], state.row * data.stride[0], width, height]);
    mark("output", [state.column, state.row, 1, 1]);
    data.stages.forEach((stage, at) => { if (stage.kind !== "pooling") mark(`stage${at}`, [state.column, state.row, 1, 1]); });
    const [rows, columns] = [data.rows[state.row], data.columns[state.column]];
    mark("photo", rows && columns && [columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0]]);
    write("row", state.row);
    write("column", state.column);
  }

  function show() {
    showMarks();
    showProducts();
    showBehind(showSums());
    showPooling();
  }

  function drawInput() {
    draw("input", unpacked.get(data.inputs[kernel().inputs[state.input]]), data.padded);
  }

  async function choose(channel) {
    state.channel = channel;
    state.input = Math.min(state.input, kernel().inputs.length - 1);
    const { inputs, output, rest, stages } = kernel();
    await Promise.all([output, rest, ...stages, ...inputs.map((number) => data.inputs[number])].map(unpack));
    section.querySelectorAll("[data-channel]").forEach((button, at) => button.setAttribute("aria-pressed", at === channel));
    draw("output", unpacked.get(output), data.shape);
    stages.forEach((packed, at) => draw(`stage${at}`, unpacked.get(packed), packed.shape));
    drawInput();
    show();
  }

  // Where the reader goes

  function go(row, column) {
    state.row = Math.max(0, Math.min(data.shape[0] - 1, row));
    state.column = Math.max(0, Math.min(data.shape[1] - 1, column));
    show();
  }

  function nearest(seen, at) {
    const distances = seen.map((ends) => (ends ? Math.abs((ends[0] + ends[1]) / 2 - at) : Infinity));
    return distances.indexOf(Math.min(...distances));
  }

  function clicked(name, across, down) {
    if (name === "photo") return go(nearest(data.rows, down * data.photo[0]), nearest(data.columns, across * data.photo[1]));
    if (name === "input") {
      const [y, x] = [down * data.padded[0], across * data.padded[1]];
      const [row, column] = [y, x].map((at, axis) => Math.round((at - 0.5 - (data.dilation[axis] * (data.kernel[axis] - 1)) / 2) / data.stride[axis]));
      return go(row, column);
    }
    if (name === `stage${pooling}`) {
      const { rows, columns } = data.stages[pooling];
      const [ys, xs] = [rows.places[Math.floor(down * rows.places.length)], columns.places[Math.floor(across * columns.places.length)]];
      return go(ys[Math.floor(ys.length / 2)] ?? 0, xs[Math.floor(xs.length / 2)] ?? 0);
    }
    return go(Math.floor(down * data.shape[0]), Math.floor(across * data.shape[1]));
  }

  const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

  for (const [name, figure] of figures) {
    const picture = figure.querySelector(".walk-picture");
    picture.setAttribute("tabindex", "0");
    picture.addEventListener("click", (event) => {
      const box = picture.getBoundingClientRect();
      clicked(name, Math.min(0.9999, (event.clientX - box.left) / box.width), Math.min(0.9999, (event.clientY - box.top) / box.height));
    });
    picture.addEventListener("keydown", (event) => {
      const move = MOVES[event.key];
      if (!move) return;
      event.preventDefault();
      go(state.row + move[0], state.column + move[1]);
    });
  }

  section.querySelectorAll("[data-channel]").forEach((button, at) => button.addEventListener("click", () => choose(at)));
  function chooseInput(at) {
    state.input = Math.max(0, Math.min(kernel().inputs.length - 1, at));
    drawInput();
    show();
  }

  const bars = section.querySelector(".walk-bars");
  bars?.setAttribute("tabindex", "0");
  bars?.querySelectorAll("g").forEach((bar, at) => bar.addEventListener("click", () => chooseInput(at)));
  bars?.addEventListener("keydown", (event) => {
    const move = MOVES[event.key];
    if (!move || !move[1]) return;
    event.preventDefault();
    chooseInput(state.input + move[1]);
  });
  for (const button of section.querySelectorAll("[data-move]")) {
    button.addEventListener("click", () => {
      state.step = Math.max(-1, Math.min(steps.length - 1, state.step + Number(button.dataset.move)));
      section.classList.toggle("stepping", state.step >= 0);
      steps.forEach((step, at) => {
        step.classList.toggle("current", at === state.step);
        step.classList.toggle("done", at < state.step);
      });
    });
  }

  for (const hidden of section.querySelectorAll(".script-only")) hidden.hidden = false;
  [state.row, state.column] = ["row", "column"].map((role) => Number(section.querySelector(`[data-role="${role}"]`).textContent));
  await choose(0);
  section.classList.add("ready");
})();
