// The lines of a step that stand in the page: a window that moves over its log.
//
// Why: a million list items stop a browser. What is above and below the window comes when somebody
// scrolls there, and what is far from there goes.
// Invariants: the lines in a list follow each other without a gap; all lists together hold PAGE_MAX
// lines; whoever reads is not moved by what comes and goes.
// Units: lines count from 1 as `value`, from 0 in addresses; distances are pixels.

import { $ } from './base.js';

const PAGE_MAX = 6000;
// Of one list at most, and at least however many are open.
const LINES_MAX = 2000;
const LINES_MIN = 100;
// Lines fetched at once.
const FETCH = 200;

// Logs by their panels.
export const logs = new Map();

export const opened = () => [...logs.values()].filter((log) => log.list && log.details.open);

export class Lines {
  constructor(panel) {
    this.panel = panel;
    this.details = panel.closest('details');
    this.address = panel.dataset.log;
    this.step = this.details.dataset.step;
    this.list = $('ol.log', panel);
    // Lines that the log is known to have.
    this.newest = Number(panel.dataset.total ?? 0);
    this.portion = FETCH;
    this.top = 0;
  }

  first() { return this.list.firstElementChild?.value ?? 1; }
  last() { return this.list.lastElementChild?.value ?? 0; }
  unended() { return $(':scope > .rest', this.list); }
  // Lines in the list that have their end go up to here.
  whole() { return this.last() - (this.unended() ? 1 : 0); }
  isAtNewest() { return this.last() >= this.newest; }
  most() { return Math.max(LINES_MIN, Math.min(LINES_MAX, Math.floor(PAGE_MAX / opened().length))); }
  count() { return Math.min(this.portion, this.most() / 2); }

  // Keeps as many lines as may be, around this one.
  trim(around) {
    const lines = [...this.list.children];
    const most = this.most();
    if (lines.length <= most) return;
    const from = Math.max(0, Math.min(lines.indexOf(around) - most / 2, lines.length - most));
    lines.forEach((line, index) => { if (index < from || index >= from + most) line.remove(); });
  }

  // Changes the list; the line that is being read stays where it is. `mark` and `settle` are the
  // log's own.
  change(work) {
    const line = this.lineInView();
    const place = line?.offsetTop;
    work();
    this.trim(line);
    if (line?.isConnected) this.list.scrollTop += line.offsetTop - place;
    this.settle();
  }

  lineInView() {
    const middle = this.list.offsetTop + this.list.scrollTop + this.list.clientHeight / 2;
    return [...this.list.children].find((line) => line.offsetTop + line.offsetHeight >= middle) ?? this.list.lastElementChild;
  }

  // Lines from `first` on, counted from 0, or the newest; nothing while another answer is awaited.
  async load(first, count) {
    if (this.busy) return [];
    this.busy = true;
    try {
      const from = first === null ? '' : `first=${first}&`;
      const answer = await fetch(`${this.address}/lines?${from}count=${Math.floor(count)}`);
      if (!answer.ok) return [];
      const box = document.createElement('template');
      box.innerHTML = await answer.text();
      const found = [...box.content.children];
      this.newest = Math.max(this.newest, found.at(-1)?.value ?? 0);
      return found;
    } catch {
      return [];
    } finally {
      this.busy = false;
    }
  }

  async earlier() {
    const to = this.first() - 1;
    const from = Math.floor(Math.max(0, to - this.count()));
    const found = to > from ? await this.load(from, to - from) : [];
    if (found.length === 0) return;
    if (found.at(-1).value < to) {
      // An answer has a bound in bytes too: fewer of such long lines.
      this.portion = Math.max(1, Math.floor(found.length / 2));
      return this.earlier();
    }
    this.change(() => this.list.prepend(...found));
  }

  async later() {
    const found = this.isAtNewest() ? [] : await this.load(this.whole(), this.count());
    if (found.length === 0) return;
    this.change(() => {
      this.unended()?.remove();
      this.list.append(...found);
      this.mark();
    });
  }

  // The window around a line, or at the newest.
  async show(line) {
    const first = line === null ? null : Math.max(0, line - 1 - FETCH / 2);
    const found = await this.load(first, Math.min(FETCH, this.most()));
    if (found.length === 0) return;
    this.list.replaceChildren(...found);
    this.mark();
    this.settle();
  }
}
