// Pictures and files: the gallery grid, single pictures, file cards.
import { h, icon } from "./dom.js";
import { lightbox } from "./lightbox.js";
import { fit, isGone, isOurs, isPicture, local } from "./pictures.js";

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
  if (!isOurs(picture.url)) return outside(picture.url);
  const alt = picture.alt || picture.description || "picture";
  const [width, height] = isAlone ? fit(picture.width || 400, picture.height || 300, 400, 350) : [null, null];
  if (isGone(picture.url)) return gonePicture(alt, width, height);
  const shown = pictures.filter(({ url }) => isOurs(url) && !isGone(url));
  const image = h("img", { src: local(picture.url), alt, loading: "lazy", width, height });
  const button = h("button", { class: "tile", type: "button", title: alt, "aria-label": `Open ${alt}`, data: { key: new URL(picture.url, location.origin).pathname } }, image);
  return veil(button, picture.spoiler, () => lightbox(shown, shown.indexOf(picture)));
}

// Behind a spoiler, the first press shows the picture, by mouse or keyboard; until then its words are hidden, too.
function veil(button, isSpoiler, open) {
  const { title } = button, label = button.getAttribute("aria-label");
  if (isSpoiler) {
    button.classList.add("veiled");
    button.title = "";
    button.setAttribute("aria-label", "Spoiler: show the picture");
  }
  button.addEventListener("click", () => {
    if (!button.classList.contains("veiled")) return open();
    button.classList.remove("veiled");
    button.title = title;
    button.setAttribute("aria-label", label);
    return undefined;
  });
  return button;
}

export function outside(url) {
  return h("a", { class: "outside", href: url, target: "_blank", rel: "noopener noreferrer" }, icon("open"), "Picture from another site: ", new URL(url).host);
}

export function picture(item, className, most = [400, 300]) {
  if (!isOurs(item.url)) return outside(item.url);
  const [width, height] = fit(item.width || most[0], item.height || most[1], ...most);
  if (isGone(item.url)) return gonePicture(item.description || "", width, height);
  const image = h("img", { src: local(item.url), alt: item.description || "", width, height, loading: "lazy" });
  const button = h("button", { class: "tile alone " + className, type: "button", "aria-label": `Open ${item.description || "picture"}` }, image);
  return veil(button, item.spoiler, () => lightbox([item], 0));
}

function gonePicture(alt, width, height) {
  const isSmall = width && Math.min(width, height) < 110;
  return h("span", { class: "tile gone", title: alt, style: width && `width:${width}px;aspect-ratio:${width}/${height}` }, icon("gone"), h("span", { class: isSmall ? "sr-only" : "" }, "This picture no longer exists"));
}

const UNITS = ["bytes", "KB", "MB"];
function size(bytes) {
  const step = bytes < 1024 ? 0 : bytes < 1048576 ? 1 : 2;
  return `${(bytes / 1024 ** step).toFixed(step ? 1 : 0)} ${UNITS[step]}`;
}

export function fileCard(item) {
  const name = item.filename || item.name;
  if (isGone(item.url)) return h("div", { class: "file" }, icon("gone"), h("div", {}, name, h("small", {}, "This file no longer exists")));
  return h("div", { class: "file" }, icon("file"), h("div", {}, h("a", { href: local(item.url), download: name }, name), h("small", {}, size(item.size || 0))));
}
