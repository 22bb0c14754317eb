// Runs before the first paint, so that a light room never flashes dark.
const kept = localStorage.getItem("theme");
const prefersLight = matchMedia("(prefers-color-scheme: light)").matches;
document.documentElement.dataset.theme = kept || (prefersLight ? "light" : "dark");
