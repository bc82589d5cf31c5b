// The script of the console; seal.js is beside it where a secret is entered. Everything works without it, except that nothing moves by itself.
"use strict";

// Ages: <time datetime data-age> counts on, by the server's clock.
const drift = Date.parse(document.body.dataset.now) - Date.now();

function age(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

function tick() {
  const now = Date.now() + drift;
  for (const time of document.querySelectorAll("time[data-age]")) {
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) continue;
    const text = age((now - at) / 1000);
    if (time.textContent !== text) {
      time.textContent = text;
      time.title = time.dateTime;
    }
  }
}
tick();
setInterval(tick, 1000);

// Live: on an event of its topic the page is read anew, and its parts marked data-live are exchanged.
const lost = document.getElementById("connection-lost");
let reading = false;
let again = false;
// A fleet of thousands changes all the time; more than one look in so many milliseconds helps nobody.
const pause = 1000;

function isBusy(part) {
  const at = document.activeElement;
  return part.contains(at) && at.matches("input, select, textarea");
}

// A click is a press and a release on one element. What is exchanged in between would swallow it.
let pressed = false;
let missed = false;
function release() {
  // After the click itself.
  setTimeout(() => {
    pressed = false;
    if (missed) refresh();
    missed = false;
  });
}
addEventListener("pointerdown", () => { pressed = true; }, true);
for (const end of ["pointerup", "pointercancel", "dragend", "blur"]) addEventListener(end, release, true);

// What somebody typed or ticked, to be put back after an exchange.
function entered(part) {
  return [...part.querySelectorAll("input[name], select[name], textarea[name]")]
    .filter((field) => field.type !== "hidden" && (field.value !== field.defaultValue || field.checked !== field.defaultChecked))
    .map((field) => ({ form: field.form?.getAttribute("action"), name: field.name, value: field.value, checked: field.checked }));
}

function enterAgain(part, fields) {
  for (const { form, name, value, checked } of fields) {
    const field = [...part.querySelectorAll(`[name="${CSS.escape(name)}"]`)]
      .find((candidate) => candidate.form?.getAttribute("action") === form);
    if (!field) continue;
    if (field.type === "checkbox" || field.type === "radio") field.checked = checked;
    else field.value = value;
  }
}

function exchange(part, fresh) {
  if (part.innerHTML === fresh.innerHTML) return;
  const fields = entered(part);
  const focus = part.contains(document.activeElement) ? document.activeElement.id : "";
  const scroll = [window.scrollX, window.scrollY];
  const open = [...part.querySelectorAll("details[open][id]")].map((details) => details.id);
  part.replaceChildren(...document.importNode(fresh, true).childNodes);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  window.scrollTo(...scroll);
  enterAgain(part, fields);
  confirmAll();
  filterAll();
  tick();
}

async function refresh() {
  if (reading) {
    again = true;
    return;
  }
  reading = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
    const signedOut = answer.redirected && new URL(answer.url).pathname === "/sign-in";
    // What the page was about may be gone too: the page that says so takes its place.
    if (signedOut || answer.status === 404) {
      location.reload();
      return;
    }
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live][id]")) {
      const next = fresh.getElementById(part.id);
      if (pressed) missed = true;
      // Whoever is typing is not disturbed; the part is read anew when they are done.
      else if (next && isBusy(part)) part.addEventListener("focusout", () => setTimeout(refresh), { once: true });
      else if (next) exchange(part, next);
    }
  } catch {
    lost.hidden = false;
  } finally {
    reading = false;
    if (again) {
      again = false;
      setTimeout(refresh, pause);
    }
  }
}

function listen(topic, isFirst) {
  const source = new EventSource(`/live?topics=${encodeURIComponent(topic)}`);
  source.addEventListener("open", () => { lost.hidden = true; });
  source.addEventListener("resync", () => {
    // The page that was just loaded is fresh; after a loss it may not be.
    if (!isFirst) refresh();
    isFirst = false;
  });
  source.addEventListener(topic, refresh);
  source.addEventListener("error", () => {
    // A stream that ends in good order is opened again at once; only what lasts is worth a word.
    setTimeout(() => { if (source.readyState !== EventSource.OPEN) lost.hidden = false; }, 5000);
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(topic, false), 5000);
  });
  addEventListener("pagehide", () => source.close(), { once: true });
}
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
if (document.body.dataset.liveTopic) listen(document.body.dataset.liveTopic, true);

// Filter: <input data-filter="id of a table"> hides the rows without the words.
function filter(input) {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = document.getElementById(input.dataset.filter)?.querySelectorAll("tbody tr") ?? [];
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
}

function filterAll() {
  for (const input of document.querySelectorAll("input[data-filter]")) filter(input);
}

// Names to type before something is destroyed: the button stays shut until they are right.
function confirmName(input) {
  const button = input.form?.querySelector("button[type=submit]");
  if (button) button.disabled = input.value.trim() !== input.dataset.confirm;
}
function confirmAll() {
  for (const input of document.querySelectorAll("input[data-confirm]")) confirmName(input);
}
confirmAll();

document.addEventListener("input", (event) => {
  if (event.target.matches("input[data-filter]")) filter(event.target);
  if (event.target.matches("input[data-confirm]")) confirmName(event.target);
});

// Copy buttons.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed by the browser";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

// Keys: "/" to the filter, "g" and a letter to a room.
let isGoing = false;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea, [contenteditable]")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (isGoing) {
    isGoing = false;
    const link = [...document.querySelectorAll("nav a[data-key]")].find((a) => a.dataset.key === event.key);
    if (link) {
      event.preventDefault();
      link.click();
    }
  } else if (event.key === "g") {
    isGoing = true;
    setTimeout(() => { isGoing = false; }, 1500);
  } else if (event.key === "/") {
    const input = document.querySelector("input[data-filter], input[data-search]");
    if (input) {
      event.preventDefault();
      input.focus();
    }
  }
});

// One-time links carry their secret behind the "#", which no server sees; it goes into the form, and out of the address.
const code = document.querySelector("input[data-from-fragment]");
if (code && location.hash.length > 1) {
  code.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  code.form.querySelector("button[type=submit]").focus();
}
