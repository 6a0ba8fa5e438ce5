// A step's output on the page: opened, followed while it grows, with its tools.
//
// Why frames: what a stream brings waits for the next one, which draws the newest DRAW_MAX lines of it:
// nobody reads faster. What it passes over is above, as all that is older.
// Invariants: only a log that is followed moves by itself; see lines.js for how much there is.
// Units: lines count from 0 in messages; distances are pixels.

import { $, $$, follow } from './base.js';
import { Lines, logs, opened } from './lines.js';

// Lines drawn in one frame, and characters of them.
const DRAW_MAX = 100;
const DRAW_TEXT = 128 << 10;
// So near to either end of a list, more is fetched.
const NEAR = 1200;

// Steps that the reader opened or closed by hand; they stay so.
export const chosen = new WeakSet();

// `html` was escaped by the server; its only tags are spans of colour and links.
function items(step, first, lines) {
  const box = document.createElement('template');
  box.innerHTML = lines.map((html, index) => {
    const number = first + index + 1;
    const id = `S${step}L${number}`;
    return `<li id="${id}" value="${number}"><a href="#${id}" tabindex="-1" aria-label="Line ${number}">${number}</a><code>${html}</code></li>`;
  }).join('');
  return [...box.content.children];
}

// How many of the lines a frame passes over.
function passedOver(lines) {
  let at = lines.length;
  for (let text = 0; at > 0 && lines.length - at < DRAW_MAX; at--) {
    text += lines[at - 1].length;
    if (text > DRAW_TEXT) break;
  }
  return Math.min(at, Math.max(0, lines.length - 1));
}

class Log extends Lines {
  constructor(panel) {
    super(panel);
    this.following = true;
    // What the stream brought and no frame has drawn: the newest lines, and the one without an end.
    this.waiting = null;
  }

  // After each change of the list.
  settle() {
    this.top = this.list.scrollTop;
    this.tools();
    if (this.waiting) this.drawSoon();
  }

  // The last line of a log that goes on may not have had its end.
  mark() {
    if (this.source && this.isAtNewest()) this.list.lastElementChild?.classList.add('rest');
  }

  // ---- Opening and following ----

  async open() {
    if (!this.list) await (this.filling ??= this.fill());
    if (!this.isReady) this.prepare();
    this.stream();
  }

  async fill() {
    const list = document.createElement('ol');
    list.className = 'log';
    list.tabIndex = 0;
    list.setAttribute('aria-label', this.panel.dataset.name);
    list.append(...await this.load(null, this.count()));
    $('.log-closed', this.panel)?.replaceWith(list);
    this.list = list;
  }

  prepare() {
    this.isReady = true;
    this.newest = Math.max(this.newest, this.last());
    this.list.addEventListener('scroll', () => this.scrolled(), { passive: true });
    this.list.addEventListener('keydown', (event) => this.key(event));
    // Each list that is opened makes the others' share smaller.
    for (const log of opened()) if (log.isReady) log.change(() => {});
    if (this.isAtNewest() && !location.hash.startsWith(`#S${this.step}L`)) this.bottom();
  }

  stream() {
    if (this.source || !('liveLog' in this.panel.dataset)) return;
    // The page cannot tell whether its last line had ended: it is asked for again.
    const line = this.isAtNewest() ? Math.max(0, this.last() - 1) : this.newest;
    this.following = this.isAtNewest();
    this.source = follow(`${this.address}/stream?line=${line}`, {
      message: (event) => this.take(JSON.parse(event.data)),
      end: () => this.end(),
    });
    this.mark();
    this.tools();
  }

  end() {
    this.source.close();
    this.source = null;
    delete this.panel.dataset.liveLog;
    this.draw();
    this.tools();
  }

  take({ first, lines, rest }) {
    const before = this.waiting;
    const goesOn = before && before.first + before.lines.length === first;
    const all = goesOn ? before.lines.concat(lines) : lines;
    const passed = passedOver(all);
    const end = first + lines.length;
    this.waiting = { first: end - all.length + passed, lines: all.slice(passed), rest };
    this.newest = Math.max(this.newest, end + (rest === null ? 0 : 1));
    this.drawSoon();
  }

  drawSoon() {
    this.frame ??= requestAnimationFrame(() => { this.frame = null; this.draw(); });
  }

  // Somebody who reads further up is told how much there is, and sees it on the way down.
  mayDraw({ first, lines }) {
    if (this.busy) return false;
    return this.following || (first <= this.whole() && this.list.childElementCount + lines.length < this.most());
  }

  draw() {
    if (!this.waiting || !this.mayDraw(this.waiting)) return this.tools();
    const { first, lines, rest } = this.waiting;
    this.waiting = null;
    const end = first + lines.length;
    // What was fetched meanwhile is newer.
    if (end < this.whole()) return this.tools();
    if (first > this.whole()) this.list.replaceChildren();
    else this.unended()?.remove();
    const known = Math.max(0, this.last() - first);
    this.list.append(...items(this.step, first + known, lines.slice(known)));
    if (rest !== null) {
      const [open] = items(this.step, end, [rest]);
      open.classList.add('rest');
      this.list.append(open);
    }
    this.trim(this.list.lastElementChild);
    if (this.following) this.bottom();
    this.settle();
  }

  setFollow(on) {
    this.following = on;
    if (on) this.toEnd();
    this.tools();
  }

  // The newest lines, without all those between.
  async toEnd() {
    pageFollows = true;
    if (!this.waiting && !this.isAtNewest()) await this.show(null);
    this.draw();
    this.bottom();
  }

