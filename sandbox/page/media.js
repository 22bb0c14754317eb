// Pictures and files: the gallery grid, the light box, file cards.
import { h, icon, openDialog } from "./dom.js";

const isPicture = (item) => (item.content_type || "").startsWith("image/") && item.width;
const isOurs = (url) => url.startsWith(location.origin + "/") || url.startsWith("/") || /^http:\/\/(127\.0\.0\.1|localhost):/.test(url);

// Our own files are asked for at the page's own address, whichever loopback name it was opened by.
export const local = (url) => (isOurs(url) ? new URL(url, location.origin).pathname + new URL(url, location.origin).search : url);

export function attachments(items) {
  const pictures = items.filter(isPicture).map((item) => ({ ...item, alt: item.description || item.filename }));
  const files = items.filter((item) => !isPicture(item));
  return [pictures.length ? gallery(pictures) : null, files.map(fileCard)];
}

export function gallery(pictures) {
  const many = Math.min(pictures.length, 10);
  return h("div", { class: "gallery", data: { count: many } }, pictures.map((picture, index) => tile(pictures, index, many === 1)));
}

function tile(pictures, index, isAlone) {
  const picture = pictures[index];
  const alt = picture.alt || picture.description || "picture";
  const open = () => lightbox(pictures, index);
  const [width, height] = isAlone ? fit(picture.width || 400, picture.height || 300, 400, 350) : [null, null];
  const image = h("img", { src: local(picture.url), alt, loading: "lazy", draggable: false, width, height });
  const hidden = picture.spoiler ? " veiled" : "";
  const button = h("button", { class: "tile" + hidden, type: "button", title: alt, "aria-label": `Open ${alt}` }, image);
  button.addEventListener("click", () => {
    if (button.classList.contains("veiled")) button.classList.remove("veiled");
    else open();
  });
  return button;
}

// Small pictures are shown larger, on whole multiples, so that a thumbnail can be judged.
export function fit(width, height, mostWide, mostHigh) {
  let scale = Math.min(mostWide / width, mostHigh / height);
  if (scale > 1) scale = Math.min(scale, width < 300 ? Math.max(1, Math.floor(256 / width)) : 1) || 1;
  return [Math.round(width * scale), Math.round(height * scale)];
}

export function outside(url) {
  return h("a", { class: "outside", href: url, target: "_blank", rel: "noopener noreferrer" }, icon("open"), "Picture from elsewhere: ", new URL(url).host);
}

export function picture(item, className, most = [400, 300]) {
  if (!isOurs(item.url)) return outside(item.url);
  const [width, height] = fit(item.width || most[0], item.height || most[1], ...most);
  const image = h("img", { src: local(item.url), alt: item.description || "", width, height, loading: "lazy" });
  return h("button", { class: "tile alone " + className, type: "button", "aria-label": "Open picture", onclick: () => lightbox([item], 0) }, image);
}

const UNITS = ["bytes", "KB", "MB"];
function size(bytes) {
  const step = bytes < 1024 ? 0 : bytes < 1048576 ? 1 : 2;
  return `${(bytes / 1024 ** step).toFixed(step ? 1 : 0)} ${UNITS[step]}`;
}

export function fileCard(item) {
  const link = h("a", { href: local(item.url), download: item.filename || item.name }, item.filename || item.name);
  return h("div", { class: "file" }, icon("file"), h("div", {}, link, h("small", {}, size(item.size || 0))));
}

export function lightbox(pictures, start) {
  let index = start;
  let isZoomed = false;
  const image = h("img", { draggable: false });
  const caption = h("figcaption");
  const link = h("a", { target: "_blank", rel: "noopener" }, icon("open"), "Open original");
  const show = (next) => {
    index = (next + pictures.length) % pictures.length;
    const item = pictures[index];
    image.src = local(item.url);
    image.alt = item.alt || item.description || item.filename || "";
    link.href = local(item.url);
    const dimensions = item.width ? `${item.width} × ${item.height}` : "";
    const place = pictures.length > 1 ? `${index + 1} of ${pictures.length}` : "";
    caption.replaceChildren(h("span", {}, [item.filename || item.alt, dimensions, place].filter(Boolean).join("  ·  ")), link);
    zoom(false);
    if (item.width) [image.width, image.height] = fitScreen(item.width, item.height);
  };
  const zoom = (on) => {
    isZoomed = on;
    image.classList.toggle("zoomed", on);
  };
  image.addEventListener("click", () => zoom(!isZoomed));
  const step = (by, name, sign) => pictures.length > 1 && h("button", { class: `turn ${name}`, type: "button", "aria-label": name, onclick: () => show(index + by) }, sign);
  const close = h("button", { class: "close", type: "button", autofocus: true, "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  const figure = h("figure", { class: "lightbox" }, h("div", { class: "stage", tabIndex: 0 }, image), caption, step(-1, "previous", "‹"), step(1, "next", "›"), close);
  figure.addEventListener("click", (event) => {
    if (event.target === figure || event.target.className === "stage") dialog.close();
  });
  const dialog = openDialog(figure, { label: "Picture" });
  dialog.classList.add("bare");
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(index - 1);
    else if (event.key === "ArrowRight") show(index + 1);
    else if (event.key === "z") zoom(!isZoomed);
  });
  show(start);
}

function fitScreen(width, height) {
  const most = [innerWidth * 0.9, innerHeight * 0.8];
  let scale = Math.min(most[0] / width, most[1] / height);
  if (scale > 1) scale = Math.max(1, Math.min(Math.floor(scale), Math.floor(640 / width) || 1));
  return [Math.round(width * scale), Math.round(height * scale)];
}
