// Where pictures are, whether they are there, and how large they are drawn.

export const isPicture = (item) => (item.content_type || "").startsWith("image/") && item.width;
export const isOurs = (url) => url.startsWith(location.origin + "/") || url.startsWith("/") || /^http:\/\/(127\.0\.0\.1|localhost):/.test(url);

// The sandbox marks links to lost files: the page does not load them, and says so.
export const isGone = (url) => url.endsWith("?gone");

// Our own files are asked for at the page's own address, whichever loopback name it was opened by.
export const local = (url) => (isOurs(url) ? new URL(url, location.origin).pathname + new URL(url, location.origin).search : url);

// Small pictures are shown larger, on whole multiples, so that a thumbnail can be judged.
export function fit(width, height, mostWide, mostHigh, enough = 256) {
  let scale = Math.min(mostWide / width, mostHigh / height);
  if (scale > 1) scale = Math.max(1, Math.min(Math.floor(scale), Math.floor(enough / width)));
  return [width, height].map((side) => Math.max(1, Math.floor(side * scale)));
}