  async toStart() {
    this.setFollow(false);
    if (this.first() > 1) await this.show(1);
    this.list.scrollTop = 0;
  }

  bottom() {
    this.list.scrollTop = this.list.scrollHeight;
    this.top = this.list.scrollTop;
    if (pageFollows && this === opened().at(-1)) {
      this.panel.scrollIntoView({ block: 'nearest' });
      pageTop = scrollY;
    }
  }

  // Scrolling up stops following; reaching the end begins again.
  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.list;
    const below = scrollHeight - scrollTop - clientHeight;
    const wentUp = scrollTop < this.top - 2 && below > 4;
    const wentDown = scrollTop > this.top;
    this.top = scrollTop;
    if (wentUp && this.following) this.setFollow(false);
    if (wentDown && below <= 4 && this.isAtNewest() && !this.following) this.setFollow(true);
    if (wentUp && scrollTop < NEAR) this.earlier();
    if (wentDown && below < NEAR) this.later();
  }

  // A log is one stop of the tabulator, and not one for each line: enter leads to the line in view,
  // the arrows from there to its neighbours.
  key(event) {
    const line = event.target.closest('.log li');
    if (event.key === 'Home') this.toStart();
    else if (event.key === 'End') this.setFollow(true);
    else if (event.key === 'Enter' && !line) this.aim(this.lineInView());
    else if (event.key === 'ArrowDown' && line) this.aim(line.nextElementSibling);
    else if (event.key === 'ArrowUp' && line) this.aim(line.previousElementSibling);
    else return;
    event.preventDefault();
  }

  aim(line) {
    if (this.following) this.setFollow(false);
    $('a', line ?? undefined)?.focus();
  }

  // ---- Tools ----

  tools() {
    if (!this.isReady) return;
    this.shown ??= this.makeTools();
    const { earlier, start, toggle, later } = this.shown;
    const above = this.first() - 1;
    const below = Math.max(0, this.newest - this.last());
    earlier.hidden = start.hidden = above === 0;
    write(earlier, `Earlier lines (${above})`);
    later.hidden = below === 0;
    write(later, `Later lines (${below})`);
    toggle.hidden = !this.source && below === 0;
    write(toggle, !this.source ? 'End' : this.following || below === 0 ? 'Follow' : `Follow · ${below} new lines`);
    if (this.source) toggle.setAttribute('aria-pressed', String(this.following));
    else toggle.removeAttribute('aria-pressed');
  }

  makeTools() {
    const bar = $('.log-tools', this.panel);
    $('.earlier', bar)?.remove();
    const earlier = link('earlier', async () => { await this.earlier(); this.page(-1); });
    const later = link('later', async () => { await this.later(); this.page(1); });
    const start = button('Start', 'Show the first lines', () => this.toStart());
    const toggle = button('Follow', 'Keep the newest line in view', () => this.setFollow(!this.source || !this.following));
    const wrap = button('Wrap', 'Wrap long lines', () => {
      wrap.setAttribute('aria-pressed', String(!this.list.classList.toggle('nowrap')));
    });
    wrap.setAttribute('aria-pressed', 'true');
    bar.prepend(earlier, start);
    $('.grow', bar).after(toggle, wrap);
    this.panel.append(later);
    return { earlier, start, toggle, later };
  }

  page(way) {
    this.setFollow(false);
    this.list.scrollBy(0, way * this.list.clientHeight * .8);
  }
}

function write(node, text) { if (node.textContent !== text) node.textContent = text; }

function link(className, on) {
  const made = document.createElement('a');
  made.className = className;
  made.href = '#';
  made.addEventListener('click', (event) => { event.preventDefault(); on(); });
  return made;
}

function button(text, title, on) {
  const made = document.createElement('button');
  made.type = 'button';
  made.className = 'tool';
  made.textContent = text;
  made.title = title;
  made.addEventListener('click', on);
  return made;
}

// ---- The page ----

// The page of a job that runs goes down with the newest step until the reader scrolls up.
let pageFollows = !location.hash && $('[data-live-log], .steps:empty, .empty') !== null;
let pageTop = scrollY;
addEventListener('scroll', () => {
  const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 4;
  if (scrollY < pageTop - 2 && !atEnd) pageFollows = false;
  pageTop = scrollY;
}, { passive: true });

export function openLogs() {
  for (const panel of $$('.log-panel')) {
    let log = logs.get(panel);
    const isNew = !log;
    if (isNew) {
      log = new Log(panel);
      logs.set(panel, log);
      log.details.addEventListener('toggle', () => log.details.open && log.open());
    }
    if (log.details.open) log.open();
    // A step that begins while its job is watched opens by itself.
    else if ('liveLog' in panel.dataset && !chosen.has(log.details)) log.details.open = true;
  }
}
openLogs();

// A permalink to a line that is not shown loads the lines around it.
async function jump() {
  const found = /^#S(\d+)(?:L(\d+))?$/.exec(location.hash);
  const details = found && document.getElementById(`S${found[1]}`);
  if (!details) return;
  details.open = true;
  const log = logs.get($('.log-panel', details));
  if (found[2] && log) {
    await log.open();
    log.setFollow(false);
    if (!document.getElementById(location.hash.slice(1))) await log.show(Number(found[2]));
  }
  const aim = document.getElementById(location.hash.slice(1));
  // What came after the address was set is no target of its own.
  $('.log .aim')?.classList.remove('aim');
  aim?.classList.add('aim');
  aim?.scrollIntoView({ block: 'center' });
}
addEventListener('hashchange', jump);
if (location.hash) jump();
