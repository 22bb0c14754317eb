// The light box: one picture over the page, turned to the next, looked at closely, moved about.
import { h, icon, openDialog } from "./dom.js";
import { fit, local } from "./pictures.js";

const STEP = 120; // pixels that an arrow key moves a close picture
const SLIP = 4; // a hand that moves less than this has clicked

export function lightbox(pictures, start) {
  let index = start;
  const image = h("img", { ondragstart: (event) => event.preventDefault() });
  const stage = h("div", { class: "stage" }, image);
  const caption = h("figcaption", { "aria-live": "polite" });
  const zoomer = h("button", { class: "round zoomer", type: "button", title: "Zoom (z)", "aria-label": "Zoom", onclick: () => zoom(!isCloseUp()) }, icon("lens"));
  const close = h("button", { class: "round close", type: "button", autofocus: true, title: "Close (Esc)", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  const turner = (by, name, sign) => pictures.length > 1 && h("button", { class: `round ${name}`, type: "button", "aria-label": name, onclick: () => show(index + by) }, sign);
  const figure = h("figure", { class: "lightbox" }, stage, caption, turner(-1, "previous", "‹"), turner(1, "next", "›"), zoomer, close);

  const isCloseUp = () => stage.classList.contains("close-up");
  const natural = () => [pictures[index].width || image.naturalWidth || 1, pictures[index].height || image.naturalHeight || 1];
  const show = (next) => {
    index = (next + pictures.length) % pictures.length;
    image.src = local(pictures[index].url);
    image.alt = altOf(pictures[index]);
    fillCaption(caption, pictures, index);
    zoom(false);
  };

  // Close up, a pixel of the picture is one of the page, or two where that shows no more. What was at x, y stays there.
  function zoom(on, x = innerWidth / 2, y = innerHeight / 2) {
    const before = image.getBoundingClientRect();
    const at = [(x - before.left) / before.width, (y - before.top) / before.height];
    stage.classList.toggle("close-up", on);
    stage.tabIndex = on ? 0 : -1;
    zoomer.setAttribute("aria-pressed", String(on));
    const [width, height] = natural();
    const [wide, high] = fit(width, height, stage.clientWidth, stage.clientHeight, 640);
    [image.width, image.height] = !on ? [wide, high] : width >= 1.25 * wide ? [width, height] : [2 * wide, 2 * high];
    const after = image.getBoundingClientRect();
    stage.scrollLeft += after.left + at[0] * after.width - x;
    stage.scrollTop += after.top + at[1] * after.height - y;
  }

  grabbing(stage, image, (event) => zoom(!isCloseUp(), event.clientX, event.clientY));
  image.addEventListener("load", () => !isCloseUp() && zoom(false));
  figure.addEventListener("click", (event) => (event.target === figure || event.target === stage) && dialog.close());
  const dialog = openDialog(figure, { label: "Picture" });
  dialog.classList.add("bare");
  dialog.addEventListener("keydown", (event) => {
    const [right, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [0, 0];
    if (event.key === "z") zoom(!isCloseUp());
    else if (isCloseUp() && (right || down)) stage.scrollBy(right * STEP, down * STEP);
    else if (right) show(index + right);
    else return;
    event.preventDefault();
  });
  show(start);
  new ResizeObserver(() => !isCloseUp() && zoom(false)).observe(figure);
}

const altOf = (item) => item.alt || item.description || item.filename || item.name || "";

function fillCaption(caption, pictures, index) {
  const item = pictures[index];
  const name = item.filename || item.name;
  const facts = [name, item.width && `${item.width} × ${item.height}`, pictures.length > 1 && `${index + 1} of ${pictures.length}`];
  const words = altOf(item);
  caption.replaceChildren(...[
    words && words !== name && h("p", { class: "alt", title: words }, words),
    h("p", { class: "facts" }, h("span", {}, facts.filter(Boolean).join("  ·  ")), h("a", { href: local(item.url), target: "_blank", rel: "noopener" }, icon("open"), "Open original")),
  ].filter(Boolean));
}

// With a mouse a close picture is dragged; a finger scrolls it by itself. A press that stays in its place is a click.
function grabbing(stage, image, click) {
  let grip = null;
  image.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    grip = { x: event.clientX, y: event.clientY, left: stage.scrollLeft, top: stage.scrollTop, isMoved: false };
    if (event.pointerType === "mouse") image.setPointerCapture(event.pointerId);
  });
  image.addEventListener("pointermove", (event) => {
    if (!grip || event.pointerType !== "mouse" || !image.hasPointerCapture(event.pointerId)) return;
    const [right, down] = [event.clientX - grip.x, event.clientY - grip.y];
    grip.isMoved ||= Math.hypot(right, down) > SLIP;
    if (grip.isMoved) stage.scrollTo(grip.left - right, grip.top - down);
  });
  image.addEventListener("click", (event) => {
    if (!grip?.isMoved) click(event);
    grip = null;
  });
}
