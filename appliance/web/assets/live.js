// Keeps a page fresh. Everything here is comfort: without it every page is complete.
// No dependency; the server's markup is the only source of what is shown.

import { $, $$, follow, notice } from './base.js';
import { logs } from './lines.js';
import { chosen, openLogs } from './log.js';

const main = $('#main');

// ---- Times ----

const units = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];

function age(seconds) {
  if (seconds < 10) return 'just now';
  const [size, unit] = units.find(([size]) => seconds >= size);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

function span(seconds) {
  const two = (n) => String(Math.floor(n)).padStart(2, '0');
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)}h ${two((seconds / 60) % 60)}m`;
  if (seconds >= 60) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  return seconds >= 10 ? `${Math.floor(seconds)}s` : `${seconds.toFixed(1)}s`;
}

function tick() {
  const now = Date.now();
  for (const time of $$('[data-age], [data-since]')) {
    const from = Date.parse(time.dateTime ?? time.dataset.since); // In a drawing there is no <time>.
    const seconds = Math.max(0, (now - from) / 1000);
    const text = 'age' in time.dataset ? age(seconds) : span(seconds);
    if (time.textContent !== text) time.textContent = text;
  }
}
setInterval(() => document.hidden || tick(), 1000);

// ---- Freshness: on news the page is fetched again, and only what differs is changed ----

// Milliseconds from the first news to the look; a page that takes long to show is looked at less often.
const PAUSE = 120;

function key(node) {
  return node.nodeType === 1 && node.id ? `#${node.id}` : null;
}

// Makes `old` like `fresh`, keeping nodes, so that focus, scroll and open parts stay.
function like(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== 1 || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if ('keep' in old.dataset) return keep(old, fresh);
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === 'open')) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (name === 'value' || (name === 'open' && chosen.has(old))) continue;
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  children(old, fresh);
}

function children(old, fresh) {
  const known = new Map([...old.children].filter(key).map((node) => [key(node), node]));
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const same = known.get(key(next));
    if (same && same !== at) old.insertBefore(same, at);
    const place = same ?? (at && !key(at) && !key(next) ? at : null);
    if (place) {
      at = place.nextSibling;
      like(place, next);
    } else {
      old.insertBefore(next, at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

// A log is filled by its own stream; the page only tells it when it began or ended.
function keep(old, fresh) {
  if ('liveLog' in fresh.dataset) old.dataset.liveLog = '';
  else delete old.dataset.liveLog;
  const raw = $('.tool:last-child', fresh);
  if (raw) $('.tool:last-child', old)?.replaceWith(raw);
}

let busy = false;
let again = false;
let pause = PAUSE;

// The page as it is now; null when the network did not bring it.
async function fetched() {
  try {
    const answer = await fetch(location.href, { headers: { Accept: 'text/html' } });
    return { answer, text: await answer.text() };
  } catch {
    return null;
  }
}

async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  const begun = performance.now();
  try {
    const found = await fetched();
    if (!found) return setTimeout(later, 3000);
    const { answer, text } = found;
    if (answer.redirected && new URL(answer.url).pathname === '/login') return location.reload();
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(text, 'text/html');
    const fresh = $('#main', page);
    if (!fresh) return;
    document.title = page.title;
    const icon = $('link[rel=icon]', page);
    if (icon) $('link[rel=icon]').href = icon.href;
    if (!editing()) { children(main, fresh); openLogs(); }
    tick();
  } finally {
    busy = false;
    pause = Math.max(PAUSE, 4 * (performance.now() - begun));
    if (again) { again = false; later(); }
  }
}

// What the reader opened or closed stays so, whatever is fetched.
document.addEventListener('click', (event) => {
  const summary = event.target.closest?.('summary');
  if (summary) chosen.add(summary.parentElement);
});

// A form that somebody is filling in is left alone.
function editing() {
  return document.activeElement?.matches('main input:not([type=checkbox]), main textarea, main select');
}

let timer = 0;
// News that never ends puts the look off no further.
function later() {
  timer ||= setTimeout(() => {
    timer = 0;
    if (document.hidden) again = true; else refresh();
  }, pause);
}
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && again) { again = false; refresh(); }
});

if (main?.dataset.live) {
  const stream = follow(main.dataset.live, { message: later });
  addEventListener('pagehide', () => stream.close());
}

// A part of the page with a stream of its own: each message fetches the page anew.
for (const part of $$('[data-follow]')) {
  const stream = follow(part.dataset.follow, { message: later });
  addEventListener('pagehide', () => stream.close());
}

// ---- Forms ----

for (const form of $$('form[data-auto]')) {
  form.classList.add('auto');
  form.addEventListener('change', () => form.requestSubmit());
}

document.addEventListener('submit', (event) => {
  if ((event.submitter?.formMethod || event.target.method) !== 'post') return;
  for (const pressed of $$('button[type=submit]', event.target)) setTimeout(() => { pressed.disabled = true; });
});

// ---- Keys ----
// Single letters are in the way of those who speak to their machine: each browser can do without.

const KEYS = 'keys';
const stored = () => { try { return localStorage.getItem(KEYS); } catch { return null; } };
let single = stored() !== 'off';

for (const part of $$('[data-keys]')) {
  const box = $('input', part);
  part.hidden = false;
  box.checked = single;
  box.addEventListener('change', () => {
    single = box.checked;
    try { localStorage.setItem(KEYS, single ? 'on' : 'off'); } catch { /* For this page, then. */ }
    notice(single ? 'Keyboard shortcuts are on.' : 'Keyboard shortcuts are off.');
  });
}

const rows = () => $$('.run-title, .step > details > summary, .job-name a, .test-name, .cards h2 a');

function move(by) {
  const all = rows().filter((row) => row.offsetParent);
  const at = all.indexOf(document.activeElement);
  const next = all[Math.min(all.length - 1, Math.max(0, at + by))];
  if (next) { if (!next.hasAttribute('href')) next.tabIndex = 0; next.focus(); }
}

const keys = {
  j: () => move(1),
  k: () => move(-1),
  '/': () => $('[data-search]')?.focus(),
  f: () => {
    const bad = $$('.step.bad summary, li.test.bad, li.job .state.bad, li.row.bad .run-title, article.error');
    const at = bad.indexOf(document.activeElement);
    const next = bad[(at + 1) % bad.length];
    if (next) { next.tabIndex = 0; next.focus(); next.scrollIntoView({ block: 'center' }); }
  },
  e: () => logs.forEach((log) => { log.panel.closest('details').open = true; }),
  '?': () => notice($('#notice')?.classList.contains('shown') ? '' : 'j k: next, previous · enter: open · f: next failure · e: open all steps · /: search · enter in a log: its lines, then up and down · ?: this help · off: on the page of your account'),
  Escape: () => { notice(''); document.activeElement?.blur(); },
};

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches('input, textarea, select');
  if (typing && event.key !== 'Escape') return;
  const act = single || event.key === 'Escape' ? keys[event.key] : null;
  if (act) { act(); if (event.key === '/') event.preventDefault(); }
});

tick();
