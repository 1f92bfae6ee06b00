"use strict";

// Fetch the part of the page that changes, as HTML, while somebody looks at it. Without this script the page shows the
// same after a reload.
const live = document.querySelector("[data-live]");
let shown = "";

async function refresh() {
  if (document.hidden) return;
  const response = await fetch(live.dataset.live);
  if (!response.ok) return;
  const html = await response.text();
  if (html === shown) return; // so that a button is not replaced while somebody presses it
  const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
  live.innerHTML = html;
  shown = html;
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

async function keepFresh() {
  try {
    await refresh();
  } catch {
    // The demo has ended, or is starting again: go on asking.
  }
  setTimeout(keepFresh, 1000);
}

if (live) keepFresh();
