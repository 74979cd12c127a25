"use strict";
// Replaces the page's content by a newer one every two seconds. The server alone writes HTML.
const PERIOD = 2000;
let last = Date.now();

async function refresh() {
  try {
    const answer = await fetch(document.URL, {
      headers: { Accept: "text/html" },
      signal: AbortSignal.timeout(2 * PERIOD),
    });
    if (!answer.ok) throw new Error("status " + answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceWith(page.querySelector("main"));
    document.title = page.title;
    document.getElementById("stale").hidden = true;
    last = Date.now();
  } catch {
    const stale = document.getElementById("stale");
    const seconds = Math.round((Date.now() - last) / 1000);
    stale.textContent = `The node has not answered for ${seconds} s; this is what it last showed.`;
    stale.hidden = false;
  }
  setTimeout(refresh, PERIOD);
}

setTimeout(refresh, PERIOD);
