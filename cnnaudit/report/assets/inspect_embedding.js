// The map of a photo set: the picture and the words of the point under the pointer.
(() => {
  const section = document.querySelector(".embedding");
  if (!section) return;
  const plot = section.querySelector(".points");
  const card = section.querySelector(".seen");
  const canvas = card.querySelector("canvas");
  const words = card.querySelector("p");
  const sheet = section.querySelector(".sheet");
  const points = [...plot.querySelectorAll("circle")].map((circle) => {
    const title = circle.querySelector("title");
    title.remove(); // the browser would show it as well
    return { circle, says: title.textContent, across: parseFloat(circle.getAttribute("cx")), down: parseFloat(circle.getAttribute("cy")) };
  });
  const REACH = 14;
  let shown = -1;

  function draw(place) {
    const { width, height } = canvas;
    const columns = Number(sheet.dataset.columns);
    const left = (place % columns) * width;
    const top = Math.floor(place / columns) * height;
    const brush = canvas.getContext("2d");
    brush.clearRect(0, 0, width, height);
    brush.drawImage(sheet, left, top, width, height, 0, 0, width, height);
  }

  function show(place) {
    if (place === shown) return;
    points[shown]?.circle.classList.remove("chosen");
    shown = place;
    card.hidden = place < 0;
    if (place < 0) return;
    const { circle, says, across, down } = points[place];
    circle.classList.add("chosen");
    words.textContent = says;
    draw(place);
    const box = plot.getBoundingClientRect();
    const beside = (100 * (card.offsetWidth + 12)) / box.width;
    const tall = (100 * card.offsetHeight) / box.height;
    card.style.left = `${across > 55 ? Math.max(0, across - beside) : Math.min(100 - beside, across + 1200 / box.width)}%`;
    card.style.top = `${Math.max(0, Math.min(100 - tall, down - tall / 2))}%`;
  }

  function nearest(event) {
    const box = plot.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    const far = points.map(({ across, down }) => Math.hypot((across * box.width) / 100 - x, (down * box.height) / 100 - y));
    const best = far.reduce((least, each, place) => (each < far[least] ? place : least), 0);
    return far[best] <= REACH ? best : -1;
  }

  const MOVES = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

  function step(event) {
    if (event.key === "Escape") return show(-1);
    const move = MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    show((shown + move + points.length) % points.length);
  }

  for (const hidden of section.querySelectorAll(".script-only")) hidden.hidden = false;
  plot.setAttribute("tabindex", "0");
  plot.addEventListener("pointermove", (event) => show(nearest(event)));
  plot.addEventListener("pointerdown", (event) => show(nearest(event)));
  plot.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") show(-1); });
  plot.addEventListener("blur", () => show(-1));
  plot.addEventListener("keydown", step);
})();
