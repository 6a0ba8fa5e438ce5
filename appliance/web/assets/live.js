// Keeps a page fresh. Everything here is comfort: without it every page is complete.
// One module, no dependency; the server's markup is the only source of what is shown.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
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
  for (const time of $$('time[data-age], time[data-since]')) {
    const seconds = Math.max(0, (now - Date.parse(time.dateTime)) / 1000);
    const text = 'age' in time.dataset ? age(seconds) : span(seconds);
    if (time.textContent !== text) time.textContent = text;
  }
}
setInterval(() => document.hidden || tick(), 1000);

// ---- Freshness: on news the page is fetched again, and only what differs is changed ----

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
    if (old.getAttribute(name) !== value && name !== 'value') old.setAttribute(name, value);
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

async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: 'text/html' } });
    if (answer.redirected && new URL(answer.url).pathname === '/login') return location.reload();
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const fresh = $('#main', page);
    if (!fresh) return;
    document.title = page.title;
    const icon = $('link[rel=icon]', page);
    if (icon) $('link[rel=icon]').href = icon.href;
    if (!editing()) { children(main, fresh); openLogs(); }
    tick();
  } finally {
    busy = false;
    if (again) { again = false; later(); }
  }
}

// A form that somebody is filling in is left alone.
function editing() {
  return document.activeElement?.matches('main input:not([type=checkbox]), main textarea, main select');
}

let timer = 0;
function later() {
  clearTimeout(timer);
  timer = setTimeout(() => (document.hidden ? (again = true) : refresh()), 120);
}
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && again) { again = false; refresh(); }
});

function notice(text) {
  const box = $('#notice');
  if (box) { box.textContent = text; box.classList.toggle('shown', Boolean(text)); }
}

// A stream that says when it is cut, and comes back by itself where it was.
function follow(address, on) {
  const stream = new EventSource(address);
  let lost = 0;
  stream.onopen = () => { clearTimeout(lost); notice(''); };
  stream.onerror = () => {
    clearTimeout(lost);
    lost = setTimeout(() => notice('Connection lost. Trying again…'), 3000);
    if (stream.readyState === EventSource.CLOSED) {
      setTimeout(() => { if (!document.hidden) location.reload(); }, 15000);
    }
  };
  for (const [name, handle] of Object.entries(on)) stream.addEventListener(name, handle);
  return stream;
}

if (main?.dataset.live) {
  const stream = follow(main.dataset.live, { message: later });
  addEventListener('pagehide', () => stream.close());
}

// A part of the page with a stream of its own: each message fetches the page anew.
for (const part of $$('[data-follow]')) {
  const stream = follow(part.dataset.follow, { message: later });
  addEventListener('pagehide', () => stream.close());
}

// ---- Logs ----

// Lines kept in the page; older ones are a click away.
const LINES_MAX = 5000;
const STEP = 500;
const logs = new Map();

class Log {
  constructor(panel) {
    this.panel = panel;
    this.address = panel.dataset.log;
    this.step = panel.closest('details').dataset.step;
    this.list = $('ol.log', panel);
    this.following = true;
  }

  async open() {
    if (!this.list) {
      this.list = document.createElement('ol');
      this.list.className = 'log';
      this.list.tabIndex = 0;
      await this.load('', STEP);
      $('.log-closed', this.panel)?.replaceWith(this.list);
    }
    this.tools();
    this.stream();
  }

  async load(first, count, before = false) {
    const from = first === '' ? '' : `first=${first}&`;
    const answer = await fetch(`${this.address}/lines?${from}count=${count}`);
    if (!answer.ok) return 0;
    const box = document.createElement('template');
    box.innerHTML = await answer.text();
    const items = [...box.content.children];
    if (before) this.list.prepend(...items);
    else this.list.append(...items);
    return items.length;
  }

  first() { return Number(this.list.firstElementChild?.value ?? 1) - 1; }

  tools() {
    let earlier = $('.earlier', this.panel);
    if (!earlier && this.first() > 0) {
      earlier = document.createElement('a');
      earlier.className = 'earlier';
      earlier.href = '#';
      $('.log-tools', this.panel).prepend(earlier);
    }
    if (earlier && !earlier.dataset.ready) {
      earlier.dataset.ready = '1';
      earlier.addEventListener('click', async (event) => {
        event.preventDefault();
        const to = this.first();
        const from = Math.max(0, to - STEP);
        const top = this.list.firstElementChild;
        const place = top?.getBoundingClientRect().top ?? 0;
        await this.load(from, to - from, true);
        if (top) scrollBy(0, top.getBoundingClientRect().top - place);
        this.tools();
      });
    }
    if (earlier) {
      earlier.hidden = this.first() === 0;
      earlier.textContent = `Earlier lines (${this.first()})`;
    }
    if (!this.wrap) {
      this.wrap = button('Wrap', 'Wrap long lines', () => {
        this.wrap.setAttribute('aria-pressed', this.list.classList.toggle('nowrap') ? 'false' : 'true');
      });
      this.wrap.setAttribute('aria-pressed', 'true');
      $('.log-tools .grow', this.panel).after(this.wrap);
    }
  }

  stream() {
    if (this.source || !('liveLog' in this.panel.dataset)) return;
    const last = this.list.lastElementChild;
    // The page cannot tell whether its last line had ended: it is asked for again.
    let line = last ? last.value - 1 : 0;
    last?.classList.add('rest');
    this.toggle = button('Follow', 'Keep the newest line in view', () => this.setFollow(!this.following));
    this.toggle.setAttribute('aria-pressed', 'true');
    $('.log-tools .grow', this.panel).after(this.toggle);
    this.source = follow(`${this.address}/stream?line=${line}`, {
      message: (event) => this.add(JSON.parse(event.data)),
      end: () => this.end(),
    });
  }

  end() {
    if (this.behind) this.catchUp();
    this.source?.close();
    this.source = null;
    delete this.panel.dataset.liveLog;
    this.toggle?.remove();
  }

  // Complete lines in the page go up to here.
  shown() {
    const last = this.list.lastElementChild;
    if (!last) return 0;
    return last.classList.contains('rest') ? last.value - 1 : last.value;
  }

  add({ first, lines, rest }) {
    // Somebody reads further up: what comes is counted, and fetched when it is wanted.
    if (this.behind || (!this.following && this.list.childElementCount > LINES_MAX)) {
      this.behind = true;
      this.toggle.textContent = `Follow · ${first + lines.length - this.shown()} new lines`;
      return;
    }
    const part = document.createDocumentFragment();
    // The server leaves out what nobody could read at such a speed; it is above, a click away.
    if (this.list.childElementCount > 0 && first > this.shown()) this.list.replaceChildren();
    $('.rest', this.list)?.remove();
    const from = this.shown();
    lines.forEach((html, index) => {
      if (first + index >= from) part.append(this.item(first + index + 1, html));
    });
    if (rest !== null) {
      const open = this.item(first + lines.length + 1, rest);
      open.classList.add('rest');
      part.append(open);
    }
    this.list.append(part);
    const over = this.list.childElementCount - LINES_MAX;
    if (over > 500 && this.following) {
      Log.dropped = Date.now();
      for (let n = 0; n < over; n++) this.list.firstElementChild.remove();
    }
    this.tools();
    if (this.following) this.bottom();
  }

  // `html` was escaped by the server; its only tags are spans of colour and links.
  item(number, html) {
    const item = document.createElement('li');
    item.id = `S${this.step}L${number}`;
    item.value = number;
    const link = document.createElement('a');
    link.href = `#${item.id}`;
    link.textContent = number;
    link.setAttribute('aria-label', `Line ${number}`);
    const code = document.createElement('code');
    code.innerHTML = html;
    item.append(link, code);
    return item;
  }

  setFollow(on) {
    this.following = on;
    this.toggle?.setAttribute('aria-pressed', String(on));
    if (on && this.behind) this.catchUp();
    else if (on) this.bottom();
  }

  // From further up to the newest lines, without all those between.
  async catchUp() {
    const old = [...this.list.children];
    if (await this.load('', STEP)) old.forEach((item) => item.remove());
    // The last line may not have had its end.
    this.list.lastElementChild?.classList.add('rest');
    this.behind = false;
    if (this.toggle) this.toggle.textContent = 'Follow';
    this.tools();
    this.bottom();
  }

  bottom() {
    const last = this.list.lastElementChild;
    if (last) last.scrollIntoView({ block: 'nearest' });
  }
}
Log.dropped = 0;

function button(text, title, on) {
  const made = document.createElement('button');
  made.type = 'button';
  made.className = 'tool';
  made.textContent = text;
  made.title = title;
  made.addEventListener('click', on);
  return made;
}

function openLogs() {
  for (const details of $$('details[data-step]')) {
    const panel = $('.log-panel', details);
    let log = logs.get(panel);
    if (!log) {
      log = new Log(panel);
      logs.set(panel, log);
      details.addEventListener('toggle', () => details.open && log.open());
    }
    if (details.open) log.open();
    // A step that begins while its job is watched opens by itself.
    else if ('liveLog' in panel.dataset && !details.dataset.seen) details.open = true;
    details.dataset.seen = '1';
  }
}
openLogs();

// Scrolling up stops following; reaching the end begins again. Following itself only scrolls
// down, but for the moment when old lines are dropped.
let scrolled = scrollY;
addEventListener('scroll', () => {
  const dropped = Date.now() - Log.dropped < 150;
  const atEnd = innerHeight + scrollY >= document.body.scrollHeight - 40;
  for (const log of logs.values()) {
    if (!log.source) continue;
    if (!dropped && scrollY < scrolled - 4) log.setFollow(false);
    else if (atEnd && scrollY > scrolled && !log.following) log.setFollow(true);
  }
  scrolled = scrollY;
}, { passive: true });

// A permalink to a line that is not shown loads the lines around it.
async function jump() {
  const found = /^#S(\d+)(?:L(\d+))?$/.exec(location.hash);
  if (!found) return;
  const details = $(`#S${found[1]}`);
  if (!details) return;
  details.open = true;
  const log = logs.get($('.log-panel', details));
  if (found[2] && log) {
    await log.open();
    log.setFollow(false);
    const line = Number(found[2]);
    if (!document.getElementById(location.hash.slice(1)) && log.first() >= line) {
      const from = Math.max(0, line - 20);
      await log.load(from, Math.min(log.first() - from, 2000), true);
      log.tools();
    }
  }
  document.getElementById(location.hash.slice(1))?.scrollIntoView({ block: 'center' });
}
addEventListener('hashchange', jump);
if (location.hash) jump();

// ---- Forms ----

for (const form of $$('form[data-auto]')) {
  form.classList.add('auto');
  form.addEventListener('change', () => form.requestSubmit());
}

document.addEventListener('submit', (event) => {
  if (event.target.method !== 'post') return;
  for (const pressed of $$('button[type=submit]', event.target)) setTimeout(() => { pressed.disabled = true; });
});

// ---- Keys ----

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
  '?': () => notice($('#notice')?.classList.contains('shown') ? '' : 'j k: next, previous · enter: open · f: next failure · e: open all steps · /: search · ?: this help'),
  Escape: () => { notice(''); document.activeElement?.blur(); },
};

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches('input, textarea, select');
  if (typing && event.key !== 'Escape') return;
  const act = keys[event.key];
  if (act) { act(); if (event.key === '/') event.preventDefault(); }
});

tick();
